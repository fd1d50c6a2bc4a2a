"""``manifest.csv``: one row per video. Imports only the standard library, so that evaluation starts quickly."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from avadclip.datasets import csv_file, ids
from avadclip.datasets.model import NORMAL, SPLITS, Split, Video
from avadclip.errors import DatasetError

HEADER = ("id", "path", "split", "labels", "n_frames", "frame_rate", "has_audio", "content_hash", "excluded")
_LABEL_SEPARATOR = "|"
_BOOLEANS = {"false": False, "true": True}
_SHA256 = re.compile("[0-9a-f]{64}")


def write_manifest(path: Path, videos: Iterable[Video]) -> None:
    """Write a manifest atomically, sorted by id: the same videos are always the same bytes.

    Raises
    ------
    DatasetError : two videos share an id, or an id is unsafe as a file name.
    """
    ordered = sorted(videos, key=lambda video: video.id)
    for video in ordered:
        ids.check(video.id)
    ids.check_distinct(video.id for video in ordered)
    csv_file.write(path, HEADER, map(_cells, ordered))


def read_manifest(path: Path) -> tuple[Video, ...]:
    """Read a manifest; its rows include excluded videos.

    Raises
    ------
    DatasetError : names file, line and column of the first cell that is not as :func:`write_manifest` writes it.
    """
    rows = csv_file.read(path, HEADER)
    videos = tuple(map(_video, rows))
    try:
        ids.check_distinct(video.id for video in videos)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    return videos


def _cells(video: Video) -> tuple[str, ...]:
    return (
        video.id,
        video.path,
        video.split,
        _LABEL_SEPARATOR.join(video.labels),
        str(video.n_frames),
        repr(video.frame_rate),
        str(video.has_audio).lower(),
        video.content_hash,
        video.excluded,
    )


def _video(row: csv_file.Row) -> Video:
    try:
        ids.check(row.cells["id"])
    except DatasetError as error:
        row.fail("id", str(error))
    video = Video(
        id=row.cells["id"],
        path=row.cells["path"],
        split=cast(Split, row.choice("split", SPLITS)),
        labels=_labels(row),
        n_frames=row.whole("n_frames"),
        frame_rate=row.number("frame_rate"),
        has_audio=_BOOLEANS[row.choice("has_audio", tuple(_BOOLEANS))],
        content_hash=row.cells["content_hash"],
        excluded=row.cells["excluded"],
    )
    if not video.excluded:
        _check_opened(row, video)
    return video


def _labels(row: csv_file.Row) -> tuple[str, ...]:
    labels = tuple(row.text("labels").split(_LABEL_SEPARATOR))
    if "" in labels or len(set(labels)) < len(labels) or (NORMAL in labels and labels != (NORMAL,)):
        row.fail(
            "labels", f"expected distinct class names joined by |, or {NORMAL} alone, found {row.cells['labels']!r}"
        )
    return labels


def _check_opened(row: csv_file.Row, video: Video) -> None:
    if not video.path:
        row.fail("path", "empty, but the video is not excluded")
    if video.n_frames == 0:
        row.fail("n_frames", "0, but the video is not excluded")
    if video.frame_rate == 0:
        row.fail("frame_rate", "0, but the video is not excluded")
    if not _SHA256.fullmatch(video.content_hash):
        row.fail("content_hash", f"expected 64 hexadecimal digits, found {video.content_hash!r}")
