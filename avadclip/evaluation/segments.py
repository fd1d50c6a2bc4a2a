"""Alarms of one video -> segments with a class: what a person is shown. The operating point counts the same alarms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Alarm:
    """An uninterrupted alarm over snippets [first, end).

    Attributes
    ----------
    class_index : anomaly class with the highest mean probability in it; None without class probabilities.
    score : highest score in it.
    """

    first: int
    end: int
    class_index: int | None
    score: float


def find_alarms(
    scores: NDArray[np.float32], class_probabilities: NDArray[np.float32] | None, threshold: float
) -> list[Alarm]:
    """Maximal runs of snippets whose score is at least `threshold`, in order of time.

    Parameters
    ----------
    scores : [n], of the branch that raises alarms.
    class_probabilities : [n, C], class 0 is `normal`; or None.
    threshold : ``evaluate.alarm_threshold``.
    """
    # A snippet before and after that never alarms: every run has both ends.
    alarmed = np.concatenate([[False], scores >= threshold, [False]])
    edges = np.flatnonzero(alarmed[1:] != alarmed[:-1]).reshape(-1, 2).tolist()
    return [
        Alarm(first, end, _class_of(class_probabilities, first, end), float(scores[first:end].max()))
        for first, end in edges
    ]


def _class_of(class_probabilities: NDArray[np.float32] | None, first: int, end: int) -> int | None:
    if class_probabilities is None:
        return None
    return 1 + int(class_probabilities[first:end, 1:].mean(axis=0, dtype=np.float64).argmax())
