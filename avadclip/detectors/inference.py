"""Testing: a video of any length -> windows that fit the detector -> scores of every snippet, once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avadclip.detectors.protocol import Batch, Detector
from avadclip.store.video import VideoFeatures
from avadclip.training.data import padded

WINDOWS_PER_BATCH = 16


@dataclass(frozen=True)
class SnippetScores:
    """What a detector says about the n snippets of one video."""

    anomaly_confidence: NDArray[np.float32]  # [n], classification branch, 0..1
    class_probabilities: NDArray[np.float32] | None  # [n, C], alignment branch
    uncertainty: NDArray[np.float32] | None  # [n], mean log variance of a student's features

    @property
    def anomaly_probability(self) -> NDArray[np.float32]:
        """[n], 1 - p(normal) of the alignment branch where there is one, else the confidence; selection goes by it."""
        if self.class_probabilities is None:
            return self.anomaly_confidence
        return 1 - self.class_probabilities[:, 0]


def split(n_snippets: int, length: int) -> list[slice]:
    """Windows of `length` snippets, one after the other; the last may be shorter, none is empty."""
    return [slice(start, min(start + length, n_snippets)) for start in range(0, n_snippets, length)]


@torch.no_grad()
def detect(detector: Detector, video: VideoFeatures, device: torch.device | str) -> SnippetScores:
    """Score a video, seen in its centre view, with a detector in evaluation mode on `device`.

    Raises
    ------
    CheckpointError : the features are not of the width that the detector was built for, or a modality is absent.
    """
    confidences: list[Tensor] = []
    probabilities: list[Tensor] = []
    uncertainties: list[Tensor] = []
    for batch in _batches(detector, video):
        output = detector(batch.to(device))
        snippets = batch.valid.to(device)  # picks window after window, snippet after snippet
        confidences.append(output.anomaly_logits.float().sigmoid()[snippets])
        if output.class_logits is not None:
            probabilities.append(output.class_logits.float().softmax(dim=-1)[snippets])
        if output.log_variance is not None:
            uncertainties.append(output.log_variance.float().mean(dim=-1)[snippets])
    return SnippetScores(
        anomaly_confidence=torch.cat(confidences).cpu().numpy(),
        class_probabilities=torch.cat(probabilities).cpu().numpy() if probabilities else None,
        uncertainty=torch.cat(uncertainties).cpu().numpy() if uncertainties else None,
    )


def _batches(detector: Detector, video: VideoFeatures) -> Iterator[Batch]:
    windows = split(video.n_snippets, detector.dimensions.max_snippets)
    for first in range(0, len(windows), WINDOWS_PER_BATCH):
        chosen = windows[first : first + WINDOWS_PER_BATCH]
        n_positions = detector.n_positions(max(window.stop - window.start for window in chosen))
        yield Batch(
            visual=None if video.visual is None else padded(video.visual[0], chosen, n_positions).float(),
            audio=None if video.audio is None else padded(video.audio, chosen, n_positions).float(),
            audio_valid=None if video.audio_valid is None else padded(video.audio_valid, chosen, n_positions),
            n_snippets=torch.tensor([window.stop - window.start for window in chosen]),
        )
