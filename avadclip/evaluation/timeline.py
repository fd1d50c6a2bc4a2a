"""Scores and ground truth of all test videos on one axis of snippets, as each protocol needs them.

Neither protocol needs one value per frame: a snippet counts for the frames that it stands for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Branch
from avadclip.datasets.ground_truth import anomalous_spans, class_segments, union
from avadclip.datasets.model import NORMAL, Segment, Video
from avadclip.detectors.alarm_score import anomaly_scores, branch_of
from avadclip.evaluation.joining import check_ground_truth, check_scores, videos_under_test
from avadclip.scoring.scores import Scores


@dataclass(frozen=True)
class Spans:
    """Stretches of frames [start_frame, end_frame) in videos; all arrays are int64 [spans]."""

    video: NDArray[np.int64]
    start_frame: NDArray[np.int64]
    end_frame: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.video)

    def of(self, video: int) -> list[tuple[int, int]]:
        """(start_frame, end_frame) of each span of one video."""
        own = self.video == video
        return list(zip(self.start_frame[own].tolist(), self.end_frame[own].tolist(), strict=True))

    def merged(self) -> "Spans":
        """The same frames as disjoint spans, ascending within each video."""
        rows = zip(self.video.tolist(), self.start_frame.tolist(), self.end_frame.tolist(), strict=True)
        by_video = groupby(rows, key=lambda row: row[0])  # the spans of a video are consecutive
        flat = [(video, *span) for video, found in by_video for span in union((start, end) for _, start, end in found)]
        return Spans(*np.array(flat, dtype=np.int64).reshape(-1, 3).T)


@dataclass(frozen=True)
class Timeline:
    """All test videos, sorted by id, snippet after snippet.

    Attributes
    ----------
    videos : one entry per video.
    classes : columns of the probabilities; empty if the detector does not have all classes of the data set.
    first_snippet : int64 [videos + 1], video v owns snippets ``first_snippet[v]:first_snippet[v + 1]``.
    start_frame : int64 [snippets], first frame of each snippet, within its video.
    frames : int64 [snippets], how many frames each snippet stands for.
    branches : score of the anomaly in 0..1 by branch, each float32 [snippets]; see :func:`strict`.
    probabilities : float32 [snippets, classes].
    anomalous : disjoint spans of frames that are anomalous, ascending within each video.
    segments : the annotated segments of each class, in the order of their annotation.
    """

    videos: tuple[Video, ...]
    classes: tuple[str, ...]
    first_snippet: NDArray[np.int64]
    start_frame: NDArray[np.int64]
    frames: NDArray[np.int64]
    branches: dict[Branch, NDArray[np.float32]]
    probabilities: NDArray[np.float32]
    anomalous: Spans
    segments: dict[str, Spans]

    @cached_property
    def video(self) -> NDArray[np.intp]:
        """The video of each snippet [snippets]."""
        return np.repeat(np.arange(len(self.videos)), np.diff(self.first_snippet))

    @cached_property
    def is_located(self) -> NDArray[np.bool_]:
        """[videos]: whether it is known which frames are anomalous, as for normal videos and those with segments."""
        is_normal = np.array([video.is_normal for video in self.videos], dtype=bool)
        return is_normal | (np.bincount(self.anomalous.video, minlength=len(self.videos)) > 0)

    def highest(self, branch: Branch) -> NDArray[np.float32]:
        """The highest score that raises alarms [videos]: how alarming each video is."""
        return np.maximum.reduceat(self.alarm_scores(branch), self.first_snippet[:-1])

    def alarm_scores(self, branch: Branch) -> NDArray[np.float32]:
        """The scores [snippets] that raise alarms; those of the classification branch if the detector has no other."""
        return self.branches[branch_of(branch, self.branches)]

    def frames_inside(self, spans: Spans) -> NDArray[np.int64]:
        """How many frames of each snippet [snippets] lie in `spans`, which are disjoint and ascending."""
        n_frames = np.add.reduceat(self.frames, self.first_snippet[:-1])
        origin = np.cumsum(n_frames) - n_frames  # of each video, on an axis of all frames
        # After the last frame that a snippet stands for, nothing counts, and the next video begins.
        start = origin[spans.video] + np.minimum(spans.start_frame, n_frames[spans.video])
        end = origin[spans.video] + np.minimum(spans.end_frame, n_frames[spans.video])
        edges = np.stack([start, end], axis=1).ravel()
        covered = np.stack([np.cumsum(end - start) - (end - start), np.cumsum(end - start)], axis=1).ravel()
        snippet_start = origin[self.video] + self.start_frame
        both = np.concatenate([snippet_start, snippet_start + self.frames])
        # Frames are counted up to each edge; linear in between, flat outside; exact: all numbers are whole and small.
        before = np.interp(both, edges, covered) if len(edges) else np.zeros(len(both))
        counted = np.rint(before).astype(np.int64)
        return counted[len(self.video) :] - counted[: len(self.video)]


def strict(scores: Scores, videos: Sequence[Video], segments: Sequence[Segment], classes: Sequence[str]) -> Timeline:
    """Join by video id; every snippet stands for the frames that it covers, which may be fewer for the last one.

    Branches are ``classification`` (the confidence A) and ``alignment`` (1 - probability of `normal`), the latter only
    for detectors that give probabilities.

    Raises
    ------
    EvaluationError : a video is missing on either side, its number of snippets does not fit its frames, or its ground
        truth ends after it or contradicts its labels; the message names it.
    """
    chosen = videos_under_test(videos)
    check_scores(scores, chosen)
    check_ground_truth(segments, videos, classes)
    stride = scores.provenance.stride
    n_frames = np.array([video.n_frames for video in chosen], dtype=np.int64)
    position = np.arange(scores.first_snippet[-1]) - np.repeat(scores.first_snippet[:-1], scores.n_snippets)
    start_frame = position * stride
    by_class = {name: [s for s in class_segments(segments) if s.label == name] for name in classes if name != NORMAL}
    columns = _columns(scores, classes)
    return Timeline(
        videos=chosen,
        classes=tuple(classes) if columns else (),
        first_snippet=scores.first_snippet,
        start_frame=start_frame,
        frames=np.minimum(stride, np.repeat(n_frames, scores.n_snippets) - start_frame),
        branches=anomaly_scores(scores.anomaly_confidence, scores.class_probabilities),
        probabilities=np.zeros((len(position), 0), np.float32)
        if scores.class_probabilities is None
        else scores.class_probabilities[:, columns],
        anomalous=_spans(_merge(segments), chosen),
        segments={name: _spans(found, chosen) for name, found in by_class.items()},
    )


def located(view: Timeline) -> Timeline:
    """The same without the anomalous videos that have no segments: their frames are neither right nor wrong."""
    known = view.is_located
    if known.all():
        return view
    keep, position = known[view.video], np.cumsum(known) - 1

    def moved(spans: Spans) -> Spans:
        return replace(spans, video=position[spans.video])  # a video with a span is located

    return replace(
        view,
        videos=tuple(video for video, is_known in zip(view.videos, known, strict=True) if is_known),
        first_snippet=np.append(0, np.cumsum(np.diff(view.first_snippet)[known])),
        start_frame=view.start_frame[keep],
        frames=view.frames[keep],
        branches={name: values[keep] for name, values in view.branches.items()},
        probabilities=view.probabilities[keep],
        anomalous=moved(view.anomalous),
        segments={name: moved(spans) for name, spans in view.segments.items()},
    )


def released(strict_timeline: Timeline, stride: int) -> Timeline:
    """The same as the authors count: only whole snippets (but at least one), of `stride` frames each.

    A normal video becomes one segment of class `normal`. Ground truth is cut for counting frames, but not for matching
    segments.
    """
    n_snippets = np.array([max(1, video.n_frames // stride) for video in strict_timeline.videos], dtype=np.int64)
    keep = strict_timeline.start_frame // stride < n_snippets[strict_timeline.video]
    normal = np.flatnonzero(np.array([video.is_normal for video in strict_timeline.videos], dtype=bool))
    whole = Spans(normal, np.zeros_like(normal), n_snippets[normal] * stride)
    return replace(
        strict_timeline,
        first_snippet=np.append(0, np.cumsum(n_snippets)),
        start_frame=strict_timeline.start_frame[keep],
        frames=np.full(keep.sum(), stride),
        branches={name: values[keep] for name, values in strict_timeline.branches.items()},
        probabilities=strict_timeline.probabilities[keep],
        segments={NORMAL: whole, **strict_timeline.segments},
    )


def _columns(scores: Scores, classes: Sequence[str]) -> list[int]:
    known = scores.provenance.classes
    if scores.class_probabilities is None or not set(classes) <= set(known):
        return []
    return [known.index(name) for name in classes]


def _merge(segments: Sequence[Segment]) -> list[Segment]:
    by_id = sorted(segments, key=lambda segment: segment.id)
    return [
        Segment(video_id, "", *span)
        for video_id, group in groupby(by_id, key=lambda segment: segment.id)
        for span in anomalous_spans(list(group))
    ]


def _spans(segments: Sequence[Segment], videos: Sequence[Video]) -> Spans:
    index = {video.id: position for position, video in enumerate(videos)}
    rows = [(index[s.id], s.start_frame, s.end_frame) for s in segments if s.id in index]
    return Spans(*np.array(sorted(rows, key=lambda row: row[0]), dtype=np.int64).reshape(-1, 3).T)
