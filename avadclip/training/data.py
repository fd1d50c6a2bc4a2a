"""Training samples from the feature store: videos as bags, in flat arrays."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avadclip.config.features import Modality
from avadclip.datasets.model import Video
from avadclip.detectors.inference import padded
from avadclip.detectors.protocol import Batch, LabelledBatch
from avadclip.detectors.settings import Bag
from avadclip.errors import FeatureError
from avadclip.io import naming
from avadclip.store.video import Folders, VideoFeatures, n_snippets, read_video
from avadclip.training.bags import bag_audio, bag_visual, draw, stored_length

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """The rows of one sample in the flat arrays: one view of a video, or all its views."""

    video: int  # index among the videos
    n_rows: int  # of each view
    visual_rows: tuple[int, ...]  # first row of the features of each view
    audio_row: int  # the views of a video share their audio


@dataclass(frozen=True)
class TrainingSet:
    """Samples whose features are in memory, or mapped into it; see :func:`load_training_set`."""

    samples: tuple[Sample, ...]
    bag: Bag
    labels: NDArray[np.float32]  # [videos, C], 1 for every class of the video
    visual: Rows | None  # [rows, width]
    audio: Rows | None  # [rows, width]
    audio_valid: NDArray[np.bool_] | None  # [rows]
    anomalous_share: NDArray[np.float32] | None = None  # [rows of audio], see LabelledBatch

    @property
    def widths(self) -> dict[Modality, int]:
        """Features per snippet of the modalities that were read."""
        arrays: dict[Modality, Rows | None] = {"visual": self.visual, "audio": self.audio}
        return {modality: rows.shape[1] for modality, rows in arrays.items() if rows is not None}

    def is_normal(self, sample: int) -> bool:
        """Whether a sample, given by index, has no anomaly."""
        return bool(self.labels[self.samples[sample].video, 0])

    def batch(
        self, chosen: Sequence[int], n_positions: Callable[[int], int], random: np.random.Generator
    ) -> LabelledBatch:
        """Some samples, given by index, padded with zeros to `n_positions` of the longest of them."""
        samples = [self.samples[index] for index in chosen]
        drawn = [draw(self.bag, sample.n_rows, random) for sample in samples]
        n_views = len(samples[0].visual_rows) or 1
        visual_rows = [_at(row, rows) for s, rows in zip(samples, drawn, strict=True) for row in s.visual_rows]
        audio_rows = [_at(s.audio_row, rows) for s, rows in zip(samples, drawn, strict=True) for _ in range(n_views)]
        lengths = [_length(rows) for rows in drawn for _ in range(n_views)]
        n = n_positions(max(lengths))
        batch = Batch(
            visual=None if self.visual is None else padded(self.visual, visual_rows, n),
            audio=None if self.audio is None else padded(self.audio, audio_rows, n),
            audio_valid=None if self.audio_valid is None else padded(self.audio_valid, audio_rows, n),
            n_snippets=torch.tensor(lengths),
            n_views=n_views,
        )
        labels = self.labels[[sample.video for sample in samples for _ in range(n_views)]]
        share = None if self.anomalous_share is None else padded(self.anomalous_share, audio_rows, n)
        return LabelledBatch(batch, torch.from_numpy(labels), share)

    def all_samples(self, n_positions: Callable[[int], int], device: torch.device) -> Iterator[LabelledBatch]:
        """Every sample once, as a batch of its own, in order: what a detector observes before training."""
        for index in range(len(self.samples)):
            yield self.batch([index], n_positions, np.random.default_rng(0)).to(device)


def load_training_set(
    videos: Sequence[Video],
    folders: Folders,
    classes: Sequence[str],
    bag: Bag,
    memory_gib: float,
    views_together: bool = False,
    kept: Mapping[str, NDArray[np.bool_]] | None = None,
    shares: Mapping[str, NDArray[np.float32]] | None = None,
) -> TrainingSet:
    """Read every video once, make it a bag, and keep it in memory or, beyond `memory_gib`, in a temporary file.

    Parameters
    ----------
    views_together : all views of a video are one sample; else each is one.
    kept : of each video, the snippets [n] that may be used, at least one; None: all.
    shares : of each video that has segments, the share of each snippet [n] that is in them; it is made a bag like the
        features.

    Raises
    ------
    FeatureError : a file is missing or damaged, or not all videos have the same widths and number of views.
    """
    lengths = [stored_length(bag, _n_snippets(folders, video.id, kept)) for video in videos]
    first = read_video(folders, videos[0].id)
    n_views = 1 if first.visual is None else len(first.visual)
    budget = _Budget(memory_gib)
    visual = None if first.visual is None else budget.rows(n_views * sum(lengths), first.visual.shape[-1])
    audio = None if first.audio is None else budget.rows(sum(lengths), first.audio.shape[-1])
    audio_valid = None if audio is None else np.zeros(len(audio), bool)
    anomalous_share = np.full(sum(lengths), -1.0, np.float32) if shares else None
    samples: list[Sample] = []
    row = 0  # of the audio features; the same offset holds within every view
    for index, (video, length) in enumerate(zip(videos, lengths, strict=True)):
        features = read_video(folders, video.id)
        _check_like(features, first)
        if kept is not None:
            features = features.only(kept[video.id])
        if visual is not None and features.visual is not None:
            views = bag_visual(bag, features.visual)
            visual[n_views * row : n_views * (row + length)] = views.reshape(-1, views.shape[-1])
        if audio is not None and audio_valid is not None and features.audio is not None:
            assert features.audio_valid is not None
            bagged = bag_audio(bag, features.audio, features.audio_valid)
            audio[row : row + length], audio_valid[row : row + length] = bagged.values, bagged.valid
        if anomalous_share is not None and shares is not None and video.id in shares:
            share = shares[video.id] if kept is None else shares[video.id][kept[video.id]]
            anomalous_share[row : row + length] = bag_visual(bag, share[:, None])[:, 0]
        firsts = [] if visual is None else [n_views * row + view * length for view in range(n_views)]
        if views_together or visual is None:
            samples.append(Sample(index, length, tuple(firsts), row))
        else:
            samples += [Sample(index, length, (first_row,), row) for first_row in firsts]
        row += length
    labels = multi_hot(videos, classes)
    return TrainingSet(tuple(samples), bag, labels, visual, audio, audio_valid, anomalous_share)


def _n_snippets(folders: Folders, video_id: str, kept: Mapping[str, NDArray[np.bool_]] | None) -> int:
    if kept is not None:
        return int(kept[video_id].sum())
    return n_snippets(folders, video_id)


def multi_hot(videos: Sequence[Video], classes: Sequence[str]) -> NDArray[np.float32]:
    """[videos, C]: 1 if the video has the class."""
    return np.array([[name in video.labels for name in classes] for video in videos], np.float32)


def _at(first: int, rows: NDArray[np.intp] | slice) -> NDArray[np.intp] | slice:
    return slice(first + rows.start, first + rows.stop) if isinstance(rows, slice) else first + rows


def _length(rows: NDArray[np.intp] | slice) -> int:
    return int(rows.stop - rows.start) if isinstance(rows, slice) else len(rows)


class _Budget:
    """Makes arrays: in memory while they fit, then memory-mapped from temporary files that are removed with them."""

    def __init__(self, memory_gib: float) -> None:
        self._left = memory_gib * 2**30

    def rows(self, n_rows: int, width: int) -> Rows:
        self._left -= 4 * n_rows * width
        if self._left >= 0:
            return np.zeros((n_rows, width), np.float32)
        file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the array
        if hasattr(os, "posix_fallocate"):  # a full disk raises here, instead of killing the process later
            with naming(Path(tempfile.gettempdir())):
                os.posix_fallocate(file.fileno(), 0, 4 * n_rows * width)
        return np.memmap(file, np.float32, "w+", shape=(n_rows, width))


def _check_like(features: VideoFeatures, first: VideoFeatures) -> None:
    for modality in ("visual", "audio"):
        found, expected = (getattr(video, modality) for video in (features, first))
        if found is not None and (found.shape[:-2], found.shape[-1]) != (expected.shape[:-2], expected.shape[-1]):
            shapes = f"{found.shape} and {expected.shape} ([views,] snippets, width)"
            raise FeatureError(
                f"{features.id} and {first.id}: {modality} features differ: {shapes}; extract them again"
            )
