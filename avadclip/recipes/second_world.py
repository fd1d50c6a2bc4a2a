"""A second rendered world beside the one of a parameter file, so that table V can be tried without a download."""

from typing import Any

from ruamel.yaml import YAML

from avadclip import paths

SUFFIX = "_other"
BLOCK = """
  <<: &first {{}}
  videos: {videos}
  annotations: {annotations}
"""


def add(content: Any, first: str) -> str:
    """Add a world of another seed, as a data set that is `first` otherwise; return its name.

    Parameters
    ----------
    content : a parameter file as ruamel.yaml has it, with `first` under ``worlds`` and ``datasets``; changed in place.
    """
    second = first + SUFFIX
    worlds, datasets = content["worlds"], content["datasets"]
    worlds[second] = {**worlds[first], "seed": worlds[first]["seed"] + 1}
    folder = paths.data(second)
    text = BLOCK.format(videos=folder / "videos", annotations=folder / "annotations")
    datasets[second] = YAML().load(text)
    datasets[second].merge[0] = anchored(datasets[first], f"{first}_data")
    return second


def share_settings(content: Any) -> None:
    """What a variant does differently on a world, it does on the second one, too, if that has none of its own."""
    seconds = {second.removesuffix(SUFFIX): second for second in content.get("worlds", {}) if second.endswith(SUFFIX)}
    for section in ("train", "distill"):
        for name, variant in content.get(section, {}).items():
            different = variant.get("on", {})
            for first, second in seconds.items():
                if first in different and second not in different:
                    different[second] = anchored(different[first], f"{name}_on_{first}")


def anchored(block: Any, name: str) -> Any:
    """A block that can be referred to: with `name` as its anchor, if it has none."""
    if block.anchor.value is None:
        block.yaml_set_anchor(name)
    return block
