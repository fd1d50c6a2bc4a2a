"""From the scores of one video to its alarms: the one rule of evaluation, page and ``predict``.

``alarm_rule.js`` of the page does the same with the same numbers, to the last bit; a test compares both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Alarms

_DIGITS = 6  # 2 s of 24 frames/s in snippets of 16 are 3 snippets, whatever rounding makes of it


@dataclass(frozen=True)
class AlarmRule:
    """:class:`avadclip.config.evaluation.Alarms` in snippets of one video, so that nobody has to round again.

    Attributes
    ----------
    smooth : snippets on either side over which a score is averaged; as many as there are at the ends.
    off : share of the threshold down to which an alarm goes on.
    bridge : the longest gap that is alarm, too.
    shortest : what is shorter is no alarm.
    pad : added before and after.
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
        levels = np.array(thresholds, np.float64)[:, None]
        smoothed = self._smoothed(scores)
        on = smoothed >= levels.astype(np.float32)
        if self == EVERY_RUN:
            return on
        rows = [_runs(row) for row in smoothed >= (self.off * levels).astype(np.float32)]
        return np.stack([self._shaped(runs, started) for runs, started in zip(rows, on, strict=True)])

    def _smoothed(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.smooth:
            return scores
        place, n = np.arange(len(scores)), len(scores)
        sums = np.append(0.0, np.cumsum(scores, dtype=np.float64))
        first, end = np.maximum(place - self.smooth, 0), np.minimum(place + self.smooth + 1, n)
        means: NDArray[np.float64] = (sums[end] - sums[first]) / (end - first)
        return means.astype(np.float32)

    def _shaped(self, runs: NDArray[np.intp], started: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Runs [k, 2] of snippets in which an alarm may go on -> alarms [n]."""
        counted = np.append(0, np.cumsum(started))
        runs = runs[counted[runs[:, 1]] > counted[runs[:, 0]]]
        if len(runs):
            is_apart = runs[1:, 0] - runs[:-1, 1] > self.bridge
            runs = np.stack([runs[np.append(True, is_apart), 0], runs[np.append(is_apart, True), 1]], axis=1)
        alarmed = np.zeros(len(started), bool)
        for first, end in runs[runs[:, 1] - runs[:, 0] >= self.shortest].tolist():
            alarmed[max(0, first - self.pad) : end + self.pad] = True
        return alarmed


EVERY_RUN = AlarmRule()  # that reaches the threshold is an alarm


def _runs(row: NDArray[np.bool_]) -> NDArray[np.intp]:
    """First and end [k, 2] of each run."""
    return np.flatnonzero(np.diff(row, prepend=False, append=False)).reshape(-1, 2)
