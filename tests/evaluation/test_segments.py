"""Alarms of one video, against a loop over its snippets."""

import numpy as np
import pytest

from avadclip.evaluation.alarm_rule import EVERY_RUN
from avadclip.evaluation.segments import Alarm, alarms_in, find_alarms


def slowly(scores: np.ndarray, probabilities: np.ndarray | None, threshold: float) -> list[Alarm]:
    found, first = [], None
    for i in range(len(scores) + 1):
        is_on = i < len(scores) and scores[i] >= np.float32(threshold)
        if is_on and first is None:
            first = i
        elif not is_on and first is not None:
            label = None
            if probabilities is not None:
                sums = [0.0] * (probabilities.shape[1] - 1)
                for row in probabilities[first:i].tolist():
                    sums = [a + b for a, b in zip(sums, row[1:], strict=True)]
                means = [value / (i - first) for value in sums]
                label = 1 + means.index(max(means))
            found.append(Alarm(first, i, label, float(scores[first:i].max())))
            first = None
    return found


@pytest.mark.parametrize("seed", range(40))
def test_alarms_are_runs_of_snippets_that_reach_the_threshold(seed: int) -> None:
    """Scores and probabilities take few values, so that some equal the threshold and classes tie."""
    random = np.random.default_rng(seed)
    n, n_classes = int(random.integers(1, 60)), int(random.integers(2, 6))
    scores = (random.integers(0, 9, n) / 8).astype(np.float32)
    probabilities = (random.integers(0, 5, (n, n_classes)) / 4).astype(np.float32) if seed % 4 else None
    thresholds = (0.0, 0.25, float(scores[0]), 0.9, 1.1)
    expected = [slowly(scores, probabilities, threshold) for threshold in thresholds]
    assert [find_alarms(scores, probabilities, threshold) for threshold in thresholds] == expected
    at_once = EVERY_RUN.alarmed(scores, thresholds)
    assert alarms_in(at_once, scores, probabilities) == expected


def test_the_class_of_an_alarm_is_found_in_double_precision() -> None:
    """In single precision both classes would have the same sum, and the first would be taken."""
    probabilities = np.array([[0, 0.5, 0.5], [0, 2.0**-30, 2.0**-29]], np.float32)
    assert find_alarms(np.ones(2, np.float32), probabilities, 0.5) == [Alarm(0, 2, 2, 1.0)]


def test_no_snippet_no_alarm() -> None:
    assert find_alarms(np.zeros(0, np.float32), np.zeros((0, 3), np.float32), 0.5) == []
    assert alarms_in(EVERY_RUN.alarmed(np.ones(3, np.float32), []), np.ones(3, np.float32), None) == []
