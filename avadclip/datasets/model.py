"""A data set in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Split = Literal["train", "test"]
SPLITS: tuple[str, ...] = get_args(Split)

NORMAL = "normal"
# Label of a ground-truth segment that is anomalous, of any class; see `ground_truth`.
ANY_CLASS = "*"


@dataclass(frozen=True, slots=True)
class ListedVideo:
    """A video as its data set lists it, before the file is opened."""

    id: str
    path: str | None  # with the folder as in params.yaml, with forward slashes; None: listed, but there is no file
    split: Split
    labels: tuple[str, ...]  # names of `classes`; a normal video has ("normal",)


@dataclass(frozen=True, slots=True)
class TimedSegment:
    """An annotated event in seconds of presentation time, [start_seconds, end_seconds)."""

    id: str
    label: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Segment:
    """An annotated event in source frames of its video, [start_frame, end_frame), counted from 0."""

    id: str
    label: str
    start_frame: int
    end_frame: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What an adapter returns.

    Attributes
    ----------
    n_frames : frames of the videos by their annotations, where these tell; the files are compared with it.
    """

    videos: tuple[ListedVideo, ...]
    segments: tuple[Segment | TimedSegment, ...]
    n_frames: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Video:
    """One row of ``manifest.csv``."""

    id: str
    path: str  # relative to the project, or empty for an excluded video without a file
    split: Split
    labels: tuple[str, ...]
    n_frames: int  # 0 for an excluded video, which is not opened
    frame_rate: float  # mean frames per second; 0.0 for an excluded video
    has_audio: bool
    content_hash: str  # sha256 of the file, hex; empty for an excluded video
    excluded: str = ""  # the reason, or empty

    @property
    def is_normal(self) -> bool:
        """Whether the video has no anomaly."""
        return self.labels == (NORMAL,)
