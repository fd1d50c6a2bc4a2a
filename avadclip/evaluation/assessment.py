"""One detector on one test set: everything that is said about it, under both protocols."""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np

from avadclip.config.evaluation import Evaluate
from avadclip.evaluation import alarms, metrics, protocols, resampling, timeline
from avadclip.evaluation.metrics import Metrics
from avadclip.evaluation.protocols import Protocol
from avadclip.evaluation.ranking import Weights
from avadclip.evaluation.resampling import Interval
from avadclip.evaluation.testset import TestSet
from avadclip.scoring.scores import Provenance, Scores

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assessment:
    """Metrics of one detector; percent, alarms per hour and seconds, see :mod:`avadclip.evaluation.metrics`.

    Attributes
    ----------
    name : of the detector, as the metrics show it; see :func:`detector_name`.
    provenance : what made the scores.
    released, strict : the metrics of each protocol; `strict` holds the operating point too.
    intervals : lower and upper end of the metrics of `strict`; empty without resampling.
    per_class : under the strict protocol, by anomaly class.
    by_audio : `strict` of the videos ``with_audio`` and ``without_audio`` alone; a part without videos is absent.
    n_videos_by_audio, n_videos_by_modality : how many videos these are, and how many each modality was used for.
    notes : what a reader of the numbers has to know.
    protocol : the ranked frames that curves are drawn from.
    """

    name: str
    provenance: Provenance
    released: Metrics
    strict: Metrics
    intervals: dict[str, Interval]
    per_class: dict[str, Metrics]
    by_audio: dict[str, Metrics]
    n_videos_by_audio: dict[str, int]
    n_videos_by_modality: dict[str, int]
    notes: tuple[str, ...]
    protocol: Protocol


def detector_name(provenance: Provenance) -> str:
    """The variant, and where it was trained if that was on another data set than it is tested on."""
    if provenance.trained_on == provenance.dataset:
        return provenance.variant
    return f"{provenance.variant}_from_{provenance.trained_on}"


def assess(scores: Scores, test_set: TestSet, settings: Evaluate, resamples: int) -> Assessment:
    """Evaluate one detector.

    Raises
    ------
    EvaluationError : scores, manifest and ground truth do not fit together, see :mod:`avadclip.evaluation.joining`.
    """
    joined = timeline.strict(scores, test_set.videos, test_set.segments, test_set.classes)
    released = protocols.released(joined, scores.provenance.stride, settings.released, settings.iou_thresholds)
    strict = protocols.strict(joined, settings.strict, settings.iou_thresholds)
    # A detector that names no classes raises its alarms with the branch that it has.
    branch = settings.alarm_branch if settings.alarm_branch in joined.branches else "classification"
    counted = alarms.tally(joined, branch, settings.alarm_threshold)

    def under(weights: Weights) -> Metrics:
        return metrics.strict(strict, settings.iou_thresholds, weights) | metrics.alarm(counted, weights)

    name = detector_name(scores.provenance)
    notes = _notes(scores.provenance, released, strict)
    for note in notes:
        logger.warning("%s: %s", name, note)
    parts = _parts_by_audio(joined)
    return Assessment(
        name=name,
        provenance=scores.provenance,
        released=metrics.released(released, settings.iou_thresholds),
        strict=under(strict.ones),
        intervals=resampling.intervals(
            partial(metrics.resampled, strict, counted, settings.iou_thresholds),
            len(joined.videos),
            resamples,
            settings.bootstrap_seed,
            settings.confidence,
        ),
        per_class=metrics.per_class(strict),
        by_audio={part: under(weights) for part, weights in parts.items()},
        n_videos_by_audio={part: int(weights.sum()) for part, weights in parts.items()},
        n_videos_by_modality=dict(sorted(Counter(scores.modalities).items())),
        notes=notes,
        protocol=strict,
    )


def _parts_by_audio(joined: timeline.Timeline) -> dict[str, Weights]:
    has_audio = np.array([video.has_audio for video in joined.videos], dtype=np.float64)
    parts = {"with_audio": has_audio, "without_audio": 1 - has_audio}
    return {part: weights for part, weights in parts.items() if weights.any()}


def _notes(provenance: Provenance, released: Protocol, strict: Protocol) -> tuple[str, ...]:
    notes = []
    if provenance.selection == "released_test_selected":
        notes.append("its epoch was chosen on the test set (`released_test_selected`): no honest test result")
    if not strict.classes:
        notes.append("does not give probabilities for all classes of this data set: no localisation")
    if released.without_proposals:
        names = ", ".join(released.without_proposals)
        notes.append(f"no proposal for {names}: the released mAP is 0, as in the authors' code")
    if strict.without_segments:
        notes.append(f"never annotated: {', '.join(strict.without_segments)}: left out of the strict mAP")
    return tuple(notes)
