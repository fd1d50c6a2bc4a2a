"""Which videos are drawn by default."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Branch
from avadclip.errors import ConfigError
from avadclip.evaluation.timeline import Timeline


@dataclass(frozen=True)
class Choice:
    """A video to be drawn, by its index, and why."""

    video: int
    reason: str


def named(view: Timeline, ids: Sequence[str]) -> list[Choice]:
    """The videos with these ids.

    Raises
    ------
    ConfigError : one of them is not a test video.
    """
    index = {video.id: position for position, video in enumerate(view.videos)}
    if unknown := [video_id for video_id in ids if video_id not in index]:
        raise ConfigError(
            f"params.yaml: figures.videos: {unknown[0]!r} is not a test video; take ids from the manifest"
        )
    return [Choice(index[video_id], "") for video_id in ids]


def most_instructive(views: Mapping[str, Timeline], branch: Branch, n_videos: int) -> list[Choice]:
    """Choose in turn videos that detectors get right, videos that they get wrong, and videos on which they disagree.

    Five lists, each with the clearest case first, take turns until `n_videos` are chosen: anomalous videos on which
    two detectors differ most; those that the first detector separates best (by its mean score inside minus outside the
    annotated events); those whose events it scores lowest; those without segments that it scores highest; and the
    normal videos that it scores highest.

    Parameters
    ----------
    views : by detector, on the same videos; the first is the most important.
    branch : whose scores are compared.
    n_videos : how many; fewer if there are fewer.
    """
    first = next(iter(views.values()))
    scores = [view.alarm_scores(branch).astype(np.float64) for view in views.values()]
    anomalous = np.array([not video.is_normal for video in first.videos], dtype=bool)
    disagreement = np.zeros(len(first.videos))
    for one, other in combinations(scores, 2):
        disagreement = np.maximum(disagreement, _mean_of_videos(first, np.abs(one - other), first.frames))
    inside = first.frames_inside(first.anomalous)
    in_events = _mean_of_videos(first, scores[0], inside)
    separation = in_events - _mean_of_videos(first, scores[0], first.frames - inside)
    loudness = _mean_of_videos(first, scores[0], first.frames)
    queues = [
        _descending(disagreement, anomalous, "detectors disagree most") if len(views) > 1 else iter(()),
        _descending(separation, anomalous & first.is_located, "events stand out most"),
        _descending(-in_events, anomalous & first.is_located, "events scored lowest"),
        _descending(loudness, ~first.is_located, "highest score of a video without segments"),
        _descending(loudness, ~anomalous, "highest score of a normal video"),
    ]
    chosen: dict[int, Choice] = {}
    while len(chosen) < min(n_videos, len(first.videos)):
        for queue in queues:
            choice = next((choice for choice in queue if choice.video not in chosen), None)
            if choice is not None and len(chosen) < n_videos:
                chosen[choice.video] = choice
    return list(chosen.values())


def _mean_of_videos(view: Timeline, values: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    n_videos = len(view.videos)
    total = np.bincount(view.video, frames, n_videos)
    return np.bincount(view.video, values * frames, n_videos) / np.maximum(total, 1)


def _descending(values: NDArray[np.float64], eligible: NDArray[np.bool_], reason: str) -> Iterator[Choice]:
    order = np.argsort(-values, kind="stable")
    return (Choice(int(video), reason) for video in order if eligible[video])
