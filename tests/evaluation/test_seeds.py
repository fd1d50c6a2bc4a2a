"""Means, deviations and intervals over training seeds, against the obvious loop."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from avadclip.config.evaluation import Evaluate
from avadclip.evaluation import alarms, metrics, protocols, timeline
from avadclip.evaluation.assessment import Assessment, assess
from avadclip.evaluation.testset import TestSet
from tests.support.evaluation_factory import Case, detector_of, make_case, make_scores, rows_of

SETTINGS = Evaluate(bootstrap_resamples=25, bootstrap_seed=3, confidence=0.8)


def make_seeds(n_seeds: int, seed: int = 0) -> tuple[Case, list[Case]]:
    """A test set, and copies of it with the scores of each seed."""
    case = make_case(np.random.default_rng(seed), n_videos=9)
    rng = np.random.default_rng(100 + seed)
    scored = [make_scores(case.videos, case.classes, case.stride, rng, seed=number) for number in range(n_seeds)]
    return case, [replace(case, scores=found) for found in scored]


def assess_seeds(case: Case, of_seeds: list[Case]) -> Assessment:
    test_set = TestSet("demo", "table", case.classes, case.stride, case.videos, case.segments)
    return assess(detector_of(*(of_seed.scores for of_seed in of_seeds)), test_set, SETTINGS, 25)


def slow_whole_videos(case: Case, weights: np.ndarray) -> dict[str, float]:
    """Metrics of each video's highest score by scikit-learn; a video counts as often as it was drawn."""
    chosen = np.repeat(np.arange(len(case.videos)), weights.astype(int))
    highest = np.array([1 - row.class_probabilities[:, 0].min() for row in rows_of(case.scores)])[chosen]
    anomalous = np.array([not video.is_normal for video in case.videos])[chosen]
    is_both, any_anomalous = 0 < anomalous.sum() < len(anomalous), bool(anomalous.any())
    return {
        "video.AP": 100 * average_precision_score(anomalous, highest) if any_anomalous else np.nan,
        "video.AUC": 100 * roc_auc_score(anomalous, highest) if is_both else np.nan,
        "video.caught": 100 * (highest >= SETTINGS.alarm_threshold)[anomalous].mean() if any_anomalous else np.nan,
    }


def slow_intervals(of_seeds: list[Case], names: list[str]) -> dict[str, tuple[float, float]]:
    """Draw videos, evaluate each seed on them and average over the seeds; return the percentiles of these means."""
    drawn = np.random.default_rng(SETTINGS.bootstrap_seed)
    n_videos = len(of_seeds[0].videos)
    means: dict[str, list[float]] = {name: [] for name in names}
    for chosen in drawn.integers(n_videos, size=(SETTINGS.bootstrap_resamples, n_videos)):
        weights = np.array([float((chosen == video).sum()) for video in range(n_videos)])
        found = []
        for case in of_seeds:
            joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
            protocol = protocols.strict(joined, SETTINGS.strict, SETTINGS.iou_thresholds)
            counted = alarms.tally(joined, joined.alarm_scores("alignment") >= SETTINGS.alarm_threshold)
            of_frames = metrics.strict(protocol, SETTINGS.iou_thresholds, weights) | metrics.alarm(counted, weights)
            found.append(of_frames | slow_whole_videos(case, weights))
        for name in names:
            means[name].append(sum(of_seed[name] for of_seed in found) / len(found))
    defined = {name: [value for value in values if not np.isnan(value)] for name, values in means.items()}
    return {name: tuple(np.quantile(values, [0.1, 0.9])) for name, values in defined.items() if values}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_intervals_equal_the_slow_definition(seed: int) -> None:
    case, of_seeds = make_seeds(3, seed)
    found = assess_seeds(case, of_seeds)
    expected = slow_intervals(of_seeds, list(found.strict.mean))
    assert found.intervals.keys() == expected.keys()
    for name, ends in expected.items():
        assert found.intervals[name] == pytest.approx(ends, rel=1e-9), name  # the same sums in another order


def test_mean_and_deviation_are_those_of_the_seeds_evaluated_alone() -> None:
    case, of_seeds = make_seeds(4)
    found = assess_seeds(case, of_seeds)
    alone = [assess_seeds(case, [of_seed]) for of_seed in of_seeds]
    for name in found.strict.mean:
        values = [entry.strict.mean[name] for entry in alone]
        assert found.strict.mean[name] == pytest.approx(sum(values) / 4, rel=1e-12, nan_ok=True)
        spread = (sum((value - sum(values) / 4) ** 2 for value in values) / 3) ** 0.5
        # Where values are nearly equal, their differences keep few digits.
        assert found.strict.deviation[name] == pytest.approx(spread, rel=1e-6, abs=1e-9, nan_ok=True)
    for name, of_class in found.per_class.items():
        values = [entry.per_class[name]["AP"] for entry in alone]
        assert of_class["AP"] == pytest.approx(sum(values) / 4, rel=1e-12, nan_ok=True)
    assert [entry.strict.deviation for entry in alone] == [{}] * 4


def test_one_seed_has_its_own_numbers_to_the_last_digit() -> None:
    case, of_seeds = make_seeds(1)
    found = assess_seeds(case, of_seeds)
    joined = timeline.strict(of_seeds[0].scores, case.videos, case.segments, case.classes)
    protocol = protocols.strict(joined, SETTINGS.strict, SETTINGS.iou_thresholds)
    expected = metrics.strict(protocol, SETTINGS.iou_thresholds, protocol.ones)
    assert {name: found.strict.mean[name] for name in expected} == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


def test_the_order_of_seeds_changes_no_number_but_the_curves() -> None:
    case, of_seeds = make_seeds(3)
    one, other = assess_seeds(case, of_seeds), assess_seeds(case, of_seeds[::-1])
    assert one.strict.mean == pytest.approx(other.strict.mean, rel=1e-12, nan_ok=True)  # sums in another order
    assert (one.seeds, other.seeds) == ((0, 1, 2), (2, 1, 0))
    first = one.protocol.timeline.branches["alignment"]
    np.testing.assert_array_equal(first, 1 - of_seeds[0].scores.class_probabilities[:, 0])


def test_what_is_undefined_for_one_seed_is_undefined_for_the_mean() -> None:
    case, of_seeds = make_seeds(2)
    silent = replace(of_seeds[1].scores, class_probabilities=np.zeros_like(of_seeds[1].scores.class_probabilities))
    silent.class_probabilities[:, 0] = 1  # never alarms: no precision
    found = assess_seeds(case, [of_seeds[0], replace(case, scores=silent)])
    assert np.isnan(found.strict.mean["alarm.precision"])
    assert not np.isnan(found.strict.mean["alarm.recall"])
    assert any(note.startswith("seed 1: no proposal for ") for note in found.notes)
