"""Average precision and ROC area from one sort, for any weighting of the videos.

A subset of the videos is a weighting with 0 and 1, a bootstrap resample one with 0, 1, 2, ...: neither needs another
sort. scikit-learn's functions give the same digits (tests compare them) but would sort for each of a thousand
resamples, and importing them takes longer than evaluating a detector. Sums are numpy's own, not those of BLAS, whose
last digits depend on the number of threads.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Items in descending order of score; items of equal score form a group that one threshold admits together.

    Attributes
    ----------
    order : int [items], index of the item at each rank.
    video : int [items], the video that the item at each rank belongs to.
    size : float64 [items], what the item at each rank counts for: frames of a snippet, 1 for a proposal.
    group_start, group_end : int [items], range of ranks of the item's group, end exclusive.
    """

    order: NDArray[np.intp]
    video: NDArray[np.intp]
    size: NDArray[np.float64]
    group_start: NDArray[np.intp]
    group_end: NDArray[np.intp]

    def cumulate(self, weights: Weights) -> NDArray[np.float64]:
        """Weighted size of the first r items, for r = 0 ... items, under `weights` [videos]."""
        return _cumulate(weights[self.video] * self.size)

    def positives(self, size: NDArray[np.int64]) -> "Positives":
        """The positive part of each item; `size` [items] is in the order in which the items were given."""
        ranked = size[self.order]
        rank = np.flatnonzero(ranked)
        start, end = self.group_start[rank], self.group_end[rank]
        return Positives(
            video=self.video[rank],
            size=ranked[rank].astype(np.float64),
            group_start=start,
            group_end=end,
            first=np.searchsorted(rank, start),
            last=np.searchsorted(rank, end),
        )


@dataclass(frozen=True)
class Positives:
    """The positive items of a :class:`Ranking`, in its order.

    Attributes
    ----------
    video, size : as in :class:`Ranking`, of the positive items alone.
    group_start, group_end : ranks of the item's group among all items.
    first, last : the same group among the positive items.
    """

    video: NDArray[np.intp]
    size: NDArray[np.float64]
    group_start: NDArray[np.intp]
    group_end: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]

    def under(self, weights: Weights, cumulated: NDArray[np.float64]) -> "Weighted":
        """The positives with `weights` [videos]; `cumulated` is from :meth:`Ranking.cumulate` with the same weights."""
        gained = weights[self.video] * self.size
        return Weighted(self, cumulated, gained, _cumulate(gained))

    def curve(self, cumulated: NDArray[np.float64], n_points: int) -> "Curve":
        """At most `n_points` thresholds, spread evenly over the positive items; every video counts once."""
        admitted = _cumulate(self.size)
        if len(self.size) == 0:
            return Curve(*np.zeros((3, 0)))
        chosen = np.unique(np.linspace(0, len(self.size) - 1, n_points).astype(np.intp))
        true, all_admitted = admitted[self.last[chosen]], cumulated[self.group_end[chosen]]
        negatives = max(cumulated[-1] - admitted[-1], 1.0)
        return Curve(true / admitted[-1], true / all_admitted, (all_admitted - true) / negatives)


@dataclass(frozen=True)
class Curve:
    """What descending thresholds admit; all arrays are [thresholds], shares in 0..1."""

    recall: NDArray[np.float64]  # also the true positive rate
    precision: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]


@dataclass(frozen=True)
class Weighted:
    """Positive items under one weighting of the videos.

    Attributes
    ----------
    positives : the items.
    cumulated : float64 [all items + 1], weighted size of the first r items.
    gained : float64 [positive items], weighted size of each.
    admitted : float64 [positive items + 1], weighted size of the first r positive items.
    """

    positives: Positives
    cumulated: NDArray[np.float64]
    gained: NDArray[np.float64]
    admitted: NDArray[np.float64]

    def average_precision(self, total: float | None = None) -> float:
        """Sum over positives of the precision at their threshold, over `total` (default: all positives); NaN if 0.

        The value is that of scikit-learn's ``average_precision_score``; `total` may include positives without an item,
        such as missed events.
        """
        total = self.admitted[-1] if total is None else total
        if total == 0:
            return float("nan")
        # Where nothing has been admitted yet, the gain is 0 too, so dividing by 1 gives the 0 wanted for 0 / 0.
        all_admitted = np.maximum(self.cumulated[self.positives.group_end], 1.0)
        return float(np.sum(self.gained * self.admitted[self.positives.last] / all_admitted) / total)

    def area_under_roc(self) -> float:
        """Share of (positive, negative) pairs in the right order, ties counting half; NaN without any pair."""
        n_positive, n_negative = self.admitted[-1], self.cumulated[-1] - self.admitted[-1]
        if n_positive == 0 or n_negative == 0:
            return float("nan")
        negatives_before = self.cumulated[self.positives.group_start] - self.admitted[self.positives.first]
        negatives_through = self.cumulated[self.positives.group_end] - self.admitted[self.positives.last]
        below = n_negative - (negatives_before + negatives_through) / 2
        return float(np.sum(self.gained * below) / (n_positive * n_negative))


def rank(scores: NDArray[np.floating], video: NDArray[np.intp], size: NDArray[np.int64]) -> Ranking:
    """Sort items by descending score; `scores`, `video` and `size` are [items]."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    is_first = np.ones(len(ranked), dtype=bool)
    is_first[1:] = ranked[1:] != ranked[:-1]
    edges = np.append(np.flatnonzero(is_first), len(ranked))
    group = np.cumsum(is_first) - 1
    return Ranking(order, video[order], size[order].astype(np.float64), edges[group], edges[group + 1])


def _cumulate(values: NDArray[np.float64]) -> NDArray[np.float64]:
    cumulated = np.zeros(len(values) + 1)
    np.cumsum(values, out=cumulated[1:])
    return cumulated
