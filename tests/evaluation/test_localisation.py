"""Proposals by hand; tests/evaluation/test_released.py compares what comes of them with the slow definition."""

from dataclasses import replace

import numpy as np
import pytest

from avadclip.config.evaluation import Localisation
from avadclip.evaluation.localisation import Proposals, propose
from avadclip.evaluation.timeline import strict
from tests.support.evaluation_factory import make_scores, make_video

CLASSES = ("normal", "riot")


def proposals_of(curves: list[str], rule: Localisation) -> Proposals:
    """One video a curve, with the probability of class `riot` in tenths, in snippets of 4 frames."""
    videos = [make_video(f"{index:02}", 4 * len(curve), ["normal"]) for index, curve in enumerate(curves)]
    riot = np.array([int(digit) / 10 for curve in curves for digit in curve], np.float32)
    scores = make_scores(videos, CLASSES, 4, np.random.default_rng(0))
    scores = replace(scores, class_probabilities=np.stack([1 - riot, riot], axis=1))
    return propose(strict(scores, videos, (), CLASSES), 1, rule, min_top_frames=1)


@pytest.mark.parametrize(
    ("min_frames", "expected"), [(1, [(4, 8), (16, 24)]), (4, [(4, 8), (16, 24)]), (8, [(16, 24)]), (9, [])]
)
def test_runs_that_are_too_short_are_no_proposals(min_frames: int, expected: list[tuple[int, int]]) -> None:
    found = proposals_of(["09008800"], Localisation(min_frames=min_frames))
    assert found.spans.of(0) == expected


def test_of_equal_scores_the_earlier_video_comes_first() -> None:
    found = proposals_of(["0900"] * 50, Localisation())
    assert found.spans.video.tolist() == list(range(50))
