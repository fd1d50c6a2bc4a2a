"""Proposals and matches against loops over frames and pairs; test_released.py compares the resulting metrics."""

from dataclasses import replace

import numpy as np
import pytest

from avadclip.config.evaluation import Localisation
from avadclip.datasets.model import Segment
from avadclip.evaluation import protocols
from avadclip.evaluation.localisation import Overlaps, match, overlap, propose
from avadclip.evaluation.timeline import Spans, strict
from tests.support.evaluation_factory import make_scores, make_video

CLASSES = ("normal", "riot")
STRIDE = 3
Run = tuple[int, int, int, float]  # video, first frame, end, score


def slowly(curves: list[np.ndarray], rule: Localisation, min_top_frames: int) -> list[Run]:
    """`curves` has one value per frame."""
    runs = []
    for video, curve in enumerate(curves):
        n_top = max(len(curve) // rule.top_share, min_top_frames)
        class_score = sum(sorted(curve.tolist(), reverse=True)[:n_top]) / n_top if n_top else 0
        threshold = curve.max() - rule.depth * (curve.max() - curve.min())
        first = None
        for frame in range(len(curve) + 1):
            above = class_score > 0 and frame < len(curve) and curve[frame] > threshold
            if above and first is None:
                first = frame
            elif not above and first is not None:
                if frame - first >= rule.min_frames:
                    score = float(curve[first:frame].max()) + rule.class_score_weight * class_score
                    runs.append((video, first, frame, score))
                first = None
    return sorted(runs, key=lambda run: -run[3])


@pytest.mark.parametrize("min_top_frames", [0, 1])
@pytest.mark.parametrize("min_frames", [1, 3, 4])
@pytest.mark.parametrize("n_videos", [1, 60])
def test_proposals_are_runs_of_frames(n_videos: int, min_frames: int, min_top_frames: int) -> None:
    """Scores are multiples of 1/4: sums are exact, and many scores are equal; then the earlier video comes first."""
    random = np.random.default_rng(min_frames)
    videos = [make_video(f"{index:02}", int(random.integers(1, 120)), ["normal"]) for index in range(n_videos)]
    scores = make_scores(videos, CLASSES, STRIDE, random, levels=4)
    rule = Localisation(min_frames=min_frames)
    found = propose(strict(scores, videos, (), CLASSES), 1, rule, min_top_frames)
    assert scores.class_probabilities is not None
    bounds = zip(scores.first_snippet[:-1], scores.first_snippet[1:], videos, strict=True)
    riot = scores.class_probabilities[:, 1].astype(float)
    curves = [riot[first:end].repeat(STRIDE)[: video.n_frames] for first, end, video in bounds]
    columns = (found.spans.video, found.spans.start_frame, found.spans.end_frame, found.score)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == slowly(curves, rule, min_top_frames)


def make_spans(random: np.random.Generator, n: int) -> Spans:
    start = random.integers(0, 12, n)
    return Spans(random.integers(0, 3, n), start, start + random.integers(1, 9, n))


def by_definition(overlaps: list[tuple[int, float, int]], threshold: float, n_proposals: int) -> list[bool]:
    taken: set[int] = set()
    hits = []
    for proposal in range(n_proposals):
        free = [(low, s) for p, low, s in overlaps if p == proposal and s not in taken and -low >= threshold]
        taken |= {min(free)[1]} if free else set()
        hits.append(bool(free))
    return hits


@pytest.mark.parametrize("seed", range(10))
def test_overlaps_and_matches_equal_a_loop_over_all_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    proposals, segments = make_spans(random, 20), replace(make_spans(random, 9), video=np.arange(9) // 3)
    expected = []
    for p in range(20):
        own = set(range(proposals.start_frame[p], proposals.end_frame[p]))
        for s in range(9):
            other = set(range(segments.start_frame[s], segments.end_frame[s]))
            if proposals.video[p] == segments.video[s] and own & other:
                expected.append((p, -len(own & other) / len(own | other), s))
    expected.sort()
    found: Overlaps = overlap(proposals, segments)
    pairs = zip(found.proposal.tolist(), (-found.iou).tolist(), found.segment.tolist(), strict=True)
    assert list(pairs) == expected
    for threshold in (0.1, 0.25, 0.5):
        assert match(found, threshold, 20).tolist() == by_definition(expected, threshold, 20)


@pytest.mark.parametrize(
    ("first", "second", "strict_ap", "released_ap"),
    [
        ([0, 0.9, 0.9], [0, 0.9, 0.9], 1 / 2, 0),  # released: no proposal in fewer than 16 frames
        ([0, 0.9, 0.9] * 8, [0, 0.9, 0.9] * 8, 1 / 2, 1),  # released: of equal scores, the earlier video comes first
        ([0, 0.85, 0.6], [0, 0.8, 0.8], 1, 0),  # strict: the class score is that of the highest frame
    ],
)
def test_proposals_of_equal_score_and_of_short_videos(
    first: list[float], second: list[float], strict_ap: float, released_ap: float
) -> None:
    """The first video is annotated throughout, in as many segments as there are proposals; the second not at all."""
    videos = (make_video("a", len(first), ["riot"]), make_video("b", len(second), ["normal"]))
    segments = [Segment("a", "riot", start, start + 3) for start in range(0, len(first), 3)]
    riot = np.array([*first, *second], np.float32)
    scores = make_scores(videos, CLASSES, 1, np.random.default_rng(0))
    scores = replace(scores, class_probabilities=np.stack([1 - riot, riot], axis=1))
    joined = strict(scores, videos, segments, CLASSES)
    own, theirs = (
        protocols.strict(joined, Localisation(), (0.1,)),
        protocols.released(joined, 1, Localisation(), (0.1,)),
    )
    assert own.class_precision(own.ones)[0, 0] == pytest.approx(strict_ap)
    assert theirs.class_precision(theirs.ones)[1, 0] == pytest.approx(released_ap)
