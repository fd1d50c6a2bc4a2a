"""``segments.csv`` of a table: when something happens, in frames or in seconds.

Header ``video,label,start_frame,end_frame`` or ``video,label,start_seconds,end_seconds``; a segment includes its start
but not its end. `video` is written as in ``videos.csv``, `label` is one of that video's labels.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from avadclip.datasets import csv_file
from avadclip.datasets.csv_file import Row
from avadclip.datasets.model import NORMAL, Segment, TimedSegment

logger = logging.getLogger(__name__)

HEADERS = (("video", "label", "start_frame", "end_frame"), ("video", "label", "start_seconds", "end_seconds"))


def read_segments(
    path: Path, id_of: Callable[[Row], str], labels: Mapping[str, tuple[str, ...]], classes: Sequence[str]
) -> tuple[Segment | TimedSegment, ...]:
    """Read the table; segments of one class that overlap in a video are logged as a warning.

    Parameters
    ----------
    id_of : gives the id of the video that a row refers to; raises a :class:`DatasetError` if there is none.
    labels : of each video, by id.

    Raises
    ------
    DatasetError : one line for each wrong cell and each segment that is written twice, with file, line and column.
    """
    rows = csv_file.read(path, *HEADERS, strip=True)
    return parse_distinct(path, rows, lambda row: _segment(row, id_of(row), labels, classes))


def parse_distinct(
    path: Path, rows: Iterable[Row], parse: Callable[[Row], Segment | TimedSegment]
) -> tuple[Segment | TimedSegment, ...]:
    """Parse each row; segments of one class that overlap in a video are logged as a warning.

    Raises
    ------
    DatasetError : one line for each row that `parse` refuses and each segment that is written twice.
    """
    line_of: dict[Segment | TimedSegment, int] = {}

    def parse_new(row: Row) -> Segment | TimedSegment:
        segment = parse(row)
        if (first := line_of.setdefault(segment, row.line)) != row.line:
            row.fail("video", f"the same segment as in line {first}; it would count as two events, so remove one")
        return segment

    segments = csv_file.parse_all(rows, parse_new)
    _warn_of_overlaps(path, line_of)
    return tuple(segments)


def _segment(
    row: Row, id_: str, labels: Mapping[str, tuple[str, ...]], classes: Sequence[str]
) -> Segment | TimedSegment:
    label = row.choice("label", classes)
    if label == NORMAL:
        row.fail("label", f"expected an anomaly, found {NORMAL!r}; remove the line")
    if label not in labels[id_]:
        row.fail("label", f"{label!r} is not among the labels of {id_!r} in videos.csv: {', '.join(labels[id_])}")
    if "start_frame" in row.cells:
        check_order(row, row.whole("start_frame"), row.whole("end_frame"), "end_frame")
        return Segment(id_, label, row.whole("start_frame"), row.whole("end_frame"))
    check_order(row, row.number("start_seconds"), row.number("end_seconds"), "end_seconds")
    return TimedSegment(id_, label, row.number("start_seconds"), row.number("end_seconds"))


def check_order(row: Row, start: float, end: float, end_column: str) -> None:
    """Refuse a row whose segment is empty or ends before its start."""
    if start >= end:
        row.fail(end_column, f"expected an end after the start {start}, found {end}")


def _warn_of_overlaps(path: Path, line_of: Mapping[Segment | TimedSegment, int]) -> None:
    spans: dict[tuple[str, str], list[tuple[float, float, int]]] = defaultdict(list)
    for segment, line in line_of.items():
        spans[segment.id, segment.label].append((*_span(segment), line))
    for (id_, label), own in spans.items():
        for (_, end, line), (start, _, next_line) in pairwise(sorted(own)):
            if start < end:
                logger.warning(
                    "%s, lines %d and %d: two segments of %s overlap in %s and count as two events; merge them,"
                    " unless there are two",
                    path,
                    *sorted((line, next_line)),
                    label,
                    id_,
                )


def _span(segment: Segment | TimedSegment) -> tuple[float, float]:
    if isinstance(segment, Segment):
        return segment.start_frame, segment.end_frame
    return segment.start_seconds, segment.end_seconds
