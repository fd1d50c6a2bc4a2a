"""Video ids: file stems as the data set gives them, safe as the name of a feature file."""

import unicodedata
from collections.abc import Iterable

from avadclip.errors import DatasetError

# fmt: off
VIDEO_EXTENSIONS = (
    ".264", ".265", ".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".avc", ".avi", ".dat", ".dav", ".divx", ".dv", ".evo",
    ".f4v", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg",
    ".mjpg", ".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".ogg", ".ogm",
    ".ogv", ".qt", ".rm", ".rmvb", ".tod", ".tp", ".trp", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".xvid", ".y4m",
)
# fmt: on
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_MAX_BYTES = 239  # file systems commonly allow names of 255; files made from a video append up to 16 to its id


def has_video_extension(name: str) -> bool:
    """Whether `name` has a video extension, in upper or lower case."""
    return name.lower().endswith(VIDEO_EXTENSIONS)


def from_name(name: str) -> str:
    """The id that a file name or a line of an annotation file refers to.

    Only a known video extension is cut off, because ids may contain dots (``Salt.2010__#01_label_G-0-0``). Letters
    with accents are composed (NFC): a Mac decomposes them in file names, and tables have both forms.
    """
    return composed(name[: name.rindex(".")] if has_video_extension(name) else name)


def composed(name: str) -> str:
    """A name in the Unicode form NFC, in which names that look the same are equal."""
    return unicodedata.normalize("NFC", name)


def check(id_: str) -> None:
    """Refuse an id that cannot be the name of a feature file.

    Raises
    ------
    DatasetError : the id is empty, starts with a dot, contains a path separator or a control character, is not UTF-8,
        or is longer than 239 bytes.
    """
    problem = _problem(id_)
    if problem:
        raise DatasetError(f"video id {id_!r} {problem}; ids name feature files, so rename the video")


def collision_key(id_: str) -> str:
    """Ids with the same key would be one file on a file system that ignores case or Unicode form."""
    return composed(id_).casefold()


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
