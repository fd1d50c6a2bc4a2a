"""Reliability of scores, compared with a loop over all frames, and reliability before calibration."""

from dataclasses import replace

import numpy as np
import pytest

from avadclip.config.evaluation import Evaluate
from avadclip.detectors.calibration import Calibration
from avadclip.evaluation.assessment import assess
from avadclip.evaluation.reliability import reliability
from avadclip.evaluation.testset import TestSet
from avadclip.scoring.scores import collect
from tests.support.evaluation_factory import detector_of, make_case, rows_of

N_BINS = 5
SETTINGS = Evaluate(bootstrap_resamples=0, reliability_bins=N_BINS, alarm_branch="classification")


@pytest.mark.parametrize("seed", range(3))
def test_bins_and_error_equal_a_loop_over_frames(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.choice([0.0, 1.0, *random.random(20)], 60).astype(np.float32)
    frames = random.integers(1, 17, 60)
    anomalous = random.integers(0, frames + 1)
    bins: dict[int, list[tuple[float, int]]] = {}
    for score, n, hits in zip(scores.tolist(), frames.tolist(), anomalous.tolist(), strict=True):
        bins.setdefault(min(int(score * N_BINS), N_BINS - 1), []).extend((score, frame < hits) for frame in range(n))
    found = reliability(scores, frames, anomalous, N_BINS)
    rows = [bins[index] for index in sorted(bins)]
    np.testing.assert_allclose(found.score, [np.mean([score for score, _ in row]) for row in rows])
    np.testing.assert_allclose(found.anomalous_share, [np.mean([hit for _, hit in row]) for row in rows])
    assert found.frames.tolist() == [len(row) for row in rows]
    apart = [abs(np.mean([score for score, _ in row]) - np.mean([hit for _, hit in row])) * len(row) for row in rows]
    assert found.error == pytest.approx(sum(apart) / frames.sum())


def test_both_are_told_of_a_calibrated_detector() -> None:
    case = make_case(np.random.default_rng(0))
    test_set = TestSet("demo", "table", case.classes, case.stride, case.videos, case.segments)
    before = assess(detector_of(case.scores), test_set, SETTINGS, 0)
    assert before.uncalibrated(SETTINGS) is None
    half = Calibration(knots=((0.0, 0.0), (1.0, 0.5)))
    said = {branch: vars(half) for branch in ("classification", "alignment")}
    rows = [
        replace(row, modality="visual", anomaly_confidence=half(row.anomaly_confidence)) for row in rows_of(case.scores)
    ]
    scores = collect(replace(case.scores.provenance, detector={"calibration": said}), rows)
    after = assess(detector_of(scores), test_set, SETTINGS, 0)
    undone = after.uncalibrated(SETTINGS)
    assert undone is not None
    assert undone.error == pytest.approx(before.reliability(SETTINGS).error, abs=1e-5)  # single precision
    assert after.reliability(SETTINGS).score.max() <= 0.5
