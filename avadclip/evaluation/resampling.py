"""Intervals by resampling videos: how much a number would vary with another sample of test videos.

AP and ROC area are computed for a thousand weightings of the videos at once, by two matrix products instead of a
thousand passes: a ranking is cut at some ranks, and what each video has above each cut is counted once. Any weighting
of the videos then weights these rows. The numbers are whole, so the products are exact in any order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avadclip.evaluation.ranking import Positives, Ranking

Values = NDArray[np.float64]
# Metrics by name, with one value for each resample [resamples].
Resampled = dict[str, Values]
Interval = tuple[float, float]


def intervals(
    evaluate: Callable[[Values], Resampled], n_videos: int, resamples: int, seed: int, confidence: float
) -> dict[str, Interval]:
    """Percentile interval of each metric, :func:`ends` of :func:`resample`; `confidence` is the share inside."""
    return ends(resample(evaluate, n_videos, resamples, seed), confidence)


def resample(evaluate: Callable[[Values], Resampled], n_videos: int, resamples: int, seed: int) -> Resampled:
    """Each metric in each resample.

    Resamples depend on `n_videos` and `seed` alone, so all detectors have the same ones and can be compared resample by
    resample.

    Parameters
    ----------
    evaluate : metrics by name, each [resamples], for weights [resamples, videos]; k means drawn k times.
    n_videos : videos of the test set; as many are drawn, with replacement.
    resamples : how often; 0 gives no intervals.
    seed : of the draws.
    """
    if resamples == 0 or n_videos == 0:
        return {}
    drawn = np.random.default_rng(seed).integers(n_videos, size=(resamples, n_videos))
    return evaluate(np.stack([np.bincount(row, minlength=n_videos) for row in drawn]).astype(np.float64))


def ends(resampled: Resampled, confidence: float) -> dict[str, Interval]:
    """Lower and upper end of each metric, with the share `confidence` of the resamples inside, 0..1.

    A metric that is NaN in a resample (no anomalous video was drawn) is ignored there; one that is NaN in all has no
    interval.
    """
    tail = (1 - confidence) / 2
    found = {}
    for name, values in resampled.items():
        defined = values[np.isfinite(values)]
        if len(defined):
            low, high = np.quantile(defined, [tail, 1 - tail])
            found[name] = (float(low), float(high))
    return found


@dataclass(frozen=True)
class CutRanking:
    """What each video has above each cut; both arrays are float64 [videos, cuts], ascending along a row.

    Attributes
    ----------
    admitted : size of all items above the cut.
    positive : size of the positive ones.
    """

    admitted: Values
    positive: Values

    def under(self, weights: Values) -> "WeightedCuts":
        """The same for each row of `weights` [resamples, videos]."""
        return WeightedCuts(weights @ self.admitted, weights @ self.positive)


@dataclass(frozen=True)
class WeightedCuts:
    """What is above each cut in each resample; both arrays are float64 [resamples, cuts]."""

    admitted: Values
    positive: Values

    def average_precision(self, total: Values | None = None) -> Values:
        """As :meth:`Weighted.average_precision`, of each resample [resamples]; NaN where it is undefined."""
        total = self.positive[:, -1] if total is None else total
        precision = self.positive / np.maximum(self.admitted, 1.0)
        return _divide(np.einsum("rc,rc->r", np.diff(self.positive, axis=1, prepend=0.0), precision), total)

    def area_under_roc(self) -> Values:
        """As :meth:`Weighted.area_under_roc`, of each resample; items between two cuts count as ties."""
        negative = self.admitted - self.positive
        gained = np.diff(self.positive, axis=1, prepend=0.0)
        # Of all negatives, those above a positive, and half of those between the same two cuts.
        above = negative - np.diff(negative, axis=1, prepend=0.0) / 2
        n_pairs = self.positive[:, -1] * negative[:, -1]
        return _divide(n_pairs - np.einsum("rc,rc->r", gained, above), n_pairs)


def cut_at_positives(ranking: Ranking, positives: Positives, n_videos: int) -> CutRanking:
    """Cut below every group with a positive item, so that average precision is exact."""
    return _cut(ranking, positives, np.unique(positives.group_end), n_videos)


def cut_finely(ranking: Ranking, positives: Positives, n_videos: int, n_cuts: int) -> CutRanking:
    """Cut into `n_cuts` parts of about the same number of items, never inside a group, and at the end.

    Rare positive items may all be in one such part, so there are also cuts into `n_cuts` parts of about the same number
    of positive ones.
    """
    cuts = np.concatenate([_evenly(ends, n_cuts) for ends in (ranking.group_end, positives.group_end)])
    return _cut(ranking, positives, np.unique(cuts), n_videos)


def _evenly(ranks: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    return ranks[np.linspace(0, len(ranks) - 1, n if len(ranks) else 0).astype(np.intp)]


def _cut(ranking: Ranking, positives: Positives, cuts: NDArray[np.intp], n_videos: int) -> CutRanking:
    def accumulate(video: NDArray[np.intp], rank: NDArray[np.intp], size: Values) -> Values:
        level = np.searchsorted(cuts, rank, side="right")
        kept = level < len(cuts)  # what is below the last cut is not needed
        cells = video[kept] * len(cuts) + level[kept]
        counted = np.bincount(cells, size[kept], n_videos * len(cuts)).reshape(n_videos, len(cuts))
        return np.asarray(counted.cumsum(axis=1))

    if len(cuts) == 0:
        return CutRanking(np.zeros((n_videos, 1)), np.zeros((n_videos, 1)))
    # A positive item is in its group, so the first rank of the group finds the same cut.
    return CutRanking(
        admitted=accumulate(ranking.video, np.arange(len(ranking.order)), ranking.size),
        positive=accumulate(positives.video, positives.group_start, positives.size),
    )


def _divide(numerator: Values, denominator: Values) -> Values:
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio
