"""Class probabilities -> proposals -> matches with the annotated events of a class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Localisation
from avadclip.evaluation.timeline import Spans, Timeline


@dataclass(frozen=True)
class Proposals:
    """Stretches of frames in which a detector claims one class, in descending order of score; arrays are [proposals].

    For equal scores, the earlier video comes first, then the earlier stretch.
    """

    spans: Spans
    score: NDArray[np.float64]


@dataclass(frozen=True)
class Overlaps:
    """Pairs of a proposal and an annotated segment of the same video that share a frame; arrays are [pairs].

    In the order in which they are matched: by rank, then by descending IoU, then by the order of the annotation.
    """

    proposal: NDArray[np.intp]
    segment: NDArray[np.intp]
    iou: NDArray[np.float64]


def propose(timeline: Timeline, column: int, rule: Localisation, min_top_frames: int) -> Proposals:
    """Maximal runs of frames above a threshold that depends on the video (the authors' `getDetectionMAP`).

    Parameters
    ----------
    timeline : scores of all videos.
    column : the class, by its index in ``timeline.classes``.
    rule : depth of the threshold, shortest run, and how a run is scored.
    min_top_frames : at least this many frames decide a class score; with 0, as released, a video of fewer than
        ``rule.top_share`` frames has no class score and gives no proposal.

    Notes
    -----
    The authors then suppress overlapping runs (IoU above 0.6). Runs above one threshold are disjoint, so that would
    remove nothing and is left out.
    """
    values = timeline.probabilities[:, column].astype(np.float64)
    first = timeline.first_snippet[:-1]
    class_score = _class_score(timeline, values, rule.top_share, min_top_frames)
    largest, smallest = np.maximum.reduceat(values, first), np.minimum.reduceat(values, first)
    threshold = np.where(class_score > 0, largest - rule.depth * (largest - smallest), np.inf)
    above = values > threshold[timeline.video]

    continues = np.zeros(len(above), dtype=bool)
    continues[1:] = above[1:] & above[:-1]
    continues[first] = False  # no run continues in the next video
    begins = np.flatnonzero(above & ~continues)
    ends = np.flatnonzero(above & ~np.append(continues[1:], False))
    video = timeline.video[begins]
    start_frame, end_frame = timeline.start_frame[begins], timeline.start_frame[ends] + timeline.frames[ends]
    score = _maximum_of_runs(values, begins, ends) + rule.class_score_weight * class_score[video]

    kept = np.flatnonzero(end_frame - start_frame >= rule.min_frames)
    ranked = kept[np.argsort(-score[kept], kind="stable")]
    return Proposals(Spans(video[ranked], start_frame[ranked], end_frame[ranked]), score[ranked])


def overlap(proposals: Spans, segments: Spans) -> Overlaps:
    """All pairs that share a frame, with their IoU in whole frames of half-open stretches."""
    by_video = np.argsort(proposals.video, kind="stable")
    videos = proposals.video[by_video]
    left, right = (np.searchsorted(videos, segments.video, side) for side in ("left", "right"))
    counts = right - left
    segment = np.repeat(np.arange(len(segments)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    proposal = by_video[np.repeat(left, counts) + within]

    start = np.maximum(proposals.start_frame[proposal], segments.start_frame[segment])
    end = np.minimum(proposals.end_frame[proposal], segments.end_frame[segment])
    shared = end - start
    proposal, segment, shared = (array[shared > 0] for array in (proposal, segment, shared))
    lengths = (proposals.end_frame - proposals.start_frame)[proposal]
    lengths = lengths + (segments.end_frame - segments.start_frame)[segment]
    iou = shared / (lengths - shared)
    order = np.lexsort((segment, -iou, proposal))
    return Overlaps(proposal[order], segment[order], iou[order])


def match(overlaps: Overlaps, iou_threshold: float, n_proposals: int) -> NDArray[np.bool_]:
    """Which proposals are true positives [proposals].

    Each in turn is matched with the segment of the highest IoU among those not yet matched, if that reaches
    `iou_threshold`. Matches are within one video, so leaving out videos or counting them twice changes none.
    """
    hit = np.zeros(n_proposals, dtype=bool)
    taken = set()
    eligible = overlaps.iou >= iou_threshold
    for proposal, segment in zip(
        overlaps.proposal[eligible].tolist(), overlaps.segment[eligible].tolist(), strict=True
    ):
        if not hit[proposal] and segment not in taken:
            hit[proposal] = True
            taken.add(segment)
    return hit


def _class_score(
    timeline: Timeline, values: NDArray[np.float64], top_share: int, min_top_frames: int
) -> NDArray[np.float64]:
    """Mean of the largest ``1 / top_share`` of each video's frames [videos]; 0 if that is not even one frame."""
    descending = np.argsort(-values)
    # Stable sorting of small integers is linear; the usual lexsort takes five times as long.
    narrow = timeline.video.astype(np.min_scalar_type(len(timeline.videos)))
    descending = descending[np.argsort(narrow[descending], kind="stable")]
    frames = timeline.frames[descending]
    first = timeline.first_snippet[:-1]
    n_frames = np.add.reduceat(frames, first)
    n_top = np.maximum(n_frames // top_share, min_top_frames)
    before = np.cumsum(frames) - frames
    before_in_video = before - before[first][timeline.video]
    counted = np.clip(n_top[timeline.video] - before_in_video, 0, frames)
    scores: NDArray[np.float64] = np.add.reduceat(values[descending] * counted, first) / np.maximum(n_top, 1)
    return scores


def _maximum_of_runs(
    values: NDArray[np.float64], begins: NDArray[np.intp], ends: NDArray[np.intp]
) -> NDArray[np.float64]:
    if len(begins) == 0:
        return np.zeros(0)
    # reduceat takes starts and ends in turn; every second result is the gap between two runs.
    edges = np.stack([begins, ends + 1], axis=1).ravel()
    return np.maximum.reduceat(np.append(values, -np.inf), edges)[::2]
