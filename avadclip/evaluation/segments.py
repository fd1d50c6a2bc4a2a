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
    edges = np.flatnonzero(alarmed[1:] != alarmed[:-1])
    if not len(edges):
        return []
    firsts, ends = edges[::2], edges[1::2]
    # Every other stretch between edges is an alarm; a last row makes the end of the video an index, too.
    highest = np.maximum.reduceat(np.append(scores, scores[-1]), edges)[::2].tolist()
    classes: list[int] | list[None] = [None] * len(firsts)
    if class_probabilities is not None:
        anomalies = np.concatenate([class_probabilities[:, 1:], class_probabilities[-1:, 1:]])
        sums = np.add.reduceat(anomalies, edges, axis=0, dtype=np.float64)[::2]
        classes = (1 + (sums / (ends - firsts)[:, None]).argmax(axis=1)).tolist()
    return [Alarm(*alarm) for alarm in zip(firsts.tolist(), ends.tolist(), classes, highest, strict=True)]
