"""A trained detector and one video of any length -> one score for every snippet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avadclip.detectors.alarm_score import alarm_score
from avadclip.detectors.protocol import Batch, Detector, Scores
from avadclip.store.video import VideoFeatures

WINDOWS_PER_BATCH = 16


@dataclass(frozen=True)
class SnippetScores:
    """Scores of a detector for the n snippets of one video."""

    anomaly_confidence: NDArray[np.float32]  # [n], classification branch, 0..1
    class_probabilities: NDArray[np.float32] | None  # [n, C], alignment branch
    uncertainty: NDArray[np.float32] | None  # [n], mean log variance of a student's features

    @property
    def anomaly_probability(self) -> NDArray[np.float32]:
        """[n], of the alignment branch if there is one; selection uses it."""
        return alarm_score(self.anomaly_confidence, self.class_probabilities, "alignment")


def split(n_snippets: int, length: int | None) -> list[slice]:
    """Successive windows of `length` snippets (None: one of all); the last may be shorter, none is empty."""
    step = length or n_snippets
    return [slice(start, min(start + step, n_snippets)) for start in range(0, n_snippets, step)]


def padded(rows: NDArray[np.generic], chosen: Sequence[slice | NDArray[np.intp]], n_positions: int) -> torch.Tensor:
    """Choices of rows [rows, ...] as [choices, positions, ...], padded with zeros; a choice is a slice or indices."""
    stacked = np.zeros((len(chosen), n_positions, *rows.shape[1:]), rows.dtype)
    for row, choice in zip(stacked, chosen, strict=True):
        taken = rows[choice]
        row[: len(taken)] = taken
    return torch.from_numpy(stacked)


@torch.no_grad()
def detect(detector: Detector, video: VideoFeatures, device: torch.device | str) -> SnippetScores:
    """Score a video with a detector in evaluation mode on `device`, in the windows and views that it needs.

    Raises
    ------
    CheckpointError : the features are not of the width that the detector was built for, or a modality is absent.
    """
    n_views = 1 if video.visual is None or detector.testing.views == "first" else len(video.visual)
    return _mean([_detect_view(detector, video, view, device) for view in range(n_views)])


def _detect_view(detector: Detector, video: VideoFeatures, view: int, device: torch.device | str) -> SnippetScores:
    found: list[Scores] = []
    for batch in _batches(detector, video, view):
        moved = batch.to(device)
        scores = detector.scores(detector(moved), moved)
        valid = moved.valid  # picks window after window, snippet after snippet
        parts = (scores.anomaly, scores.class_probabilities, scores.uncertainty)
        found.append(Scores(*(None if part is None else part[valid] for part in parts)))  # type: ignore[arg-type]
    anomaly, probabilities, uncertainty = (
        _joined([getattr(part, name) for part in found]) for name in ("anomaly", "class_probabilities", "uncertainty")
    )
    assert anomaly is not None
    return SnippetScores(anomaly, probabilities, uncertainty)


def _joined(parts: list[torch.Tensor | None]) -> NDArray[np.float32] | None:
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors).cpu().numpy() if tensors else None


def _mean(views: list[SnippetScores]) -> SnippetScores:
    if len(views) == 1:
        return views[0]

    def mean(name: str) -> NDArray[np.float32] | None:
        arrays = [getattr(view, name) for view in views]
        return None if arrays[0] is None else np.mean(arrays, axis=0, dtype=np.float32)

    anomaly = mean("anomaly_confidence")
    assert anomaly is not None
    return SnippetScores(anomaly, mean("class_probabilities"), mean("uncertainty"))


def _batches(detector: Detector, video: VideoFeatures, view: int) -> Iterator[Batch]:
    windows = split(video.n_snippets, detector.testing.window)
    for first in range(0, len(windows), WINDOWS_PER_BATCH):
        chosen = windows[first : first + WINDOWS_PER_BATCH]
        n_positions = detector.n_positions(max(window.stop - window.start for window in chosen))
        yield Batch(
            visual=None if video.visual is None else padded(video.visual[view], chosen, n_positions).float(),
            audio=None if video.audio is None else padded(video.audio, chosen, n_positions).float(),
            audio_valid=None if video.audio_valid is None else padded(video.audio_valid, chosen, n_positions),
            n_snippets=torch.tensor([window.stop - window.start for window in chosen]),
        )
