"""What a score means: by bin of the score, which share of the frames is anomalous. A calibrated score is that share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reliability:
    """By bin of the score in which there are any frames; all arrays are [bins]."""

    score: NDArray[np.float64]  # mean over the frames
    anomalous_share: NDArray[np.float64]
    frames: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., AAAI 2015): how far share and score lie apart, over all frames."""
        apart = np.abs(self.anomalous_share - self.score)
        return float((apart * self.frames).sum() / max(self.frames.sum(), 1))


def reliability(
    scores: NDArray[np.float32], frames: NDArray[np.int64], anomalous: NDArray[np.int64], n_bins: int
) -> Reliability:
    """Of snippets [n] with scores in 0..1, the frames that they stand for, and how many of these are anomalous."""
    exact = scores.astype(np.float64)
    bins = np.minimum((exact * n_bins).astype(np.intp), n_bins - 1)
    counts, hits, sums = (np.bincount(bins, w) for w in (frames, anomalous, exact * frames))
    filled = np.flatnonzero(counts)
    counts = counts[filled]
    return Reliability(sums[filled] / counts, hits[filled] / counts, counts.astype(np.int64))
