"""The common model of all formats of temporal labels."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from avadclip.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Event:
    """An event in a video, [start_seconds, end_seconds), counted from its beginning."""

    label: str
    start_seconds: float
    end_seconds: float


# Video as the file names it -> its events in the order of the file; they may overlap, and there may be none.
Labels = Mapping[str, tuple[Event, ...]]


class Clock(Protocol):
    """When the frames of a video are shown, for the formats that count frames."""

    def seconds(self, video: str, frame: int) -> float:
        """When a frame is first shown; for the number after the last frame, when the video ends."""

    def frame(self, video: str, seconds: float) -> int:
        """The frame that begins nearest to a time."""


class Format(Protocol):
    """How labels are read and written."""

    suffix: str  # of its files
    one_video: bool  # whether a file is of one video, which has the name of the file

    def read(self, path: Path, clock: Clock) -> Labels:
        """Labels of one file; :class:`DatasetError` says what is wrong with it, and where."""

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        """Write one file; the same labels give the same bytes."""


def event(where: str, label: Any, start: Any, end: Any) -> Event:
    """An event from the values in a file.

    Parameters
    ----------
    where : the place in the file, for messages.

    Raises
    ------
    DatasetError : no label, or times that are not numbers, below zero, or not in order.
    """
    try:
        start_seconds, end_seconds = float(start), float(end)
    except (TypeError, ValueError):
        raise DatasetError(f"{where}: expected a start and an end in numbers, found {start!r} and {end!r}") from None
    if not (0 <= start_seconds < end_seconds < math.inf):
        raise DatasetError(f"{where}: expected 0 <= start < end, found {start} and {end}")
    if not isinstance(label, str) or not label.strip():
        raise DatasetError(f"{where}: expected a label, found {label!r}")
    return Event(label.strip(), start_seconds, end_seconds)


def grouped(events: Iterable[tuple[str, Event]]) -> dict[str, tuple[Event, ...]]:
    """Events by video, in their order."""
    found: dict[str, list[Event]] = {}
    for video, happening in events:
        found.setdefault(video, []).append(happening)
    return {video: tuple(own) for video, own in found.items()}


def one_line(text: str) -> str:
    """Text for formats in which a line end or a tab would end the label."""
    return " ".join(text.split())
