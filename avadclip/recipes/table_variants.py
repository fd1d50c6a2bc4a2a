"""``avadclip recipe table_vi --add``: the variants of a table of the paper, made from existing variants.

A row states only its differences. The rest is taken from its variant in the parameter file, by a YAML merge, so that
later changes there hold for both.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from avadclip import config, recipes
from avadclip.config import Params
from avadclip.config.datasets import Dataset
from avadclip.config.editing import edited
from avadclip.errors import ConfigError
from avadclip.recipes import second_world
from avadclip.recipes.second_world import anchored


def add(name: str, params: Path, dataset: str | None = None) -> list[str]:
    """Add the variants of a table to ``train:``, ``distill:`` and the scored ones; return those that are new.

    Table V wants two data sets. Where there are none that fit, a rendered world gets a second one.

    Parameters
    ----------
    dataset : the one on which detectors of other data sets are tested (table V); None: all pairs.

    Raises
    ------
    ConfigError : no such data set, no variant that a row could be made from, another teacher than the rows have, or no
        two data sets with features of one kind (table V). The file is left as it was.
    """
    loaded = config.load(params)
    if dataset is not None:
        loaded.dataset(dataset)
    across = recipes.TABLES[name] == "across"
    pairs = _pairs(loaded.datasets, dataset) if across else []
    world = _world(loaded, dataset) if across and not pairs else None
    sections = YAML().load(recipes.read(name, margin=""))
    if "distill" in sections and loaded.distill and loaded.teacher != "audio_visual":
        raise ConfigError(
            f"{params}: teacher is {loaded.teacher!r}, but the students of {name} learn from `audio_visual`; set it so"
        )
    new = recipes.add_detectors("zoo", params) if recipes.TABLES[name] == "members" else []
    with edited(params) as content:
        score = content.setdefault("score", CommentedMap())
        for section, variants in sections.items():
            new += _add_variants(content.setdefault(section, CommentedMap()), variants, content)
        scored = score.setdefault("variants", [])
        wanted = [*new, *(variant for variants in sections.values() for variant in variants)]
        scored.extend(variant for variant in dict.fromkeys(wanted) if variant not in scored)
        if world is not None:
            second = second_world.add(content, world)
            pairs = [pair for pair in ((world, second), (second, world)) if dataset in (None, pair[0])]
            new.append(f"datasets.{second}")
        crossed = score.setdefault("across", CommentedMap())
        known = {(one.dataset, one.trained_on) for one in loaded.score.across.values() if one.variant == "audio_visual"}
        for tested, trained in pairs:
            if (tested, trained) not in known:
                crossed.fa.set_block_style()
                key = f"{tested}_from_{trained}"
                crossed[key] = {"dataset": tested, "trained_on": trained, "variant": "audio_visual"}
                new.append(key)
        second_world.share_settings(content)
    return new


def _add_variants(section: Any, variants: Any, content: Any) -> list[str]:
    known = {**content.get("train", {}), **content.get("distill", {})}
    new = [variant for variant in variants if variant not in known]
    for variant in new:
        block = variants[variant]
        if block.merge:
            name = next(name for name, other in variants.items() if other is block.merge[0])
            block.merge[0] = _base(name, known | dict(section))
        section[variant] = block
    return new


def _base(name: str, known: dict[str, Any]) -> Any:
    """The variant that a row is made from, with an anchor."""
    if "kind" not in known[name]:
        raise ConfigError(f"variant {name!r} is imported, not trained, so no row can be made from it; rename it")
    return anchored(known[name], name)


def _pairs(datasets: dict[str, Dataset], tested: str | None) -> list[tuple[str, str]]:
    """Pairs (tested on, trained on) of data sets with features of the same encoders, which a detector needs."""
    return [
        (one, other)
        for one in datasets
        for other in datasets
        if one != other and tested in (None, one) and _encoders(datasets[one]) == _encoders(datasets[other])
    ]


def _world(params: Params, tested: str | None) -> str:
    """The rendered data set that a second one is made from."""
    rendered = [name for name in params.worlds if name in params.datasets and tested in (None, name)]
    if not rendered:
        raise ConfigError(
            "table V needs two data sets under `datasets` whose features the same encoders made; add one, for example"
            " with `avadclip recipe cctv_fights_sub --add`"
        )
    return rendered[0]


def _encoders(dataset: Dataset) -> list[object]:
    """What the features of two data sets must have in common, so that one detector can take both."""
    keys = ("encoder", "encoder_config", "width", "extractor")
    sections = (dataset.visual, dataset.audio)
    found = [[type(section).__name__, *(getattr(section, key, None) for key in keys)] for section in sections]
    pinned = [getattr(getattr(section, "weights", None), "sha256", None) for section in sections]
    return [*found, pinned]
