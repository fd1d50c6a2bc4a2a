"""Section ``datasets.<name>``: where videos and annotations lie, which classes there are, and the feature recipes."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from avadclip.config.base import Section
from avadclip.config.features import Audio, Visual


class Dataset(Section):
    """One data set of ``params.yaml``."""

    kind: Literal["xd_violence", "cctv_fights", "table"]
    videos: str  # folder of video files, searched recursively
    annotations: str  # folder with the annotation files of this kind (README, chapter on features)
    classes: Annotated[tuple[str, ...], Field(min_length=2)]  # class 0 is `normal`; names are the text prompts
    exclude: dict[str, str] = {}  # video id -> reason; reported with the metrics
    visual: Visual
    audio: Audio

    @model_validator(mode="after")
    def _classes_are_distinct_and_start_with_normal(self) -> Self:
        if self.classes[0] != "normal":
            raise ValueError("the first of `classes` must be `normal`")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("`classes` names a class twice")
        return self
