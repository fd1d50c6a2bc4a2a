"""Your own videos: ``videos.csv`` and, optionally, ``segments.csv`` in the folder ``annotations``.

``videos.csv``: header ``video,labels`` or ``video,labels,split``. `video` is a file below ``videos``: its path there,
its name, or its name without the extension; see :meth:`avadclip.datasets.files.VideoFiles.meant_by`. `labels` are names
of ``classes``, several joined by ``|``. `split` is ``train`` or ``test``; without that column, see
:mod:`avadclip.datasets.table_split`.

The id of a video is its name without the extension. If several have the same name in different folders, the first one
in the table has that id, and the ids of the others contain their folders (``yard__a``): adding a video at the end of
the table changes no id.

``segments.csv``: see :mod:`avadclip.datasets.table_segments`.
"""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import cast

from avadclip.config.datasets import Dataset
from avadclip.datasets import csv_file, ids
from avadclip.datasets.csv_file import Row, did_you_mean
from avadclip.datasets.doubts import log_unlisted, warn_of_unsegmented
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.label_cells import split_labels
from avadclip.datasets.model import NORMAL, SPLITS, ListedVideo, Listing, Split
from avadclip.datasets.table_segments import read_segments
from avadclip.datasets.table_split import default_split
from avadclip.errors import DatasetError

_FOLDER_SEPARATOR = "__"


def load(dataset: Dataset, files: VideoFiles) -> Listing:
    """Read the tables and find the files that they name.

    Raises
    ------
    DatasetError : one line for each wrong cell, with file, line and column.
    """
    path = Path(dataset.annotations) / "videos.csv"
    rows = csv_file.read(path, ("video", "labels"), ("video", "labels", "split"), strip=True)
    if not rows:
        raise DatasetError(f"{path}: expected a row for each video, found the header only; add them")
    named = _Named(files, dataset)
    videos = csv_file.parse_all(rows, named.video)
    log_unlisted(files.folder, _unlisted(files, videos), "files")

    path = Path(dataset.annotations) / "segments.csv"
    labels = {video.id: video.labels for video in videos}
    segments = read_segments(path, named.id_of, labels, dataset.classes) if path.exists() else ()
    segmented = frozenset(segment.id for segment in segments)
    if "split" not in rows[0].cells:
        usable = [video for video in videos if video.id not in dataset.exclude]
        split = default_split(usable, segmented)
        videos = [replace(video, split=split.get(video.id, video.split)) for video in videos]
    warn_of_unsegmented([video for video in videos if video.id not in dataset.exclude], segmented)
    return Listing(tuple(videos), segments)


@dataclass
class _Named:
    """The videos of the table as they are read, row by row, and their ids."""

    files: VideoFiles
    dataset: Dataset
    line_of: dict[str, int] = field(default_factory=dict)  # of every id, by its `collision_key`
    id_of_path: dict[str, str] = field(default_factory=dict)
    id_of_cell: dict[str, str] = field(default_factory=dict)

    def video(self, row: Row) -> ListedVideo:
        """One row of ``videos.csv``."""
        cell = row.text("video")
        found = self.files.meant_by(cell)
        if len(found) > 1:
            row.fail("video", f"{cell!r} may mean {' or '.join(found)}; give the path below {self.files.folder}")
        relative = found[0] if found else posixpath.normpath(cell.replace("\\", "/"))
        id_ = self._new_id(row, relative)
        if not found and id_ not in self.dataset.exclude:
            hint = did_you_mean(cell, self.files.relative)
            row.fail("video", f"no video file {cell!r} below {self.files.folder}{hint}")
        # Without the column, the split depends on segments that are not read yet.
        split = cast(Split, row.choice("split", SPLITS)) if "split" in row.cells else "train"
        labels = _labels(row, self.dataset.classes)
        self.line_of[ids.collision_key(id_)] = row.line
        self.id_of_path[relative] = self.id_of_cell[ids.composed(cell)] = id_
        return ListedVideo(id_, self.files.path(relative) if found else None, split, labels)

    def id_of(self, row: Row) -> str:
        """The id of the video that a row of another table refers to: by the same cell, by its file, or by its id."""
        cell = row.text("video")
        if known := self.id_of_cell.get(ids.composed(cell)):
            return known
        found = [relative for relative in self.files.meant_by(cell) if relative in self.id_of_path]
        if len(found) > 1:
            row.fail("video", f"{cell!r} may mean {' or '.join(found)}; write it as in videos.csv")
        if found:
            return self.id_of_path[found[0]]
        known_ids = self.id_of_path.values()
        id_ = ids.from_name(PurePosixPath(posixpath.normpath(cell.replace("\\", "/"))).name)
        if id_ not in known_ids:
            row.fail("video", f"{id_!r} is not in videos.csv{did_you_mean(id_, known_ids)}")
        return id_

    def _new_id(self, row: Row, relative: str) -> str:
        """The name or, if that is taken, the path; for two files of one name in one folder, with their extensions."""
        path = PurePosixPath(relative)
        spelt = _FOLDER_SEPARATOR.join(path.parts)
        free = [
            id_
            for id_ in (ids.from_name(path.name), ids.from_name(spelt), ids.composed(spelt))
            if ids.collision_key(id_) not in self.line_of
        ]
        if not free or relative in self.id_of_path:
            id_ = self.id_of_path.get(relative, ids.from_name(path.name))
            line = self.line_of[ids.collision_key(id_)]
            row.fail("video", f"the id {id_!r} is already that of line {line}; ids ignore case")
        try:
            ids.check(free[0])
        except DatasetError as error:
            row.fail("video", str(error))
        return free[0]


def _labels(row: Row, classes: Sequence[str]) -> tuple[str, ...]:
    labels = split_labels(row.text("labels"))
    for label in labels:
        row.choice("labels", classes, label)
    if len(set(labels)) < len(labels) or (NORMAL in labels and len(labels) > 1):
        row.fail("labels", f"expected each label once, and {NORMAL} alone, found {row.cells['labels']!r}")
    return labels


def _unlisted(files: VideoFiles, videos: Sequence[ListedVideo]) -> list[str]:
    named = {video.path for video in videos}
    return [path for path in files.relative if files.path(path) not in named]
