"""The two tables of a data set of kind ``table`` or ``features``, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avadclip.config.datasets import Dataset
from avadclip.datasets import csv_file, feature_tables, table, table_segments
from avadclip.datasets.array_files import ArrayFiles
from avadclip.datasets.csv_file import Row
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.model import ListedVideo
from avadclip.errors import DatasetError
from avadclip.interop.corrections.decisions import Span
from avadclip.interop.corrections.table_text import read_records

VIDEOS, SEGMENTS = feature_tables.VIDEOS, feature_tables.SEGMENTS
SECONDS = ("video", "label", "start_seconds", "end_seconds")
KINDS = ("table", "features")


@dataclass(frozen=True)
class VideoRow:
    """A row of ``videos.csv``."""

    line: int
    cell: str  # column `video`
    video: ListedVideo


@dataclass(frozen=True)
class SegmentRow:
    """A row of ``segments.csv``."""

    line: int
    id: str
    span: Span


@dataclass(frozen=True)
class Tables:
    """Both tables; `unit` is that of the segments: seconds, frame or snippet."""

    videos: tuple[VideoRow, ...]
    segments: tuple[SegmentRow, ...]
    unit: str
    has_split: bool


def read_tables(dataset: Dataset, files: VideoFiles | None) -> Tables:
    """Read both tables as strictly as stage ``prepare`` does.

    Parameters
    ----------
    files : the videos of a data set of kind ``table``.

    Raises
    ------
    DatasetError : one line for each wrong cell.
    """
    folder = Path(dataset.annotations)
    if files is not None:
        headers: Sequence[tuple[str, ...]] = (("video", "labels"), ("video", "labels", "split"))
        listing = table.load(dataset, files)
        segment_headers: Sequence[tuple[str, ...]] = table_segments.HEADERS
    else:
        headers = (("video", "labels", "split"),)
        listing = feature_tables.read_tables(dataset, ArrayFiles(dataset).ids)
        segment_headers = feature_tables.SEGMENT_HEADERS
    rows = csv_file.read(folder / VIDEOS, *headers, strip=True)
    has_segments = (folder / SEGMENTS).exists()
    segments = csv_file.read(folder / SEGMENTS, *segment_headers, strip=True) if has_segments else []
    if files is not None:  # in the order of the rows; only the reader of this kind knows their ids
        ids, segment_ids = [video.id for video in listing.videos], [segment.id for segment in listing.segments]
    else:
        ids, segment_ids = list(map(feature_tables.id_of, rows)), list(map(feature_tables.id_of, segments))
    listed = {video.id: video for video in listing.videos}
    header = tuple(segments[0].cells) if segments else _header(folder / SEGMENTS, segment_headers)
    return Tables(
        videos=tuple(VideoRow(row.line, row.cells["video"], listed[id_]) for row, id_ in zip(rows, ids, strict=True)),
        segments=tuple(SegmentRow(row.line, id_, _span(row)) for row, id_ in zip(segments, segment_ids, strict=True)),
        unit=header[-1].removeprefix("end_"),
        has_split="split" in rows[0].cells,
    )


def _header(path: Path, headers: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The header of a table of segments without rows, or of one that will be written."""
    if not path.exists():
        return SECONDS
    found = tuple(cell.strip("\ufeff ") for cell in read_records(path)[0].cells)
    return found if found in headers else SECONDS


def _span(row: Row) -> Span:
    _, label, start, end = row.cells.values()
    return Span(label, float(start), float(end))


def place_of(path: Path) -> Path:
    """The file of a table, through links, so that the table is edited where its owner keeps it.

    Raises
    ------
    DatasetError : it may not be written.
    """
    place = path.resolve()
    # DVC makes links into its cache read-only; writing there would damage the cache.
    if place.exists() and not place.stat().st_mode & 0o200:
        raise DatasetError(f"{place}: expected a file that can be edited, found it read-only; `dvc unprotect {path}`")
    return place
