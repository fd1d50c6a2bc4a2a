"""Which videos are to be predicted, and their ids in all results."""

import glob
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avadclip.datasets import ids
from avadclip.datasets.files import VideoFiles
from avadclip.prediction.results import KEPT, OWN_NAMES, PAGE, PARTS, PREDICTIONS, SEGMENTS

_MAX_BYTES = 200  # of an id: file names are made from it, with suffixes, and may have 255
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}


@dataclass(frozen=True)
class Inputs:
    """Video files by id, in the order in which they were given, and what was not found (word -> reason).

    `passed_over` has a line for each folder that contains other files than videos.
    """

    videos: dict[str, Path] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    passed_over: tuple[str, ...] = ()


def find_videos(words: Iterable[str], out: Path | None = None) -> Inputs:
    """Files, folders (with all files below them that have a video extension) and glob patterns -> videos.

    A file that is given in several ways is one video; two files with the same name are two, with different ids. The
    copies that a page shows are no videos, unless they are given one by one.

    Parameters
    ----------
    out : absolute path of the folder for the results, which may be that of the videos. What an earlier run has written
        there is skipped; its copies of videos will be deleted, so they are failures if they are given one by one.
    """
    files: dict[str, Path] = {}  # by absolute path, links not followed
    failures: dict[str, str] = {}
    passed_over: list[str] = []
    for word in words:
        found = _meant(word, out)
        if not found:
            failures[readable(word)] = _nothing(word)
        elif found == [Path(word)] and _is_copy_in(out, found[0]):
            failures[readable(word)] = "a copy for the page in --out, which is made anew; name the video itself"
            continue
        elif Path(word).is_dir() and (rest := _passed_over(word, out)):
            passed_over.append(f"{readable(word)}: {rest}")
        for path in found:
            files.setdefault(os.path.abspath(path), path)  # noqa: PTH100 - Path.resolve() would follow links
    named = distinct_ids([path.name for path in files.values()])
    return Inputs(dict(zip(named, files.values(), strict=True)), failures, tuple(passed_over))


def distinct_ids(names: Sequence[str]) -> list[str]:
    """An id for each file name: its stem, made safe and unique (``gate``, ``gate-2``)."""
    taken: set[str] = set()
    found = []
    for name in names:
        id_, n = safe_id(name), 1
        while ids.collision_key(unique := id_ if n == 1 else f"{id_}-{n}") in taken:
            n += 1
        taken.add(ids.collision_key(unique))
        found.append(unique)
    return found


def safe_id(name: str) -> str:
    """The stem of a file name, as in a data set; characters that cannot be part of a file name become ``_``."""
    stem = ids.from_name(name)
    safe = "".join("_" if _is_unsafe(character) else character for character in stem)
    if safe.startswith(".") or not safe:
        safe = f"_{safe}"
    return safe.encode()[:_MAX_BYTES].decode(errors="ignore")


def _is_unsafe(character: str) -> bool:
    return character in "/\\" or unicodedata.category(character) in _UNPRINTABLE


def readable(path: str | Path) -> str:
    """A path as text, even if its bytes are not UTF-8."""
    return os.fsencode(path).decode(errors="replace")


def _meant(word: str, out: Path | None) -> list[Path]:
    path = Path(word)
    if path.is_dir():
        files = [path / relative for relative in VideoFiles.find(word).relative]
    elif path.exists():  # before patterns, because names may contain brackets
        return [path]
    else:
        matches = glob.glob(word, recursive=True) if glob.has_magic(word) else []  # noqa: PTH207 - may be absolute
        files = [Path(match) for match in sorted(matches) if Path(match).is_file()]
    return [file for file in files if not (_is_copy_in(out, file) or _is_copy(file))]


def _is_copy(file: Path) -> bool:
    """Whether this is a copy that a page shows, in the results of any run."""
    folder = file.parent.parent
    return _is_copy_in(folder.resolve(), file) and any((folder / name).exists() for name in (PAGE, PREDICTIONS))


def _is_copy_in(out: Path | None, file: Path) -> bool:
    return out is not None and file.match(f"media/{OWN_NAMES}") and file.parent.resolve() == out / "media"


def _passed_over(word: str, out: Path | None) -> str:
    files = VideoFiles.find(word)
    inside = {path for path in map(files.path, files.others) if out is not None and _is_result(Path(path), out)}
    return readable(files.passed_over(inside))


def _is_result(path: Path, out: Path) -> bool:
    """Whether this file is where a run writes its results."""
    place = path.resolve()
    if not place.is_relative_to(out):
        return False
    first = place.relative_to(out).parts[0]
    return first in {KEPT, *PARTS, PAGE, PREDICTIONS, SEGMENTS} or (place.parent == out and place.suffix == ".vtt")


def _nothing(word: str) -> str:
    if Path(word).is_dir():
        expected = f"expected files that end in {', '.join(ids.VIDEO_EXTENSIONS)}"
        return "; ".join(filter(None, ["no videos below this folder", expected, _passed_over(word, None)]))
    return "no file matches" if glob.has_magic(word) else "no such file or folder"
