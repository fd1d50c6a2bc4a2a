"""All results of one detector on one test set, by both protocols, over all its seeds."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avadclip.config.evaluation import Evaluate
from avadclip.detectors.alarm_score import branch_of
from avadclip.detectors.calibration import Calibration
from avadclip.evaluation import alarms, metrics, protocols, resampling, timeline
from avadclip.evaluation.alarms import Tally
from avadclip.evaluation.budget import ChosenLevel
from avadclip.evaluation.detectors import ScoredDetector
from avadclip.evaluation.metrics import Metrics
from avadclip.evaluation.protocols import Protocol
from avadclip.evaluation.ranking import Weights
from avadclip.evaluation.reliability import Reliability, reliability
from avadclip.evaluation.resampling import Interval, Resampled, Values
from avadclip.evaluation.testset import TestSet
from avadclip.evaluation.trade_off import trade_off
from avadclip.evaluation.whole_videos import WholeVideos
from avadclip.scoring.scores import Provenance, Scores

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OverSeeds:
    """Metrics of one protocol; percent, alarms per hour and seconds, see :mod:`avadclip.evaluation.metrics`.

    Attributes
    ----------
    mean : over the seeds.
    deviation : standard deviation over the seeds; empty if there is only one result.
    of_each : one entry per seed.
    """

    mean: Metrics
    deviation: Metrics
    of_each: tuple[Metrics, ...]


@dataclass(frozen=True)
class Assessment:
    """Metrics of one detector, means over its seeds.

    Attributes
    ----------
    name : of the detector, as in the metrics.
    provenance : what made the scores of the first seed.
    seeds : of training; None if it is not known.
    released, strict : the metrics of each protocol; `strict` also has those of whole videos and the operating point.
    provenances : what made the scores of each seed.
    resampled : the means of `strict` in each resample of the videos, which are the same for every detector; empty
        without resampling.
    intervals : their lower and upper ends.
    per_class : under the strict protocol, by anomaly class.
    by_audio : `strict` of the videos ``with_audio`` and ``without_audio`` alone; a part without videos is absent.
    n_videos_by_audio, n_videos_by_modality : how many videos these are, and how many each modality was used for.
    notes : what a reader of the numbers needs to know.
    protocol : the ranked frames of the first seed, from which curves are drawn.
    trade_off : of the first seed, the results at each threshold; see :mod:`avadclip.evaluation.trade_off`.
    levels : the thresholds, one entry per seed, if a budget chose them; else empty.
    """

    name: str
    provenance: Provenance
    provenances: tuple[Provenance, ...]
    seeds: tuple[int | None, ...]
    released: OverSeeds
    strict: OverSeeds
    resampled: Resampled
    intervals: dict[str, Interval]
    per_class: dict[str, Metrics]
    by_audio: dict[str, Metrics]
    n_videos_by_audio: dict[str, int]
    n_videos_by_modality: dict[str, int]
    notes: tuple[str, ...]
    protocol: Protocol
    trade_off: pd.DataFrame
    levels: tuple[ChosenLevel, ...]

    def reliability(self, settings: Evaluate) -> Reliability:
        """Reliability of the scores that raise alarms, of the first seed."""
        return self._reliability_of(self._alarm_scores(settings), settings)

    def uncalibrated(self, settings: Evaluate) -> Reliability | None:
        """The same before the scores were calibrated; None if they were not, or are from two detectors."""
        found = self.provenance.detector.get("calibration")
        if found is None or len(self.n_videos_by_modality) > 1:
            return None
        branch = branch_of(settings.alarm_branch, found)
        return self._reliability_of(Calibration(**found[branch]).undone(self._alarm_scores(settings)), settings)

    def _alarm_scores(self, settings: Evaluate) -> NDArray[np.float32]:
        return self.protocol.timeline.alarm_scores(settings.alarm_branch)

    def _reliability_of(self, scores: NDArray[np.float32], settings: Evaluate) -> Reliability:
        view = self.protocol.timeline
        return reliability(scores, view.frames, view.frames_inside(view.anomalous), settings.reliability_bins)


@dataclass(frozen=True)
class _Joined:
    """One seed's scores, joined with the ground truth, ranked and counted.

    Attributes
    ----------
    has_audio, is_located : bool [videos], of all test videos.
    whole : of all test videos.
    released, strict, alarms : of those whose anomalous frames are known.
    """

    has_audio: NDArray[np.bool_]
    is_located: NDArray[np.bool_]
    whole: WholeVideos
    released: Protocol
    strict: Protocol
    alarms: Tally
    iou_thresholds: tuple[float, ...]

    @property
    def ones(self) -> Weights:
        """Every video counts once."""
        return np.ones(len(self.is_located))

    def under(self, weights: Weights) -> Metrics:
        """The strict metrics for any weighting of the videos."""
        known = weights[self.is_located]
        found = metrics.strict(self.strict, self.iou_thresholds, known) | metrics.alarm(self.alarms, known)
        return found | self.whole.metrics(weights)

    def resampled(self, weights: Values) -> Resampled:
        """The same for many weightings at once."""
        known = weights[:, self.is_located]
        found = metrics.resampled(self.strict, self.alarms, self.iou_thresholds, known)
        return found | self.whole.resampled(weights)


def assess(
    detector: ScoredDetector,
    test_set: TestSet,
    settings: Evaluate,
    resamples: int,
    levels: tuple[ChosenLevel, ...] = (),
) -> Assessment:
    """Evaluate one detector.

    All seeds have the same resamples of the videos; intervals are of the mean over the seeds.

    Parameters
    ----------
    levels : the chosen thresholds, one per seed, if the settings have a budget.

    Raises
    ------
    EvaluationError : scores, manifest and ground truth do not fit together, see :mod:`avadclip.evaluation.joining`.
    """
    at = [settings.at(chosen.level) for chosen in levels] or [settings] * len(detector.answers)
    seeds = [_join(found.scores, test_set, own) for found, own in zip(detector.answers, at, strict=True)]
    parts = _parts_by_audio(seeds[0].has_audio)
    n_results = len({_content(found.scores) for found in detector.answers})
    notes = (*detector.notes, *_notes_on_seeds(detector.seeds, n_results), *_notes(detector, seeds))
    for note in notes:
        logger.warning("%s: %s", detector.name, note)
    per_class = [metrics.per_class(seed.strict) for seed in seeds]
    resampled = resampling.resample(
        lambda weights: metrics.mean_over_seeds([seed.resampled(weights) for seed in seeds]),
        len(seeds[0].is_located),
        resamples,
        settings.bootstrap_seed,
    )
    return Assessment(
        name=detector.name,
        provenance=detector.first.scores.provenance,
        provenances=tuple(found.scores.provenance for found in detector.answers),
        seeds=detector.seeds,
        released=_over_seeds([metrics.released(seed.released, settings.iou_thresholds) for seed in seeds], n_results),
        strict=_over_seeds([seed.under(seed.ones) for seed in seeds], n_results),
        resampled=resampled,
        intervals=resampling.ends(resampled, settings.confidence),
        per_class={name: _mean([found[name] for found in per_class]) for name in per_class[0]},
        by_audio={part: _mean([seed.under(weights) for seed in seeds]) for part, weights in parts.items()},
        n_videos_by_audio={part: int(weights.sum()) for part, weights in parts.items()},
        n_videos_by_modality=dict(sorted(Counter(detector.first.scores.modalities).items())),
        notes=notes,
        protocol=seeds[0].strict,
        trade_off=trade_off(seeds[0].strict.timeline, settings, detector.first.scores.provenance.stride, resamples),
        levels=levels,
    )


def _join(scores: Scores, test_set: TestSet, settings: Evaluate) -> _Joined:
    every = timeline.strict(scores, test_set.videos, test_set.segments, test_set.classes)
    joined, stride = timeline.located(every), scores.provenance.stride
    alarmed = alarms.alarmed_snippets(every, settings, stride)
    return _Joined(
        has_audio=np.array([video.has_audio for video in every.videos], dtype=bool),
        is_located=every.is_located,
        whole=WholeVideos.of(every, settings.alarm_branch, alarmed),
        released=protocols.released(joined, stride, settings.released, settings.iou_thresholds),
        strict=protocols.strict(joined, settings.strict, settings.iou_thresholds),
        alarms=alarms.tally(joined, alarmed[every.is_located[every.video]]),
        iou_thresholds=settings.iou_thresholds,
    )


def _over_seeds(found: Sequence[Metrics], n_results: int) -> OverSeeds:
    # Several seeds with one result are no evidence that results vary little.
    deviation = metrics.deviation_over_seeds(found) if n_results > 1 else {}
    return OverSeeds(_mean(found), deviation, tuple(found))


def _mean(found: Sequence[Metrics]) -> Metrics:
    return {name: float(value) for name, value in metrics.mean_over_seeds(found).items()}


def _content(scores: Scores) -> tuple[bytes, bytes]:
    probabilities = scores.class_probabilities
    return scores.anomaly_confidence.tobytes(), b"" if probabilities is None else probabilities.tobytes()


def _parts_by_audio(has_audio: NDArray[np.bool_]) -> dict[str, Weights]:
    parts = {"with_audio": has_audio.astype(np.float64), "without_audio": (~has_audio).astype(np.float64)}
    return {part: weights for part, weights in parts.items() if weights.any()}


def _notes_on_seeds(seeds: tuple[int | None, ...], n_results: int) -> tuple[str, ...]:
    if len(seeds) == 1:
        return ()
    notes = [f"numbers are means over {len(seeds)} seeds; curves, figures and page show seed {seeds[0]}"]
    if n_results < len(seeds):
        notes.append(f"its {len(seeds)} seeds gave {n_results} different results; is it trained with its seed?")
    return tuple(notes)


def _notes(detector: ScoredDetector, seeds: Sequence[_Joined]) -> tuple[str, ...]:
    """Notes that hold for every seed as they are, the others with their seed."""
    of_seeds = [
        _notes_of_seed(found.scores.provenance, seed) for found, seed in zip(detector.answers, seeds, strict=True)
    ]
    notes = []
    for number, found in zip(detector.seeds, of_seeds, strict=True):
        notes += [note if all(note in other for other in of_seeds) else f"seed {number}: {note}" for note in found]
    return tuple(dict.fromkeys(notes))


def _notes_of_seed(provenance: Provenance, joined: _Joined) -> list[str]:
    notes = []
    if provenance.selection == "released_test_selected":
        notes.append("its epoch was chosen on the test set (`released_test_selected`): no honest test result")
    recipe = provenance.detector.get("settings", {}).get("recipe", {})
    if recipe.get("loss_weights", {}).get("segments", 0) > 0:
        notes.append("also learned from segments of training videos, not only from video labels")
    if not joined.strict.classes:
        notes.append("does not give probabilities for all classes of this data set: no localisation")
    if joined.released.without_proposals and joined.is_located.any():
        names = ", ".join(joined.released.without_proposals)
        notes.append(f"no proposal for {names}: the released mAP is 0, as in the authors' code")
    if joined.strict.without_segments and len(joined.strict.without_segments) < len(joined.strict.classes):
        notes.append(f"never annotated: {', '.join(joined.strict.without_segments)}: left out of the strict mAP")
    return notes
