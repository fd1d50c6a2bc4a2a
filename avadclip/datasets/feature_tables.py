"""The tables of imported features: splits and labels of the videos, and their segments.

``videos.csv``: header ``video,labels,split``. `video` is an id, with or without folders and a video extension.
`labels` are names of ``classes``, several joined by ``|``. `split` is ``train`` or ``test``.

``segments.csv``, which is optional: header ``video,label,start_snippet,end_snippet`` (snippet i covers frames
[i x stride, (i + 1) x stride)), ``video,label,start_frame,end_frame`` or ``video,label,start_seconds,end_seconds``; a
segment includes its start but not its end. `label` is one of that video's labels, or ``*``: anomalous, of any class.
"""

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import cast

from avadclip.config.datasets import Dataset
from avadclip.datasets import csv_file, ids
from avadclip.datasets.csv_file import Row, did_you_mean
from avadclip.datasets.label_cells import split_labels
from avadclip.datasets.model import ANY_CLASS, NORMAL, SPLITS, ListedVideo, Listing, Segment, Split, TimedSegment
from avadclip.datasets.table_segments import check_order, parse_distinct
from avadclip.errors import DatasetError

VIDEOS, SEGMENTS = "videos.csv", "segments.csv"
_UNITS = ("snippet", "frame", "seconds")
SEGMENT_HEADERS = tuple(("video", "label", f"start_{unit}", f"end_{unit}") for unit in _UNITS)


def read_tables(dataset: Dataset, with_features: Collection[str]) -> Listing:
    """Read both tables; videos are sorted by id, excluded ones lose their segments.

    Parameters
    ----------
    with_features : ids of the videos that have files.

    Raises
    ------
    DatasetError : one line for each wrong cell, with file, line and column; or `exclude` names an unknown video.
    """
    folder = Path(dataset.annotations)
    rows = read_videos(folder)
    line_of: dict[str, int] = {}  # of every id, by its `collision_key`
    videos = csv_file.parse_all(rows, lambda row: _video(row, dataset, with_features, line_of))
    labels = {video.id: video.labels for video in videos}
    _check_exclude(dataset, labels)
    segments = _segments(folder / SEGMENTS, labels, dataset) if (folder / SEGMENTS).exists() else ()
    return Listing(
        videos=tuple(sorted(videos, key=lambda video: video.id)),
        segments=tuple(segment for segment in segments if segment.id not in dataset.exclude),
    )


def read_videos(folder: Path) -> list[Row]:
    """The rows of ``videos.csv``; :class:`DatasetError` if there are none."""
    rows = csv_file.read(folder / VIDEOS, ("video", "labels", "split"), strip=True)
    if not rows:
        raise DatasetError(f"{folder / VIDEOS}: expected a row for each video, found the header only; add them")
    return rows


def _video(row: Row, dataset: Dataset, with_features: Collection[str], line_of: dict[str, int]) -> ListedVideo:
    id_ = id_of(row)
    try:
        ids.check(id_)
    except DatasetError as error:
        row.fail("video", str(error))
    if (line := line_of.setdefault(ids.collision_key(id_), row.line)) != row.line:
        row.fail("video", f"the id {id_!r} is already that of line {line}; ids ignore case")
    if id_ not in with_features and id_ not in dataset.exclude:
        row.fail("video", f"no features of {id_!r} below {dataset.videos}{did_you_mean(id_, with_features)}")
    labels = split_labels(row.text("labels"))
    for label in labels:
        row.choice("labels", dataset.classes, label)
    if len(set(labels)) < len(labels) or (NORMAL in labels and len(labels) > 1):
        row.fail("labels", f"expected each label once, and {NORMAL} alone, found {row.cells['labels']!r}")
    return ListedVideo(id_, None, cast(Split, row.choice("split", SPLITS)), labels)


def id_of(row: Row) -> str:
    """The id of the video that a row of either table refers to."""
    return ids.from_name(PurePosixPath(row.text("video")).name)


def _check_exclude(dataset: Dataset, known: Mapping[str, object]) -> None:
    for id_, reason in dataset.exclude.items():
        if id_ not in known:
            raise DatasetError(f"`exclude` names {id_!r}, but {VIDEOS} does not{did_you_mean(id_, known)}")
        if not reason.strip():
            raise DatasetError(f"`exclude` gives no reason for {id_!r}; write one, which is reported with the metrics")


def _segments(
    path: Path, labels: Mapping[str, tuple[str, ...]], dataset: Dataset
) -> tuple[Segment | TimedSegment, ...]:
    rows = csv_file.read(path, *SEGMENT_HEADERS, strip=True)
    return parse_distinct(path, rows, lambda row: _segment(row, labels, dataset))


def _segment(row: Row, labels: Mapping[str, tuple[str, ...]], dataset: Dataset) -> Segment | TimedSegment:
    id_, label = id_of(row), row.choice("label", (*dataset.classes, ANY_CLASS))
    if id_ not in labels:
        row.fail("video", f"{id_!r} is not in {VIDEOS}{did_you_mean(id_, labels)}")
    if NORMAL in (label, *labels[id_]) or label not in (*labels[id_], ANY_CLASS):
        row.fail("label", f"expected an anomaly of {id_!r} in {VIDEOS} ({', '.join(labels[id_])}), found {label!r}")
    unit = next(unit for unit in _UNITS if f"start_{unit}" in row.cells)
    read = row.number if unit == "seconds" else row.whole
    start, end = read(f"start_{unit}"), read(f"end_{unit}")
    check_order(row, start, end, f"end_{unit}")
    if unit == "seconds":
        return TimedSegment(id_, label, start, end)
    n_frames = dataset.visual.stride if unit == "snippet" else 1
    return Segment(id_, label, n_frames * int(start), n_frames * int(end))
