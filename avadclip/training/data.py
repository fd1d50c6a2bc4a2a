"""Training samples from the feature store: every view of every video, at most `max_snippets` long, in flat arrays."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avadclip.config.detector import Modality
from avadclip.datasets.model import Video
from avadclip.detectors.protocol import Batch
from avadclip.errors import FeatureError
from avadclip.store.video import Folders, VideoFeatures, read_video
from avadclip.training.bags import average_audio, average_bins

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """Where one view of one video lies in the flat arrays."""

    video: int  # index among the videos
    n_snippets: int
    visual_row: int  # first row of its features
    audio_row: int  # the views of a video share their audio


@dataclass(frozen=True)
class LabelledBatch:
    """Features with what they are to be recognised as."""

    batch: Batch
    labels: torch.Tensor  # float32 [b, C]

    def to(self, device: torch.device) -> "LabelledBatch":
        """The same on a device."""
        return LabelledBatch(self.batch.to(device), self.labels.to(device))


@dataclass(frozen=True)
class TrainingSet:
    """Samples whose features are in memory, or mapped into it; see :func:`load_training_set`."""

    samples: tuple[Sample, ...]
    labels: NDArray[np.float32]  # [videos, C], 1 for every class of the video
    visual: Rows | None  # [rows, width]
    audio: Rows | None  # [rows, width]
    audio_valid: NDArray[np.bool_] | None  # [rows]

    @property
    def widths(self) -> dict[Modality, int]:
        """Features per snippet of the modalities that were read."""
        arrays: dict[Modality, Rows | None] = {"visual": self.visual, "audio": self.audio}
        return {modality: rows.shape[1] for modality, rows in arrays.items() if rows is not None}

    def longest(self, chosen: Sequence[int]) -> int:
        """Snippets of the longest of some samples, given by index."""
        return max(self.samples[index].n_snippets for index in chosen)

    def batch(self, chosen: Sequence[int], n_positions: int) -> LabelledBatch:
        """Some samples, given by index, padded with zeros to `n_positions`."""
        samples = [self.samples[index] for index in chosen]
        visual_rows = [slice(sample.visual_row, sample.visual_row + sample.n_snippets) for sample in samples]
        audio_rows = [slice(sample.audio_row, sample.audio_row + sample.n_snippets) for sample in samples]
        batch = Batch(
            visual=None if self.visual is None else padded(self.visual, visual_rows, n_positions),
            audio=None if self.audio is None else padded(self.audio, audio_rows, n_positions),
            audio_valid=None if self.audio_valid is None else padded(self.audio_valid, audio_rows, n_positions),
            n_snippets=torch.tensor([sample.n_snippets for sample in samples]),
        )
        return LabelledBatch(batch, torch.from_numpy(self.labels[[sample.video for sample in samples]]))


def padded(rows: NDArray[np.generic], chosen: Sequence[slice], n_positions: int) -> torch.Tensor:
    """Stretches of rows [rows, ...] as [stretches, positions, ...], with zeros behind them."""
    stacked = np.zeros((len(chosen), n_positions, *rows.shape[1:]), rows.dtype)
    for row, stretch in zip(stacked, chosen, strict=True):
        row[: stretch.stop - stretch.start] = rows[stretch]
    return torch.from_numpy(stacked)


def load_training_set(
    videos: Sequence[Video], folders: Folders, classes: Sequence[str], max_snippets: int, memory_gib: float
) -> TrainingSet:
    """Read every video once, shorten it, and keep it in memory, or in a temporary file what is beyond `memory_gib`.

    Raises
    ------
    FeatureError : a file is missing or damaged, or not all videos have the same widths and number of views.
    """
    lengths = [min(next(iter(folders.values())).n_snippets(video.id), max_snippets) for video in videos]
    first = read_video(folders, videos[0].id)
    n_views = 1 if first.visual is None else len(first.visual)
    budget = _Budget(memory_gib)
    visual = None if first.visual is None else budget.rows(n_views * sum(lengths), first.visual.shape[-1])
    audio = None if first.audio is None else budget.rows(sum(lengths), first.audio.shape[-1])
    audio_valid = None if audio is None else np.zeros(len(audio), bool)
    samples = []
    row = 0  # of the audio features; every view has as many before it
    for index, (video, length) in enumerate(zip(videos, lengths, strict=True)):
        features = read_video(folders, video.id)
        _check_like(features, first)
        if visual is not None and features.visual is not None:
            views = average_bins(features.visual, max_snippets)
            visual[n_views * row : n_views * (row + length)] = views.reshape(-1, views.shape[-1])
        if audio is not None and audio_valid is not None and features.audio is not None:
            assert features.audio_valid is not None
            binned = average_audio(features.audio, features.audio_valid, max_snippets)
            audio[row : row + length], audio_valid[row : row + length] = binned.values, binned.valid
        samples += [Sample(index, length, n_views * row + view * length, row) for view in range(n_views)]
        row += length
    return TrainingSet(tuple(samples), multi_hot(videos, classes), visual, audio, audio_valid)


def multi_hot(videos: Sequence[Video], classes: Sequence[str]) -> NDArray[np.float32]:
    """[videos, C]: 1 where the video has the class."""
    return np.array([[name in video.labels for name in classes] for video in videos], np.float32)


class _Budget:
    """Hands out arrays: in memory while they fit, then memory-mapped from temporary files that vanish with them."""

    def __init__(self, memory_gib: float) -> None:
        self._left = memory_gib * 2**30

    def rows(self, n_rows: int, width: int) -> Rows:
        self._left -= 4 * n_rows * width
        if self._left >= 0:
            return np.zeros((n_rows, width), np.float32)
        return np.memmap(tempfile.TemporaryFile(), np.float32, "w+", shape=(n_rows, width))


def _check_like(features: VideoFeatures, first: VideoFeatures) -> None:
    for modality in ("visual", "audio"):
        found, expected = (getattr(video, modality) for video in (features, first))
        if found is not None and (found.shape[:-2], found.shape[-1]) != (expected.shape[:-2], expected.shape[-1]):
            shapes = f"{found.shape} and {expected.shape} ([views,] snippets, width)"
            raise FeatureError(
                f"{features.id} and {first.id}: {modality} features differ: {shapes}; extract them again"
            )
