"""Scores of a detector after a round, for choosing a round."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from avadclip.datasets.model import Segment, Video
from avadclip.detectors.inference import detect
from avadclip.detectors.protocol import Detector
from avadclip.store.video import Folders, read_video
from avadclip.training.fitness import check_rankable
from avadclip.training.segments import anomalous_frames

RoundScore = Callable[[Detector], float]


def validation_score(videos: Sequence[Video], folders: Folders, device: torch.device) -> RoundScore:
    """Average precision over videos: mean of the k = floor(n / 16) + 1 highest snippets against "has any anomaly".

    Held-out videos have video-level labels only, so frame-level AP cannot be computed on them.

    Raises
    ------
    TrainingError : the videos are not of both kinds.
    """
    check_rankable(videos, "validation part of the training videos")
    shown = [read_video(folders, video.id) for video in videos]
    anomalous = [not video.is_normal for video in videos]

    def score(detector: Detector) -> float:
        scores = [_top_mean(detect(detector, video, device).anomaly_probability) for video in shown]
        return _average_precision(anomalous, scores)

    return score


def released_test_score(
    videos: Sequence[Video], segments: Sequence[Segment], stride: int, folders: Folders, device: torch.device
) -> RoundScore:
    """Frame-level AP of 1 - p(normal) on the *test* videos, as the authors select; only whole snippets are counted.

    Raises
    ------
    TrainingError : the videos are not of both kinds.
    """
    check_rankable(videos, "test videos")
    shown = [read_video(folders, video.id) for video in videos]
    positive_frames = [
        anomalous_frames(
            [segment for segment in segments if segment.id == video.id], max(1, video.n_frames // stride), stride
        )
        for video in videos
    ]
    n_positive = np.concatenate(positive_frames)
    weights = np.concatenate([n_positive, stride - n_positive])
    truth = np.repeat([True, False], len(n_positive))

    def score(detector: Detector) -> float:
        scored = [detect(detector, video, device).anomaly_probability for video in shown]
        scores = np.concatenate([s[: len(n)] for s, n in zip(scored, positive_frames, strict=True)])
        # A snippet stands for its positive and its negative frames; with weights, scores need not be repeated.
        return _average_precision(truth, np.tile(scores, 2), weights)

    return score


def _average_precision(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    from sklearn.metrics import average_precision_score  # takes a second to import, and most runs keep the last round

    return float(average_precision_score(truth, scores, sample_weight=weights))


def _top_mean(scores: NDArray[np.float32]) -> float:
    k = len(scores) // 16 + 1
    return float(np.sort(scores)[-k:].mean())
