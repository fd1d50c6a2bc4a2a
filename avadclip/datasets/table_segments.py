"""``segments.csv`` of a `table` data set: when something happens, in frames or in seconds.

Header ``video,label,start_frame,end_frame`` or ``video,label,start_seconds,end_seconds``; a segment includes its start
and not its end. `video` is written as in ``videos.csv``, `label` is one of that video's labels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from avadclip.datasets import csv_file, ids
from avadclip.datasets.csv_file import Row, did_you_mean
from avadclip.datasets.model import NORMAL, Segment, TimedSegment
from avadclip.errors import DatasetError

_IN_FRAMES = ("video", "label", "start_frame", "end_frame")
_IN_SECONDS = ("video", "label", "start_seconds", "end_seconds")


def read(path: Path, labels: Mapping[str, tuple[str, ...]], classes: Sequence[str]) -> Sequence[Segment | TimedSegment]:
    """Read the segments of videos whose `labels` are known by id.

    Raises
    ------
    DatasetError : a line for each wrong cell, with file, line and column.
    """
    rows = csv_file.read(path, _IN_FRAMES, _IN_SECONDS, strip=True)
    return csv_file.parse_all(rows, lambda row: _segment(row, labels, classes))


def video_id(row: Row) -> str:
    """The id that a cell of the column `video` means.

    Raises
    ------
    DatasetError : it cannot be an id.
    """
    id_ = ids.from_name(PurePosixPath(row.text("video")).name)
    try:
        ids.check(id_)
    except DatasetError as error:
        row.fail("video", str(error))
    return id_


def _segment(row: Row, labels: Mapping[str, tuple[str, ...]], classes: Sequence[str]) -> Segment | TimedSegment:
    id_ = video_id(row)
    if id_ not in labels:
        row.fail("video", f"{id_!r} is not in videos.csv{did_you_mean(id_, labels)}")
    label = row.choice("label", classes)
    if label == NORMAL:
        row.fail("label", f"only anomalous stretches are segments, found {NORMAL!r}")
    if label not in labels[id_]:
        row.fail("label", f"{label!r} is not among the labels of {id_!r} in videos.csv: {', '.join(labels[id_])}")
    if "start_frame" in row.cells:
        _check_order(row, row.whole("start_frame"), row.whole("end_frame"), "end_frame")
        return Segment(id_, label, row.whole("start_frame"), row.whole("end_frame"))
    _check_order(row, row.number("start_seconds"), row.number("end_seconds"), "end_seconds")
    return TimedSegment(id_, label, row.number("start_seconds"), row.number("end_seconds"))


def _check_order(row: Row, start: float, end: float, end_column: str) -> None:
    if start >= end:
        row.fail(end_column, f"expected an end after the start {start}, found {end}")
