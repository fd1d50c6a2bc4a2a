"""Alarms of one video as segments with a class, as they are shown. The operating point counts the same alarms."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from avadclip.evaluation.alarm_rule import EVERY_RUN, AlarmRule


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
    scores: NDArray[np.float32],
    class_probabilities: NDArray[np.float32] | None,
    threshold: float,
    rule: AlarmRule = EVERY_RUN,
) -> list[Alarm]:
    """Maximal runs of snippets in which an alarm is on, in order of time.

    Parameters
    ----------
    scores : [n], of the branch that raises alarms.
    class_probabilities : [n, C], class 0 is `normal`; or None.
    threshold : ``evaluate.alarm_threshold``.
    rule : the rest of the rule of alarms.
    """
    return alarms_in(rule.alarmed(scores, [threshold]), scores, class_probabilities)[0]


def alarms_in(
    alarmed: NDArray[np.bool_], scores: NDArray[np.float32], class_probabilities: NDArray[np.float32] | None
) -> list[list[Alarm]]:
    """The alarms of each row of `alarmed` [thresholds, n]."""
    # A snippet without alarm is added before and after, so that every run has both ends.
    padded = np.pad(alarmed, ((0, 0), (1, 1)))
    row, edges = np.nonzero(padded[:, 1:] != padded[:, :-1])
    if len(edges) == 0:
        return [[] for _ in alarmed]
    firsts, ends = edges[::2], edges[1::2]
    # Reduced between successive edges, where every second stretch is an alarm; a snippet is appended so that the end
    # of the video is an index, too.
    highest = np.maximum.reduceat(np.append(scores, scores[-1]), edges)[::2]
    classes: list[int] | list[None] = [None] * len(firsts)
    if class_probabilities is not None:
        anomalies = np.concatenate([class_probabilities[:, 1:], class_probabilities[-1:, 1:]])
        sums = np.add.reduceat(anomalies, edges, axis=0, dtype=np.float64)[::2]
        classes = (1 + sums.argmax(axis=1)).tolist()  # the highest sum is the highest mean
    alarms = [Alarm(*alarm) for alarm in zip(firsts.tolist(), ends.tolist(), classes, highest.tolist(), strict=True)]
    bounds = np.searchsorted(row[::2], np.arange(len(alarmed) + 1)).tolist()
    return [alarms[start:end] for start, end in pairwise(bounds)]
