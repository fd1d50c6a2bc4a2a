"""One base class for everything that a user can mend: the message says where, expected, found, and what to do."""

from collections.abc import Collection


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


def listed(names: Collection[str], most: int = 20) -> str:
    """``a, b, c``: who has to mend four videos wants to know all four; of very many the first, and how many more."""
    shown = sorted(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
