"""Metrics of a protocol by name, in percent where that is usual."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip.evaluation import alarms, protocols
from avadclip.evaluation.alarms import Tally
from avadclip.evaluation.protocols import Protocol
from avadclip.evaluation.ranking import Weights, rank
from avadclip.evaluation.resampling import Resampled, Values, cut_at_positives, cut_finely

# Flat names such as "alignment.AP" or "mAP.AVG"; NaN where a metric is not defined.
Metrics = dict[str, float]

FRAME_CUTS = 1024  # of each kind, see `cut_finely`

_SHARES = ("precision", "recall", "f1", "caught_events")


def released(protocol: Protocol, iou_thresholds: tuple[float, ...]) -> Metrics:
    """The authors' metrics: AP and AUC of both branches, and mAP if the detector has all classes."""
    metrics = _frame_metrics(protocol, protocol.ones)
    if protocol.classes:
        metrics |= _localisation(protocols.released_map(protocol), iou_thresholds)
    return metrics


def strict(protocol: Protocol, iou_thresholds: tuple[float, ...], weights: Weights) -> Metrics:
    """The same metrics by our protocol, for any weighting of the videos."""
    metrics = _frame_metrics(protocol, weights)
    if protocol.classes:
        metrics |= _localisation(protocols.strict_map(protocol.class_precision(weights)), iou_thresholds)
    return metrics


def alarm(counted: Tally, weights: Weights) -> Metrics:
    """The operating point: shares in percent, rates and delays in their units."""
    return {name: float(value[0]) for name, value in _alarm(counted, weights[np.newaxis]).items()}


def resampled(protocol: Protocol, counted: Tally, iou_thresholds: tuple[float, ...], weights: Values) -> Resampled:
    """:func:`strict` and :func:`alarm` for many weightings at once, `weights` [resamples, videos].

    Frame-level scores are rounded to some two thousand levels, which changes AP and AUC by up to 0.04 points, while
    intervals are several points wide; everything else is exact.
    """
    n_videos = weights.shape[1]
    found = {}
    for branch, (ranking, positives) in protocol.frames.items():
        cuts = cut_finely(ranking, positives, n_videos, FRAME_CUTS).under(weights)
        found[f"{branch}.AP"] = 100 * cuts.average_precision()
        found[f"{branch}.AUC"] = 100 * cuts.area_under_roc()
    if protocol.classes:
        found |= _resampled_localisation(protocol, iou_thresholds, weights)
    return found | _alarm(counted, weights)


def mean_over_seeds(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean of each metric, a number or one value per resample; NaN where it is not defined for every seed."""
    return {name: np.mean([of_seed[name] for of_seed in found], axis=0) for name in _shared(found)}


def deviation_over_seeds(found: Sequence[Metrics]) -> Metrics:
    """Sample standard deviation of each metric (divided by the number of seeds minus 1); empty for one seed."""
    if len(found) < 2:
        return {}
    return {name: float(np.std([of_seed[name] for of_seed in found], ddof=1)) for name in _shared(found)}


def _shared(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in found[0] if all(name in of_seed for of_seed in found)]


def per_class(protocol: Protocol) -> dict[str, Metrics]:
    """For each anomaly class, its number of segments and both kinds of AP.

    ``AP`` is frame-level, of the class's probability against the frames that its segments cover; ``AVG`` is the mean
    localisation AP over the IoU thresholds. A class without segments has NaN for both.
    """
    view = protocol.timeline
    precision = protocol.class_precision(protocol.ones) if protocol.classes else np.zeros((0, 1))
    found = {}
    for ranked, row in zip(protocol.classes, precision, strict=True):
        scores = view.probabilities[:, view.classes.index(ranked.name)]
        ranking = rank(scores, view.video, view.frames)
        positives = ranking.positives(view.frames_inside(view.segments[ranked.name].merged()))
        average = positives.under(protocol.ones, ranking.cumulate(protocol.ones)).average_precision()
        found[ranked.name] = {
            "segments": float(ranked.n_segments.sum()),
            "AP": 100 * average,
            "AVG": 100 * float(row.mean()),
        }
    return found


def _frame_metrics(protocol: Protocol, weights: Weights) -> Metrics:
    metrics = {}
    for branch, found in protocol.frame_metrics(weights).items():
        metrics[f"{branch}.AP"] = 100 * found.ap
        metrics[f"{branch}.AUC"] = 100 * found.auc
    return metrics


def _alarm(counted: Tally, weights: Values) -> Resampled:
    point = vars(alarms.operating_point(counted, weights))
    return {f"alarm.{name}": 100 * value if name in _SHARES else value for name, value in point.items()}


def _resampled_localisation(protocol: Protocol, iou_thresholds: tuple[float, ...], weights: Values) -> Resampled:
    by_iou = []
    for index in range(len(iou_thresholds)):
        precision = [
            cut_at_positives(ranked.ranking, ranked.matched[index], weights.shape[1])
            .under(weights)
            .average_precision(total=weights @ ranked.n_segments)
            for ranked in protocol.classes
        ]
        annotated = ~np.isnan(precision)
        # The mean over the classes that have a segment in the resample; NaN without any.
        by_iou.append(np.nansum(precision, axis=0) / np.where(annotated.any(axis=0), annotated.sum(axis=0), np.nan))
    found = {f"mAP.{threshold:g}": 100 * value for threshold, value in zip(iou_thresholds, by_iou, strict=True)}
    return found | {"mAP.AVG": 100 * np.mean(by_iou, axis=0)}


def _localisation(mean_precision: NDArray[np.float64], iou_thresholds: tuple[float, ...]) -> Metrics:
    metrics = {
        f"mAP.{threshold:g}": 100 * float(value)
        for threshold, value in zip(iou_thresholds, mean_precision, strict=True)
    }
    return metrics | {"mAP.AVG": 100 * float(mean_precision.mean())}
