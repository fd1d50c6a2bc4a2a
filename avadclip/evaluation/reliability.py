"""What a score means: the share of anomalous frames by bin of the score, which a calibrated score equals."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reliability:
    """Results by bin of the score, for the bins that have frames; all arrays are [bins].

    There are no bins where no frame is known to be anomalous: then every score above 0 would look wrong.
    """

    score: NDArray[np.float64]  # mean over the frames
    anomalous_share: NDArray[np.float64]
    frames: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., AAAI 2015): mean distance of share and score over all frames."""
        if len(self.frames) == 0:
            return math.nan
        apart = np.abs(self.anomalous_share - self.score)
        return float((apart * self.frames).sum() / self.frames.sum())


def reliability(
    scores: NDArray[np.float32], frames: NDArray[np.int64], anomalous: NDArray[np.int64], n_bins: int
) -> Reliability:
    """Reliability of snippets [n] with scores in 0..1; `frames` and `anomalous` are their numbers of such frames."""
    exact = scores.astype(np.float64)
    bins = np.minimum((exact * n_bins).astype(np.intp), n_bins - 1)
    counts, hits, sums = (np.bincount(bins, w) for w in (frames, anomalous, exact * frames))
    filled = np.flatnonzero(counts) if anomalous.any() else np.zeros(0, np.intp)
    counts = counts[filled]
    return Reliability(sums[filled] / counts, hits[filled] / counts, counts.astype(np.int64))
