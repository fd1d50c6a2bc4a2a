"""One base class for everything that a user can mend: the message says where, expected, found, and what to do."""

import errno
import os
import re
from collections.abc import Collection

_REMEDIES = {
    errno.ENOSPC: "free space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "take a file system for larger files",
    errno.EROFS: "make it writable",
    errno.EACCES: "see that you may write there",
    errno.EPERM: "see that you may write there",
    errno.EIO: "look at the disk, or at the network share",
    errno.ESTALE: "look at the network share",
}


class AvadclipError(Exception):
    """Base of every error that this project raises on purpose; scripts print its message without a traceback."""


class ConfigError(AvadclipError):
    """A parameter file cannot be used."""


class DatasetError(AvadclipError):
    """Videos, labels or annotations of a data set contradict each other or cannot be read."""


class MediaError(AvadclipError):
    """A video or audio file cannot be decoded as its container promises."""


class FeatureError(AvadclipError):
    """A feature file is missing, damaged, or made with another recipe than the one asked for."""


class WeightsError(AvadclipError):
    """Pretrained weights are missing or are not the pinned file."""


class CheckpointError(AvadclipError):
    """A detector checkpoint cannot be used with these features or classes."""


class TrainingError(AvadclipError):
    """Training cannot start or cannot go on."""


class EvaluationError(AvadclipError):
    """Scores and ground truth do not describe the same videos."""


class PredictionError(AvadclipError):
    """What detectors would say about a video cannot be found out."""


class ExtractionError(AvadclipError):
    """Some videos could not be turned into features; everything else was kept."""


class ReportError(AvadclipError):
    """The page cannot show what it is asked to show."""


class ClusterError(AvadclipError):
    """The Ray cluster is missing, or cannot do what is asked of it."""


def refused_write(error: OSError) -> str | None:
    """What to say of a write that the file system has refused; None of any other error."""
    # HDF5 has the number in its text only.
    found = re.search(r"errno = (\d+)", str(error))
    number = error.errno or (int(found[1]) if found else 0)
    if number not in _REMEDIES:
        return None
    where = "a file" if error.filename is None else os.fsdecode(error.filename)
    return (
        f"{where}: {os.strerror(number)}; {_REMEDIES[number]}, then run the same again: what is finished is kept, and"
        " no file is half written"
    )


def printable(text: str) -> str:
    """A message without what a terminal would obey: names in it may hold anything. Line ends stay."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def listed(names: Collection[str], most: int = 20) -> str:
    """``a, b, c``: who has to mend four videos wants to know all four; of very many the first, and how many more."""
    shown = sorted(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
