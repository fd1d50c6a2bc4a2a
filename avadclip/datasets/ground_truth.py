"""``ground_truth.csv``: one row per annotated segment. Imports only the standard library, as `manifest` does.

A ground truth answers two questions, and XD-Violence answers them in two files that disagree in 143 frames:

- *what happens when* (localisation): the segments that have a class, :func:`class_segments`;
- *which frames are anomalous* (frame-level AP and AUC): :func:`anomalous_spans`. Usually that is the union of the
  class segments. A video whose annotation says otherwise also has segments labelled ``*`` (anomalous, of any class);
  then these alone count.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from avadclip.datasets import csv_file
from avadclip.datasets.model import ANY_CLASS, Segment

HEADER = ("id", "label", "start_frame", "end_frame")


def write_ground_truth(path: Path, segments: Iterable[Segment]) -> None:
    """Write a ground truth atomically, sorted by id; segments of a video keep the order of its annotation."""
    ordered = sorted(segments, key=lambda segment: segment.id)
    csv_file.write(path, HEADER, ((s.id, s.label, str(s.start_frame), str(s.end_frame)) for s in ordered))


def read_ground_truth(path: Path) -> tuple[Segment, ...]:
    """Read a ground truth.

    Raises
    ------
    DatasetError : names file, line and column of the first cell that is not as :func:`write_ground_truth` writes it.
    """
    return tuple(map(_segment, csv_file.read(path, HEADER)))


def class_segments(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The segments that have a class, in their order."""
    return tuple(segment for segment in segments if segment.label != ANY_CLASS)


def anomalous_spans(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    """Frames of *one* video that count as anomalous: disjoint, ascending spans [start_frame, end_frame)."""
    deciding = [segment for segment in segments if segment.label == ANY_CLASS] or segments
    return union((segment.start_frame, segment.end_frame) for segment in deciding)


def union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same frames as `spans`, as disjoint, ascending spans that do not touch."""
    merged: list[tuple[int, int]] = []
    for start_frame, end_frame in sorted(spans):
        if merged and start_frame <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_frame))
        else:
            merged.append((start_frame, end_frame))
    return merged


def _segment(row: csv_file.Row) -> Segment:
    segment = Segment(row.text("id"), row.text("label"), row.whole("start_frame"), row.whole("end_frame"))
    if segment.start_frame >= segment.end_frame:
        row.fail("end_frame", f"expected more than start_frame {segment.start_frame}, found {segment.end_frame}")
    return segment
