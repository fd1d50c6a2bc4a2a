"""Intervals by resampling videos: how far a number would move with another draw of test videos."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from avadclip.evaluation.metrics import Resampled

Interval = tuple[float, float]


def intervals(
    evaluate: Callable[[NDArray[np.float64]], Resampled], n_videos: int, resamples: int, seed: int, confidence: float
) -> dict[str, Interval]:
    """Percentile interval of each metric.

    Every detector sees the same resamples, because they depend on `n_videos` and `seed` alone.

    Parameters
    ----------
    evaluate : metrics by name, each [resamples], for weights [resamples, videos]; k means drawn k times.
    n_videos : videos of the test set; so many are drawn, with replacement.
    resamples : how often; 0 gives no intervals.
    seed : of the draws.
    confidence : share of the resamples inside the interval, 0..1.

    Returns
    -------
    Lower and upper end by name. A metric that is NaN in a resample (no anomalous video was drawn) is ignored there; one
    that is NaN in all has no interval.
    """
    if resamples == 0:
        return {}
    drawn = np.random.default_rng(seed).integers(n_videos, size=(resamples, n_videos))
    weights = np.stack([np.bincount(row, minlength=n_videos) for row in drawn]).astype(np.float64)
    tail = (1 - confidence) / 2
    ends = {}
    for name, values in evaluate(weights).items():
        defined = values[np.isfinite(values)]
        if len(defined):
            low, high = np.quantile(defined, [tail, 1 - tail])
            ends[name] = (float(low), float(high))
    return ends
