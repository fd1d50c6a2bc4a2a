"""The released protocol, computed slowly and frame by frame: the oracle of the fast implementation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score


@dataclass(frozen=True)
class OracleVideo:
    """One test video, as the authors' protocol sees it."""

    confidence: np.ndarray  # [n_snippets], whole snippets only
    probabilities: np.ndarray  # [n_snippets, classes]
    segments: Sequence[tuple[str, int, int]]  # class, start_frame, end_frame; none for a normal video


def released_frame_metrics(videos: Sequence[OracleVideo], stride: int) -> dict[str, tuple[float, float]]:
    """AP and AUC of both branches over the frames of all videos together."""
    truth: list[np.ndarray] = []
    scores: dict[str, list[np.ndarray]] = {"classification": [], "alignment": []}
    for video in videos:
        truth.append(np.zeros(len(video.confidence) * stride, bool))
        for _, start, end in video.segments:
            truth[-1][start:end] = True
        scores["classification"].append(np.repeat(video.confidence, stride))
        scores["alignment"].append(np.repeat(1 - video.probabilities[:, 0], stride))
    return {
        branch: tuple(
            metric(np.concatenate(truth), np.concatenate(values)) for metric in (average_precision_score, roc_auc_score)
        )
        for branch, values in scores.items()
    }


def released_map(videos: Sequence[OracleVideo], classes: Sequence[str], stride: int, iou_threshold: float) -> float:
    """mAP at one IoU threshold, in 0..1."""
    precisions = []
    for column, name in enumerate(classes):
        proposals = [
            (score, index, start, end)
            for index, video in enumerate(videos)
            for start, end, score in _proposals(np.repeat(video.probabilities[:, column].astype(float), stride))
        ]
        if not proposals:
            return 0.0
        unmatched = [
            (index, start, end)
            for index, video in enumerate(videos)
            for label, start, end in video.segments or [(classes[0], 0, len(video.confidence) * stride)]
            if label == name
        ]
        precisions.append(_average_precision(proposals, unmatched, iou_threshold))
    return float(np.mean(precisions))


def _proposals(column: np.ndarray) -> list[tuple[int, int, float]]:
    n_top = len(column) // 16
    class_score = float(np.sort(column)[::-1][:n_top].mean()) if n_top else float("nan")
    if not class_score > 0:
        column = np.zeros_like(column)
    threshold = column.max() - 0.6 * (column.max() - column.min())
    runs, start = [], None
    for frame, value in enumerate([*column, -np.inf]):
        if value > threshold and start is None:
            start = frame
        elif not value > threshold and start is not None:
            if frame - start >= 2:
                runs.append((start, frame, float(column[start:frame].max()) + 0.7 * class_score))
            start = None
    return runs


def _average_precision(proposals: list, unmatched: list, iou_threshold: float) -> float:
    unmatched = list(unmatched)
    n_segments = len(unmatched)
    n_true, total = 0, 0.0
    # Sorting is stable: of equal scores the earlier video and the earlier run come first.
    for rank, (_, index, start, end) in enumerate(sorted(proposals, key=lambda proposal: -proposal[0]), start=1):
        best, best_iou = None, 0.0
        frames = set(range(start, end))
        for candidate in unmatched:
            if candidate[0] != index:
                continue
            annotated = set(range(candidate[1], candidate[2]))
            iou = len(frames & annotated) / len(frames | annotated)
            if iou >= iou_threshold and iou > best_iou:
                best, best_iou = candidate, iou
        if best is not None:
            unmatched.remove(best)
            n_true += 1
            total += n_true / rank
    return total / n_segments if n_true else 0.0
