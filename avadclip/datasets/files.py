"""The video files of a folder, and which of them a name refers to."""

import filecmp
import logging
import os
import posixpath
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from avadclip.datasets import ids
from avadclip.errors import DatasetError, listed

logger = logging.getLogger(__name__)

_SHOWN = 5  # pairs of files with one id, in a message


@dataclass(frozen=True)
class VideoFiles:
    """The files below one folder, through links. Names that start with a dot are skipped, as shells do.

    Attributes
    ----------
    folder : as params.yaml gives it.
    relative : files with a video extension in upper or lower case; with forward slashes, sorted.
    others : all other files, which are used if a table names them in full.
    """

    folder: str
    relative: tuple[str, ...]
    others: tuple[str, ...] = ()

    @classmethod
    def find(cls, folder: str) -> "VideoFiles":
        """List the files.

        Raises
        ------
        DatasetError : there is no such folder.
        """
        if not Path(folder).is_dir():
            raise DatasetError(f"{folder}: no such folder of videos; correct `videos` in params.yaml")
        files = sorted(walk(folder, lambda name: True))
        return cls(
            folder,
            relative=tuple(file for file in files if ids.has_video_extension(file)),
            others=tuple(file for file in files if not ids.has_video_extension(file)),
        )

    def path(self, relative: str) -> str:
        """Path of one of the files, with the folder as params.yaml gives it."""
        return (PurePosixPath(self.folder) / relative).as_posix()

    def by_id(self) -> Mapping[str, str]:
        """Id -> path relative to the folder. Of files with one id and the same bytes, the first counts.

        Raises
        ------
        DatasetError : an unsafe id, or files with the same id and different bytes; it lists them.
        """
        return self._by_id

    def meant_by(self, cell: str) -> list[str]:
        """The files that a cell of a table may refer to, relative to the folder.

        A file is named by its path below the folder or by its name, with or without a video extension. Paths may be
        absolute or begin with the folder, and may be written as on Windows; Unicode forms do not matter. A path that
        is given in full has precedence over everything else that matches.
        """
        spellings = list(dict.fromkeys(self._spellings(cell)))
        for spelling in spellings:
            if spelling in self._all:
                return [spelling]
        for index in (self._by_path, self._by_name):
            for spelling in spellings:
                if found := index.get(ids.composed(spelling)):
                    return found
        return []

    def passed_over(self, used: Collection[str]) -> str:
        """A message about the files without a video extension; empty if there are none except those in `used`."""
        names = [file for file in self.others if self.path(file) not in used]
        if not names:
            return ""
        files = "a file is" if len(names) == 1 else f"{len(names)} files are"
        return f"{files} skipped for want of a video extension: {listed(names, 5)}; name a file in full to use it"

    def linked_folders(self) -> Iterator[str]:
        """Folders below this one that are links."""
        for place, folders, _ in os.walk(self.folder):
            yield from (Path(place, name).as_posix() for name in sorted(folders) if Path(place, name).is_symlink())

    @cached_property
    def _by_id(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        copies, clashes = [], []
        for relative in self.relative:
            id_ = ids.from_name(PurePosixPath(relative).name)
            ids.check(id_)
            first = found.setdefault(id_, relative)
            if first == relative:
                continue
            if _have_same_bytes(self.path(first), self.path(relative)):
                copies.append(relative)
            else:
                clashes.append(f"{first} and {relative} both have the id {id_!r}")
        if clashes:
            more = [f"and {len(clashes) - _SHOWN} more"] if len(clashes) > _SHOWN else []
            told = "\n".join(f"  {line}" for line in [*clashes[:_SHOWN], *more])
            raise DatasetError(f"{self.folder}: files differ, but have one id; rename or move one of each:\n{told}")
        if copies:
            told = listed(copies, _SHOWN)
            logger.info("%s: %d files are copies of others with their names: %s", self.folder, len(copies), told)
        ids.check_distinct(found)
        return found

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset({*self.relative, *self.others})

    @cached_property
    def _by_path(self) -> dict[str, list[str]]:
        """Paths in Unicode form NFC -> files; those of videos also without their extension."""
        found = defaultdict(list)
        for relative in (*self.relative, *self.others):
            for key in {ids.composed(relative), ids.from_name(relative)}:
                found[key].append(relative)
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for relative in (*self.relative, *self.others):
            name = PurePosixPath(relative).name
            for key in {ids.composed(name), ids.from_name(name)}:
                found[key].append(relative)
        return found

    def _spellings(self, cell: str) -> Iterator[str]:
        yield cell
        path = posixpath.normpath(cell.replace("\\", "/"))
        yield path
        for root in (self.folder, os.path.abspath(self.folder), os.path.realpath(self.folder)):  # noqa: PTH100
            start = f"{ids.composed(posixpath.normpath(root))}/"
            if ids.composed(path).startswith(start):
                yield ids.composed(path).removeprefix(start)


def _have_same_bytes(path: str, other: str) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:  # a link to nothing, for example
        return False


def walk(folder: str | Path, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Files below a folder, relative to it, with forward slashes, whose names are wanted and start with no dot."""
    visited = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()  # a link back to a folder above, or a second path to the same folder
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = "" if Path(place) == Path(folder) else f"{Path(place).relative_to(folder).as_posix()}/"
        for name in names:
            if wanted(name) and not name.startswith("."):
                yield f"{below}{name}"
