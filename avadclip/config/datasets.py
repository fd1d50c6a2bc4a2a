"""Section ``datasets.<name>``: where videos and annotations lie, which classes there are, and the feature recipes."""

import unicodedata
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator, model_validator

from avadclip.config.base import Section, validated_as
from avadclip.config.features import (
    Audio,
    ImportedAudio,
    ImportedVisual,
    Modality,
    ReleasedAudio,
    ReleasedVisual,
    Visual,
)
from avadclip.config.training import Selection

# Kind -> its sections `visual` and `audio`, for the kinds without videos.
_OF_FEATURES: dict[Any, dict[str, type[Section]]] = {
    "xd_violence_released": {"visual": ReleasedVisual, "audio": ReleasedAudio},
    "features": {"visual": ImportedVisual, "audio": ImportedAudio},
}


class Dataset(Section):
    """One data set of ``params.yaml``."""

    kind: Literal[
        "xd_violence",
        "cctv_fights",
        "table",
        "ucf_crime",
        "shanghaitech",
        "ubnormal",
        "xd_violence_released",
        "features",
    ]
    videos: str  # folder of the video files (or of the feature files, in kinds without videos), searched recursively
    annotations: str  # folder with the annotation files of this kind (docs/datasets.md)
    classes: Annotated[tuple[str, ...], Field(min_length=2)]  # class 0 is `normal`; names are the text prompts
    exclude: dict[str, str] = {}  # video id -> reason; reported with the metrics
    visual: Visual | ReleasedVisual | ImportedVisual
    audio: Audio | ReleasedAudio | ImportedAudio
    selection: Selection = Selection()

    @property
    def is_released(self) -> bool:
        """Whether the data set consists of the authors' released features instead of videos."""
        return isinstance(self.visual, ReleasedVisual)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that there are features of; only imported features may lack one."""
        sections: dict[Modality, Section] = {"visual": self.visual, "audio": self.audio}
        return tuple(
            name
            for name, section in sections.items()
            if not (isinstance(section, ImportedVisual | ImportedAudio) and section.extractor is None)
        )

    @field_validator("visual", "audio", mode="wrap")
    @classmethod
    def _features_fit_the_kind(cls, value: Any, _: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Section:
        of_videos: dict[str, type[Section]] = {"visual": Visual, "audio": Audio}
        sections = _OF_FEATURES.get(info.data.get("kind"), of_videos)
        return validated_as(sections[info.field_name or ""], value)

    @model_validator(mode="after")
    def _has_a_modality(self) -> Self:
        if not self.modalities:
            raise ValueError("`visual.extractor` and `audio.extractor` are both null; one of them must have features")
        return self

    @field_validator("exclude")
    @classmethod
    def _ids_are_composed(cls, exclude: dict[str, str]) -> dict[str, str]:
        """Unicode form NFC, as the ids of videos have; see :mod:`avadclip.datasets.ids`."""
        return {unicodedata.normalize("NFC", id_): reason for id_, reason in exclude.items()}

    @field_validator("classes")
    @classmethod
    def _classes_can_be_told_apart(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        """Unicode form NFC, as the labels of tables have."""
        classes = tuple(unicodedata.normalize("NFC", name) for name in classes)
        if classes[0] != "normal":
            raise ValueError("the first of `classes` must be `normal`")
        if len(set(classes)) != len(classes):
            raise ValueError("`classes` names a class twice")
        spelt = {name.casefold(): name for name in reversed(classes)}
        if alike := [f"{spelt[name.casefold()]}, {name}" for name in classes if spelt[name.casefold()] != name]:
            raise ValueError(f"`classes` has names that differ in case only: {'; '.join(alike)}; write one of them")
        # `|` joins labels in tables, and `*` stands for any class there.
        unusable = [name for name in classes if name != name.strip() or name in ("", "*") or "|" in name]
        if unusable:
            raise ValueError(f"`classes` has names that are empty, `*`, or hold `|` or outer spaces: {unusable}")
        return classes
