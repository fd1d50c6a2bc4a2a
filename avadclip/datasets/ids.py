"""Video ids: file stems as the data set gives them, safe as the name of a feature file."""

import unicodedata
from collections.abc import Iterable

from avadclip.errors import DatasetError

# fmt: off
VIDEO_EXTENSIONS = (
    ".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".m1v", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".ogg", ".ogv", ".rm", ".ts", ".vob", ".webm", ".wmv",
)
# fmt: on
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_MAX_BYTES = 255 - len(".h5")  # the longest file name of common file systems holds <id>.h5


def has_video_extension(name: str) -> bool:
    """Whether `name` ends like a video file, in capitals or not."""
    return name.lower().endswith(VIDEO_EXTENSIONS)


def from_name(name: str) -> str:
    """The id that a file name or a line of an annotation file means.

    Only a known video extension is cut off, because ids have dots of their own (``Salt.2010__#01_label_G-0-0``).
    """
    return name[: name.rindex(".")] if has_video_extension(name) else name


def check(id_: str) -> None:
    """Refuse an id that could not be the name of a feature file.

    Raises
    ------
    DatasetError : empty, a leading dot, a path separator, a control character, not UTF-8, or longer than 252 bytes.
    """
    problem = _problem(id_)
    if problem:
        raise DatasetError(f"video id {id_!r} {problem}; ids name feature files, so rename the video")


def collision_key(id_: str) -> str:
    """Ids with the same key would be one file where the file system ignores case or Unicode form."""
    return unicodedata.normalize("NFC", id_).casefold()


def check_distinct(ids: Iterable[str]) -> None:
    """Refuse ids of which two are the same, or would be on a file system that ignores case or Unicode form.

    Raises
    ------
    DatasetError : names both ids.
    """
    seen: dict[str, str] = {}
    for id_ in ids:
        key = collision_key(id_)
        if key in seen:
            same = "appears twice" if seen[key] == id_ else f"differs from {seen[key]!r} only in case or Unicode form"
            raise DatasetError(f"video id {id_!r} {same}; ids name feature files, so rename one of the videos")
        seen[key] = id_


def _problem(id_: str) -> str | None:
    if not id_:
        return "is empty"
    if id_.startswith("."):
        return "starts with a dot"
    if "/" in id_ or "\\" in id_:
        return "contains a path separator"
    # Cc: control (NUL, line ends), Cs: bytes that were not UTF-8, Zl and Zp: Unicode line ends; none is printable.
    if not id_.isprintable() and _REFUSED_CATEGORIES.intersection(map(unicodedata.category, id_)):
        return "contains a control character or is not UTF-8"
    if len(id_.encode()) > _MAX_BYTES:
        return f"is longer than {_MAX_BYTES} bytes"
    return None
