"""From the scores of one video to its alarms, by the same rule in evaluation, page and ``predict``.

``alarm_rule.js`` of the page computes the same to the last bit; a test compares both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Alarms

_DIGITS = 6  # 2 s at 24 frames/s in snippets of 16 are 3 snippets, despite rounding errors


@dataclass(frozen=True)
class AlarmRule:
    """:class:`avadclip.config.evaluation.Alarms` in snippets of one video, so that it is rounded only once.

    Attributes
    ----------
    smooth : snippets on either side over which a score is averaged; fewer at the ends of the video.
    off : share of the threshold down to which an alarm continues.
    bridge : the longest gap that joins two alarms.
    shortest : shorter alarms are dropped.
    pad : added before and after each alarm.
    """

    smooth: int = 0
    off: float = 1.0
    bridge: int = 0
    shortest: int = 1
    pad: int = 0

    @classmethod
    def of(cls, alarms: Alarms, stride: int, frame_rate: float) -> Self:
        """For a video of this frame rate: windows and gaps are rounded down to whole snippets, the rest up."""

        def snippets(seconds: float) -> float:
            return round(seconds * frame_rate / stride, _DIGITS)

        return cls(
            smooth=int(snippets(alarms.smooth_seconds) / 2),
            off=alarms.off,
            bridge=int(snippets(alarms.bridge_seconds)),
            shortest=max(1, math.ceil(snippets(alarms.shortest_seconds))),
            pad=math.ceil(snippets(alarms.pad_seconds)),
        )

    def alarmed(self, scores: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.bool_]:
        """Whether an alarm is on in each snippet, at each of the thresholds: [thresholds, n].

        Everything is compared in the precision of the scores.
        """
        return self._limited(len(scores))._alarmed(scores, thresholds)

    def _alarmed(self, scores: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.bool_]:
        levels = np.array(thresholds, np.float64)[:, None]
        smoothed = self._smoothed(scores)
        on = smoothed >= levels.astype(np.float32)
        if self == EVERY_RUN:
            return on
        # Runs in which an alarm may continue, for one threshold after the other; those that reach it are alarms.
        row, first, end = _runs(smoothed >= (self.off * levels).astype(np.float32))
        n_on = np.pad(on.cumsum(axis=1), ((0, 0), (1, 0)))
        row, first, end = (each[n_on[row, end] > n_on[row, first]] for each in (row, first, end))
        # Alarms with a short gap between them are joined.
        begins = np.append(True, (row[1:] != row[:-1]) | (first[1:] - end[:-1] > self.bridge))[: len(row)]
        ends = np.append(begins[1:], True)[: len(row)]
        row, first, end = row[begins], first[begins], end[ends]
        is_long = end - first >= self.shortest
        row, first, end = (each[is_long] for each in (row, first, end))
        n = on.shape[1]
        change = np.zeros((len(on), n + 1), np.int64)  # number of padded alarms that begin minus number that end
        np.add.at(change, (row, np.maximum(first - self.pad, 0)), 1)
        np.add.at(change, (row, np.minimum(end + self.pad, n)), -1)
        alarmed: NDArray[np.bool_] = change.cumsum(axis=1)[:, :n] > 0
        return alarmed

    def highest_levels(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """The highest threshold at which an alarm is on in each snippet [n]; -inf where there is none at any.

        For thresholds in single precision this is equivalent to :meth:`alarmed`: a lower one alarms wherever a higher
        one does, and each step of the rule is a maximum or a minimum over neighbours.
        """
        return self._limited(len(scores))._highest_levels(scores)

    def _limited(self, n: int) -> "AlarmRule":
        """The same rule for a video of `n` snippets, without windows that are longer."""
        return AlarmRule(
            smooth=min(self.smooth, n),
            off=self.off,
            bridge=min(self.bridge, n),
            shortest=min(self.shortest, n + 1),
            pad=min(self.pad, n),
        )

    def _highest_levels(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        reached = self._smoothed(scores)
        if self == EVERY_RUN:
            return reached
        if self.off < 1:
            reached = _reconstructed(reached, _last_level(reached, self.off))
        for window, steps in (
            (self.bridge + 1, (np.maximum, np.minimum)),  # short gaps are closed
            (self.shortest, (np.minimum, np.maximum)),  # short alarms are dropped
        ):
            reached = np.pad(reached, window - 1, constant_values=-np.inf)
            for extreme in steps:
                reached = _slide(extreme, reached, window)
        return _slide(np.maximum, np.pad(reached, self.pad, constant_values=-np.inf), 2 * self.pad + 1)

    def _smoothed(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.smooth:
            return scores
        place, n = np.arange(len(scores)), len(scores)
        sums = np.append(0.0, np.cumsum(scores, dtype=np.float64))
        first, end = np.maximum(place - self.smooth, 0), np.minimum(place + self.smooth + 1, n)
        means: NDArray[np.float64] = (sums[end] - sums[first]) / (end - first)
        return means.astype(np.float32)


EVERY_RUN = AlarmRule()  # that reaches the threshold is an alarm


def n_runs(alarmed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of alarms in each row."""
    begins = alarmed & ~np.pad(alarmed, ((0, 0), (1, 0)))[:, :-1]
    n: NDArray[np.int64] = begins.sum(axis=1, dtype=np.int64)
    return n


def _slide(extreme: np.ufunc, values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """`np.maximum` or `np.minimum` over each window: [n - window + 1]."""
    n = len(values) - window + 1
    found: NDArray[np.float32] = reduce(extreme, (values[first : first + n] for first in range(window)))
    return found


def _last_level(scores: NDArray[np.float32], off: float) -> NDArray[np.float32]:
    """The highest threshold at which an alarm continues at each score: `off` of it, rounded, is not above the score."""

    def goes_on(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
        return (off * levels.astype(np.float64)).astype(np.float32) <= scores

    levels = (scores / off).astype(np.float32)  # or a neighbour of it
    while not (on := goes_on(levels)).all():
        levels = np.where(on, levels, np.nextafter(levels, np.float32(-1)))
    while (on := goes_on(higher := np.nextafter(levels, np.float32(np.inf)))).any():
        levels = np.where(on, higher, levels)
    return levels


def _reconstructed(begun: NDArray[np.float32], goes_on: NDArray[np.float32]) -> NDArray[np.float32]:
    """The highest threshold of an alarm that begins somewhere and continues up to here, forward or backward in time."""
    both = []
    for way in (1, -1):
        level, reached = -math.inf, []
        for begins, last in zip(begun[::way].tolist(), goes_on[::way].tolist(), strict=True):
            if begins > level:
                level = begins
            if last < level:
                level = last
            reached.append(level)
        both.append(reached[::way])
    highest: NDArray[np.float32] = np.array(both, np.float32).max(axis=0)
    return highest


def _runs(rows: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row, first and end of each run in any row, in order."""
    padded = np.pad(rows, ((0, 0), (1, 1)))
    row, edges = np.nonzero(padded[:, 1:] != padded[:, :-1])
    return row[::2], edges[::2], edges[1::2]
