"""Calibrated scores match the share of anomalous snippets, and keep their order."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from avadclip.config.evaluation import Branch
from avadclip.detectors.calibration import Calibration, calibrated, learn
from avadclip.detectors.settings import CalibrationMethod
from avadclip.errors import TrainingError
from avadclip.evaluation.reliability import reliability

METHODS: tuple[CalibrationMethod, ...] = ("temperature", "platt", "isotonic")


def overconfident(seed: int, n: int = 4000) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return scores whose log odds are three times too large and then 1 too high, and the truth."""
    random = np.random.default_rng(seed)
    log_odds = random.normal(-1, 1.5, n)
    is_anomalous = random.random(n) < 1 / (1 + np.exp(-log_odds))
    return (1 / (1 + np.exp(-3 * log_odds - 1))).astype(np.float32), is_anomalous


def error(scores: NDArray[np.float32], is_anomalous: NDArray[np.bool_]) -> float:
    return reliability(scores, np.ones(len(scores), np.int64), is_anomalous.astype(np.int64), 10).error


@pytest.mark.parametrize("method", METHODS)
def test_scores_of_others_become_shares_and_stay_in_order(method: CalibrationMethod) -> None:
    found = learn(method, *overconfident(0))
    scores, is_anomalous = overconfident(1)
    after = found(scores)
    assert error(after, is_anomalous) < (0.5 if method == "temperature" else 0.3) * error(scores, is_anomalous)
    ordered = after[np.argsort(scores, kind="stable")]
    assert (np.diff(ordered) >= 0).all()
    apart = np.diff(np.sort(scores)) > 1e-4  # closer ones may become equal in single precision
    assert (np.diff(ordered)[apart] > 0).all()
    np.testing.assert_allclose(found.undone(after), scores, atol=2e-4)  # a map that is nearly flat, in single precision


def test_temperature_leaves_one_half_and_platt_is_logistic_regression() -> None:
    half = np.array([0.5], np.float32)
    assert learn("temperature", *overconfident(0))(half) == half
    scores, is_anomalous = overconfident(0)
    log_odds = np.log(scores / (1 - scores)).astype(np.float64)[:, None]
    expected = LogisticRegression(C=np.inf).fit(log_odds, is_anomalous).predict_proba(log_odds)[:, 1]
    np.testing.assert_allclose(learn("platt", scores, is_anomalous)(scores), expected, atol=1e-3)  # sklearn's tolerance


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_where_higher_scores_are_less_often_right_nothing_is_calibrated(method: CalibrationMethod) -> None:
    scores, is_anomalous = overconfident(0)
    with pytest.raises(TrainingError, match=r"higher scores are not more often anomalous \(slope -"):
        learn(method, 1 - scores, is_anomalous)


def test_classes_keep_their_proportions() -> None:
    probabilities = np.random.default_rng(2).dirichlet(np.ones(4), 50).astype(np.float32)
    probabilities[0] = [1, 0, 0, 0]  # surely normal: nothing says which class it would be
    confidence = 1 - probabilities[:, 0]
    halves: dict[Branch, Calibration] = {
        "classification": Calibration(knots=((0.0, 0.1), (1.0, 0.6))),
        "alignment": Calibration(offset=-1.0),
    }
    anomaly, classes = calibrated(halves, confidence, probabilities)
    assert classes is not None
    np.testing.assert_allclose(anomaly, 0.1 + 0.5 * confidence, atol=1e-6)
    np.testing.assert_allclose(classes.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(1 - classes[1:, 0], Calibration(offset=-1.0)(confidence[1:]), atol=1e-6)
    ratios = [each[1:, 1:] / each[1:, 1:].sum(axis=1, keepdims=True) for each in (classes, probabilities)]
    np.testing.assert_allclose(*ratios, atol=1e-5)
    assert calibrated(halves, confidence, None)[1] is None


def test_a_few_snippets_that_are_separable_do_not_make_scores_certain() -> None:
    scores, is_anomalous = np.array([0.4, 0.6], np.float32).repeat(5), np.repeat([False, True], 5)
    found = learn("platt", scores, is_anomalous)(scores[[0, -1]])
    np.testing.assert_allclose(found, [1 / 7, 6 / 7], atol=1e-4)  # Platt's targets: 1 / (n + 2) and (n + 1) / (n + 2)
