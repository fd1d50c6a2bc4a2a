"""The two protocols: ``released``, which is the authors', and ``strict``, which is ours."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Branch, Localisation
from avadclip.evaluation import localisation, timeline
from avadclip.evaluation.ranking import Positives, Ranking, Weights, rank
from avadclip.evaluation.timeline import Timeline


@dataclass(frozen=True)
class RankedClass:
    """Ranked proposals of one class, with the matched ones by IoU threshold."""

    name: str
    ranking: Ranking
    matched: tuple[Positives, ...]  # one per IoU threshold
    n_segments: NDArray[np.float64]  # [videos]


@dataclass(frozen=True)
class FrameMetrics:
    """Frame-level metrics of one branch, 0..1; NaN where a class of frames is missing."""

    ap: float
    auc: float


@dataclass(frozen=True)
class Protocol:
    """Everything that the metrics of one detector need, sorted and matched once for all weightings of the videos.

    Attributes
    ----------
    timeline : the scores as this protocol counts them.
    frames : ranking and positives of each branch.
    classes : of the localisation; empty if the detector does not have all classes.
    without_proposals : names of classes for which no video gives a proposal.
    without_segments : names of classes that are never annotated.
    """

    timeline: Timeline
    frames: dict[Branch, tuple[Ranking, Positives]]
    classes: tuple[RankedClass, ...]
    without_proposals: tuple[str, ...]
    without_segments: tuple[str, ...]

    @property
    def ones(self) -> Weights:
        """Every video counts once."""
        return np.ones(len(self.timeline.videos))

    def frame_metrics(self, weights: Weights) -> dict[str, FrameMetrics]:
        """AP and AUC of each branch under `weights` [videos]."""
        metrics: dict[str, FrameMetrics] = {}
        for branch, (ranking, positives) in self.frames.items():
            weighted = positives.under(weights, ranking.cumulate(weights))
            metrics[branch] = FrameMetrics(weighted.average_precision(), weighted.area_under_roc())
        return metrics

    def class_precision(self, weights: Weights) -> NDArray[np.float64]:
        """Localisation AP [classes, IoU thresholds], 0..1; NaN for a class without segments under `weights`."""
        rows = []
        for ranked in self.classes:
            cumulated = ranked.ranking.cumulate(weights)
            total = float(weights @ ranked.n_segments)
            rows.append([positives.under(weights, cumulated).average_precision(total) for positives in ranked.matched])
        return np.array(rows)


def released(strict_timeline: Timeline, stride: int, rule: Localisation, iou_thresholds: tuple[float, ...]) -> Protocol:
    """The authors' protocol: normal is a class like the others, and proposals of equal score are ranked one by one."""
    view = timeline.released(strict_timeline, stride)
    return _prepare(view, view.classes, rule, iou_thresholds, is_released=True)


def strict(strict_timeline: Timeline, rule: Localisation, iou_thresholds: tuple[float, ...]) -> Protocol:
    """Our protocol: only anomaly classes; proposals of equal score are admitted together, so order does not matter."""
    return _prepare(strict_timeline, strict_timeline.classes[1:], rule, iou_thresholds, is_released=False)


def released_map(protocol: Protocol) -> NDArray[np.float64]:
    """mAP at each IoU threshold, 0..1, as released: a class without segments counts 0, and so does everything as soon
    as one class has no proposal."""
    if protocol.without_proposals:
        return np.zeros(len(protocol.classes[0].matched))
    return np.asarray(np.nan_to_num(protocol.class_precision(protocol.ones)).mean(axis=0))


def strict_map(class_precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """mAP at each IoU threshold, 0..1, over the classes that have segments; NaN if none has."""
    annotated = ~np.isnan(class_precision).any(axis=1)
    if not annotated.any():
        return np.full(class_precision.shape[1], np.nan)
    return np.asarray(class_precision[annotated].mean(axis=0))


def _prepare(
    view: Timeline, classes: tuple[str, ...], rule: Localisation, iou_thresholds: tuple[float, ...], is_released: bool
) -> Protocol:
    positive_frames = view.frames_inside(view.anomalous)
    frames = {}
    for branch, scores in view.branches.items():
        ranking = rank(scores, view.video, view.frames)
        frames[branch] = ranking, ranking.positives(positive_frames)
    ranked = tuple(_rank_classes(view, classes, rule, iou_thresholds, is_released))
    return Protocol(
        timeline=view,
        frames=frames,
        classes=ranked,
        without_proposals=tuple(entry.name for entry in ranked if len(entry.ranking.order) == 0),
        without_segments=tuple(entry.name for entry in ranked if entry.n_segments.sum() == 0),
    )


def _rank_classes(
    view: Timeline, classes: tuple[str, ...], rule: Localisation, iou_thresholds: tuple[float, ...], is_released: bool
) -> Iterator[RankedClass]:
    for name in classes:
        column = view.classes.index(name)
        proposals = localisation.propose(view, column, rule, min_top_frames=0 if is_released else 1)
        n_proposals = len(proposals.score)
        # As released, each proposal is a group of its own, so its rank replaces its score.
        score = -np.arange(n_proposals, dtype=np.float64) if is_released else proposals.score
        ranking = rank(score, proposals.spans.video, np.ones(n_proposals, dtype=np.int64))
        segments = view.segments[name]
        overlaps = localisation.overlap(proposals.spans, segments)
        hits = (localisation.match(overlaps, threshold, n_proposals) for threshold in iou_thresholds)
        yield RankedClass(
            name,
            ranking,
            matched=tuple(ranking.positives(hit.astype(np.int64)) for hit in hits),
            n_segments=np.bincount(segments.video, minlength=len(view.videos)).astype(np.float64),
        )
