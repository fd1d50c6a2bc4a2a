"""Section ``datasets.<name>``: where videos and annotations lie, which classes there are, and the feature recipes."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from avadclip.config.base import Section
from avadclip.config.features import Audio, Visual
from avadclip.config.training import Training


class Dataset(Section):
    """One data set of ``params.yaml``."""

    kind: Literal["xd_violence", "cctv_fights", "table"]
    videos: str  # folder of video files, searched recursively
    annotations: str  # folder with the annotation files of this kind (README, chapter on features)
    classes: Annotated[tuple[str, ...], Field(min_length=2)]  # class 0 is `normal`; names are the text prompts
    exclude: dict[str, str] = {}  # video id -> reason; reported with the metrics
    visual: Visual
    audio: Audio
    training: Training = Training()

    @field_validator("classes")
    @classmethod
    def _classes_can_be_told_apart(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if classes[0] != "normal":
            raise ValueError("the first of `classes` must be `normal`")
        if len(set(classes)) != len(classes):
            raise ValueError("`classes` names a class twice")
        # `|` joins labels in tables, and `*` stands for any class there.
        unusable = [name for name in classes if name != name.strip() or name in ("", "*") or "|" in name]
        if unusable:
            raise ValueError(f"`classes` has names that are empty, `*`, or hold `|` or outer spaces: {unusable}")
        return classes
