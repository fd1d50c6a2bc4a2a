"""The video files of a folder."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avadclip.datasets import ids
from avadclip.errors import DatasetError


@dataclass(frozen=True)
class VideoFiles:
    """Video files below one folder, links followed. Names that start with a dot are left out, as shells do."""

    folder: str  # as params.yaml gives it
    relative: tuple[str, ...]  # with forward slashes, sorted

    @classmethod
    def find(cls, folder: str) -> "VideoFiles":
        """List every file with the extension of a video, in capitals or not.

        Raises
        ------
        DatasetError : there is no such folder.
        """
        if not Path(folder).is_dir():
            raise DatasetError(f"{folder}: no such folder of videos; correct `videos` in params.yaml")
        return cls(folder, tuple(sorted(walk(folder, ids.has_video_extension))))

    def path(self, relative: str) -> str:
        """Path of one of the files, with the folder as params.yaml gives it."""
        return (PurePosixPath(self.folder) / relative).as_posix()

    def by_id(self) -> dict[str, str]:
        """Id -> path relative to the folder.

        Raises
        ------
        DatasetError : an unsafe id, or two files that would have the same one.
        """
        found: dict[str, str] = {}
        for relative in self.relative:
            id_ = ids.from_name(PurePosixPath(relative).name)
            ids.check(id_)
            if id_ in found:
                raise DatasetError(
                    f"{self.folder}: {found[id_]} and {relative} both have the id {id_!r}; rename or move one of them"
                )
            found[id_] = relative
        ids.check_distinct(found)
        return found

    def with_id(self) -> dict[str, list[str]]:
        """Id -> every file that would have it; nothing is refused."""
        found = defaultdict(list)
        for relative in self.relative:
            found[ids.from_name(PurePosixPath(relative).name)].append(relative)
        return found


def walk(folder: str | Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Files below a folder, relative to it and with forward slashes, whose names are wanted and start with no dot."""
    visited = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()  # a link back to a folder above, or a second way to the same one
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if wanted(name) and not name.startswith("."):
                yield Path(place, name).relative_to(folder).as_posix()
