"""What ``avadclip import-features`` is told of imported features, and whether a block that exists says the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from avadclip.config.base import Section
from avadclip.config.datasets import Dataset
from avadclip.config.features import ImportedAudio, ImportedVisual, Modality
from avadclip.errors import ConfigError


@dataclass(frozen=True)
class Declared:
    """What the files do not say. None: not said here either.

    Attributes
    ----------
    stride : frames from one snippet to the next.
    frame_rate : frames per second of the videos.
    extractors : what made the features, in words.
    text_tower : the CLIP whose text tower reads the class names.
    views_axis : of arrays with three axes: 0 for [views, n, width], 1 for [n, views, width].
    """

    stride: int | None = None
    frame_rate: float | None = None
    extractors: Mapping[Modality, str] = field(default_factory=dict)
    text_tower: str | None = None
    views_axis: int | None = None

    def or_else(self, usual: "Declared") -> "Declared":
        """This, with what `usual` says where nothing is said here."""
        said = {key: value for key, value in vars(self).items() if value is not None}
        return replace(usual, **said | {"extractors": {**usual.extractors, **self.extractors}})


USUAL = Declared(extractors={"visual": "unknown", "audio": "unknown"}, views_axis=0)


def check_agreement(
    name: str, known: Dataset, declared: Declared, extractors: Mapping[Modality, str], params: Path
) -> None:
    """Refuse options that the block, which stays as it is, does not say.

    Parameters
    ----------
    extractors : of the modalities that are imported, as a new block would say.

    Raises
    ------
    ConfigError : names every key that differs, what it is in params.yaml, and what is asked for.
    """
    assert isinstance(known.visual, ImportedVisual)
    tower = known.visual.text_tower
    found: dict[str, tuple[object, object]] = {
        "visual.stride": (known.visual.stride, declared.stride),
        "visual.frame_rate": (known.visual.frame_rate, declared.frame_rate),
        "visual.views_axis": (known.visual.views_axis, declared.views_axis),
        "visual.text_tower.encoder": (tower.encoder if tower else None, declared.text_tower),
    }
    sections: dict[Modality, Section] = {"visual": known.visual, "audio": known.audio}
    for modality, section in sections.items():
        assert isinstance(section, ImportedVisual | ImportedAudio)
        wanted = extractors.get(modality) if section.extractor is None else declared.extractors.get(modality)
        found[f"{modality}.extractor"] = (section.extractor, wanted)
    differing = [
        f"  {key}: found {'nothing' if own is None else own}, asked for {wanted}"
        for key, (own, wanted) in found.items()
        if wanted is not None and own != wanted
    ]
    if differing:
        raise ConfigError(
            "\n".join(
                [
                    f"{params}: datasets.{name} exists already and is left as it is, but the options differ from it:",
                    *differing,
                    "Nothing was imported; edit the block, or leave these options out",
                ]
            )
        )
