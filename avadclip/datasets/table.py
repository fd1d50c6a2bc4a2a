"""Anybody's own videos: ``videos.csv`` and, optionally, ``segments.csv`` in the folder ``annotations``.

``videos.csv``: header ``video,labels`` or ``video,labels,split``. `video` is a file below ``videos``: its path there,
its name, or its name without the extension. `labels` are names out of ``classes``, several joined by ``|``. `split` is
``train`` or ``test``.

``segments.csv`` says when something happens, in frames or in seconds: header ``video,label,start_frame,end_frame`` or
``video,label,start_seconds,end_seconds``; a segment includes its start and not its end. `video` is written as in
``videos.csv``, `label` is one of that video's labels.

Without a column `split`, a video with segments is for testing; an anomalous video without segments is for training if
there are any segments at all; of all others about one in five is for testing, by a hash of the id. So the split of a
video does not depend on which other videos there are.
"""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import cast

from avadclip.config.datasets import Dataset
from avadclip.datasets import csv_file, ids
from avadclip.datasets.csv_file import Row, did_you_mean
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.model import NORMAL, SPLITS, ListedVideo, Listing, Segment, Split, TimedSegment
from avadclip.errors import DatasetError

logger = logging.getLogger(__name__)

_IN_FRAMES = ("video", "label", "start_frame", "end_frame")
_IN_SECONDS = ("video", "label", "start_seconds", "end_seconds")
_LABEL_SEPARATOR = "|"
_ONE_IN = 5  # videos to one test video, where the table does not say


def load(dataset: Dataset, files: VideoFiles) -> Listing:
    """Read the tables and find the files that they name.

    Raises
    ------
    DatasetError : a line for each wrong cell, with file, line and column.
    """
    folder = Path(dataset.annotations)
    rows = csv_file.read(folder / "videos.csv", ("video", "labels"), ("video", "labels", "split"), strip=True)
    if not rows:
        raise DatasetError(f"{folder / 'videos.csv'}: a header, but no videos")
    relative_by_id = files.with_id()
    videos = csv_file.parse_all(rows, lambda row: _video(row, dataset, files, relative_by_id))
    _check_distinct(rows, videos)
    _log_unlisted(files, videos)

    path = folder / "segments.csv"
    labels = {video.id: video.labels for video in videos}
    segments = _segments(path, labels, dataset.classes) if path.exists() else ()
    segmented = frozenset(segment.id for segment in segments)
    if "split" not in rows[0].cells:
        videos = [replace(video, split=_default_split(video, segmented)) for video in videos]
    _log_unsegmented(videos, segmented)
    return Listing(tuple(videos), tuple(segments))


def _video(row: Row, dataset: Dataset, files: VideoFiles, relative_by_id: Mapping[str, list[str]]) -> ListedVideo:
    id_ = _video_id(row)
    path = _find(row, id_, files, relative_by_id)
    if path is None and id_ not in dataset.exclude:
        hint = did_you_mean(row.cells["video"], files.relative)
        row.fail("video", f"no video file {row.cells['video']!r} below {files.folder}{hint}")
    # Without the column, the split depends on segments that are not read yet.
    split = cast(Split, row.choice("split", SPLITS)) if "split" in row.cells else "train"
    return ListedVideo(id_, path, split, _labels(row, dataset.classes))


def _video_id(row: Row) -> str:
    """The id that a cell of the column `video` means."""
    id_ = ids.from_name(PurePosixPath(row.text("video")).name)
    try:
        ids.check(id_)
    except DatasetError as error:
        row.fail("video", str(error))
    return id_


def _find(row: Row, id_: str, files: VideoFiles, relative_by_id: Mapping[str, list[str]]) -> str | None:
    cell = row.cells["video"]
    named = [path for path in relative_by_id.get(id_, ()) if cell in (path, PurePosixPath(path).name, id_)]
    if cell in named:
        return files.path(cell)
    if len(named) > 1:
        row.fail("video", f"{cell!r} may be {' or '.join(named)}; give the path below {files.folder}")
    return files.path(named[0]) if named else None


def _labels(row: Row, classes: Sequence[str]) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in row.text("labels").split(_LABEL_SEPARATOR))
    for label in labels:
        row.choice("labels", classes, label)
    if len(set(labels)) < len(labels) or (NORMAL in labels and len(labels) > 1):
        row.fail("labels", f"a label twice, or {NORMAL} beside another: {row.cells['labels']!r}")
    return labels


def _segments(
    path: Path, labels: Mapping[str, tuple[str, ...]], classes: Sequence[str]
) -> Sequence[Segment | TimedSegment]:
    rows = csv_file.read(path, _IN_FRAMES, _IN_SECONDS, strip=True)
    return csv_file.parse_all(rows, lambda row: _segment(row, labels, classes))


def _segment(row: Row, labels: Mapping[str, tuple[str, ...]], classes: Sequence[str]) -> Segment | TimedSegment:
    id_ = _video_id(row)
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


def _check_distinct(rows: Sequence[Row], videos: Sequence[ListedVideo]) -> None:
    line_of: dict[str, int] = {}
    for row, video in zip(rows, videos, strict=True):
        first_line = line_of.setdefault(ids.collision_key(video.id), row.line)
        if first_line != row.line:
            row.fail("video", f"the id {video.id!r} is already that of line {first_line}; ids ignore folder and case")


def _default_split(video: ListedVideo, segmented: Collection[str]) -> Split:
    if segmented and video.labels != (NORMAL,):
        return "test" if video.id in segmented else "train"
    return "test" if int(hashlib.sha256(video.id.encode()).hexdigest(), 16) % _ONE_IN == 0 else "train"


def _log_unlisted(files: VideoFiles, videos: Sequence[ListedVideo]) -> None:
    listed = {video.path for video in videos}
    unlisted = [path for path in files.relative if files.path(path) not in listed]
    if unlisted:
        logger.info("%s: %d files are not in videos.csv, %r among them", files.folder, len(unlisted), unlisted[0])


def _log_unsegmented(videos: Sequence[ListedVideo], segmented: Collection[str]) -> None:
    unknown = [v.id for v in videos if v.split == "test" and v.labels != (NORMAL,) and v.id not in segmented]
    if unknown:
        logger.warning(
            "%d anomalous test videos have no segments, %s among them: when they are anomalous cannot be evaluated",
            len(unknown),
            unknown[0],
        )
