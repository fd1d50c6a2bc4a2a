"""One base class for every error that a user can correct: its message says where, expected, found, and what to do."""

import errno
import os
import re
from collections.abc import Collection

_REMEDIES = {
    errno.ENOSPC: "free space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "use a file system that allows larger files",
    errno.EROFS: "make it writable",
    errno.EACCES: "make sure that you may write there",
    errno.EPERM: "make sure that you may write there",
    errno.EIO: "check the disk or the network share",
    errno.ESTALE: "check the network share",
}


class AvadclipError(Exception):
    """Base class of the errors that this project raises on purpose; scripts print the message without a traceback."""


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


class HeldOutError(TrainingError):
    """Held-out training videos are too few, or too unlike what was learned, to decide anything."""


class EvaluationError(AvadclipError):
    """Scores and ground truth do not describe the same videos."""


class PredictionError(AvadclipError):
    """A video cannot be scored."""


class ExtractionError(AvadclipError):
    """Some videos could not be turned into features; those of all others were kept."""


class ReportError(AvadclipError):
    """The page cannot show what it is asked to show."""


class ClusterError(AvadclipError):
    """The Ray cluster is missing, or cannot do what is asked of it."""


def refused_write(error: OSError) -> str | None:
    """The message for a write that the file system refused; None for any other error."""
    # HDF5 gives the number in its text only.
    found = re.search(r"errno = (\d+)", str(error))
    number = error.errno or (int(found[1]) if found else 0)
    if number not in _REMEDIES:
        return None
    where = "a file" if error.filename is None else os.fsdecode(error.filename)
    return (
        f"{where}: {os.strerror(number)}; {_REMEDIES[number]}, then run the same command again: finished files are"
        " kept, and none is half written"
    )


def printable(text: str) -> str:
    """A message without control characters, which names in it may contain; line ends are kept."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def listed(names: Collection[str], most: int = 20) -> str:
    """``a, b, c``: all names or, of more than `most`, the first of them and the number of the others."""
    shown = sorted(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
