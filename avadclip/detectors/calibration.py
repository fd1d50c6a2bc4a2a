"""Scores 0..1 -> how often snippets with such a score are anomalous, by held-out training snippets. Without torch.

The order of scores stays, so only the meaning of a threshold changes. Each branch has a map of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Branch
from avadclip.detectors.alarm_score import NORMAL_COLUMN, anomaly_scores
from avadclip.detectors.settings import CalibrationMethod
from avadclip.errors import HeldOutError

KEPT = 0.01  # share of the score itself in an isotonic map, which is flat in places, so that higher scores stay higher
_DIGITS = 6
_ALMOST = 1e-12  # 0 and 1 have no log odds

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """A rising map of scores: lines between its knots, if it has any; else log odds l become slope * l + offset."""

    slope: float = 1.0
    offset: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()

    def __call__(self, scores: Rows) -> Rows:
        """[n] -> [n]."""
        if self.knots:
            before, after = np.array(self.knots).T
            return _between(scores, before, after)
        return _probability(self.slope * _log_odds(scores) + self.offset)

    def undone(self, calibrated: Rows) -> Rows:
        """The scores [n] before calibration, as exact as single precision allows."""
        if self.knots:
            before, after = np.array(self.knots).T
            return _between(calibrated, after, before)
        return _probability((_log_odds(calibrated) - self.offset) / self.slope)


def learn(method: CalibrationMethod, scores: Rows, is_anomalous: NDArray[np.bool_]) -> Calibration:
    """Learn a map from scores [m] of snippets that were not in training, and whether they are anomalous [m].

    `temperature` divides log odds by a number, which leaves 0.5 unchanged; `platt` also shifts them; `isotonic` merges
    the shares of neighbouring scores until they rise. As Platt (1999) has it, one snippet more of either sort counts as
    seen with each, so that a few snippets which happen to be separable do not make scores 0 or 1.

    Raises
    ------
    HeldOutError : higher scores are not more often anomalous.
    """
    if method == "isotonic":
        return _isotonic(scores, is_anomalous)
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    line = LogisticRegression(C=np.inf, fit_intercept=method == "platt", tol=1e-8, max_iter=1000)
    n_anomalous, odds = np.count_nonzero(is_anomalous), _log_odds(scores)
    believed = np.where(is_anomalous, (n_anomalous + 1) / (n_anomalous + 2), 1 / (len(scores) - n_anomalous + 2))
    both_ways = np.repeat([True, False], len(scores))
    line.fit(np.tile(odds, 2)[:, None], both_ways, sample_weight=np.concatenate([believed, 1 - believed]))
    slope, offset = (round(float(np.squeeze(value)), _DIGITS) for value in (line.coef_, line.intercept_))
    if slope <= 0:
        raise HeldOutError(
            f"recipe.calibrate: {method}: in held-out training videos, higher scores are not more often anomalous"
            f" (slope {slope:g}), so nothing can be calibrated; use `isotonic` or `none`, or label more videos"
        )
    return Calibration(slope, offset)


def calibrated(
    calibration: Mapping[Branch, Calibration], confidence: Rows, class_probabilities: Rows | None
) -> tuple[Rows, Rows | None]:
    """Calibrated scores of both branches, [n] and [n, C]; those of the anomaly classes keep their proportions."""
    branches = anomaly_scores(confidence, class_probabilities)
    anomaly = {branch: calibration[branch](scores) for branch, scores in branches.items()}
    if class_probabilities is None:
        return anomaly["classification"], None
    named = np.delete(class_probabilities, NORMAL_COLUMN, axis=1)
    total = named.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, named / np.maximum(total, _ALMOST), 1 / named.shape[1])
    alignment = anomaly["alignment"][:, None]
    whole = np.insert(shares * alignment, NORMAL_COLUMN, 1 - alignment[:, 0], axis=1)
    return anomaly["classification"], whole.astype(np.float32)


def _isotonic(scores: Rows, is_anomalous: NDArray[np.bool_]) -> Calibration:
    from sklearn.isotonic import IsotonicRegression  # takes a second to import

    steps = IsotonicRegression(y_min=0, y_max=1).fit(scores.astype(np.float64), is_anomalous)
    before = np.concatenate([[0.0], steps.X_thresholds_, [1.0]])
    after = np.concatenate([steps.y_thresholds_[:1], steps.y_thresholds_, steps.y_thresholds_[-1:]])
    knots = np.round(np.stack([before, (1 - KEPT) * after + KEPT * before], axis=1), _DIGITS)
    rising = np.append(True, np.diff(knots[:, 0]) > 0)
    return Calibration(knots=tuple((x, y) for x, y in knots[rising].tolist()))


def _between(scores: Rows, knots: NDArray[np.float64], values: NDArray[np.float64]) -> Rows:
    found: Rows = np.interp(scores, knots, values).astype(np.float32)
    return found


def _log_odds(scores: Rows) -> NDArray[np.float64]:
    inner = np.clip(scores.astype(np.float64), _ALMOST, 1 - _ALMOST)
    odds: NDArray[np.float64] = np.log(inner / (1 - inner))
    return odds


def _probability(log_odds: NDArray[np.float64]) -> Rows:
    found: NDArray[np.float64] = 1 / (1 + np.exp(-log_odds))
    return found.astype(np.float32)
