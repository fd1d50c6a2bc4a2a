"""The one rule for the score that raises alarms."""

import numpy as np
import pytest

from avadclip.detectors.alarm_score import alarm_score, anomaly_scores, branch_of

CONFIDENCE = np.array([0.25, 0.5], np.float32)
PROBABILITIES = np.array([[0.9, 0.1], [0.125, 0.875]], np.float32)


@pytest.mark.parametrize(
    ("wanted", "present", "expected"),
    [
        ("alignment", {"classification", "alignment"}, "alignment"),
        ("classification", {"classification", "alignment"}, "classification"),
        ("alignment", {"classification"}, "classification"),
    ],
)
def test_a_detector_without_classes_has_one_branch(wanted: str, present: set[str], expected: str) -> None:
    assert branch_of(wanted, present) == expected


def test_alignment_is_what_is_not_normal_in_single_precision() -> None:
    found = alarm_score(CONFIDENCE, PROBABILITIES, "alignment")
    assert found.dtype == np.float32
    assert found.tolist() == [float(np.float32(1) - np.float32(0.9)), 0.875]
    assert alarm_score(CONFIDENCE, PROBABILITIES, "classification") is CONFIDENCE
    assert alarm_score(CONFIDENCE, None, "alignment") is CONFIDENCE
    assert list(anomaly_scores(CONFIDENCE, None)) == ["classification"]
