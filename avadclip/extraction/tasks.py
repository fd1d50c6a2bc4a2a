"""What decode workers run: one video -> chunks for an encoder, then its timeline.

Chunks have `batch_size` rows and never contain two videos, so the features of a video do not depend on others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from avadclip.config.features import Frame, Views
from avadclip.datasets.probe_cache import recall_info
from avadclip.encoders.preprocess import canvas
from avadclip.encoders.spectrogram import spectrogram
from avadclip.errors import DatasetError
from avadclip.extraction.protocol import Chunk, SnippetTimes
from avadclip.extraction.recipe import DISTRIBUTIONS
from avadclip.io import sha256_of
from avadclip.media.audio import AudioWindow, decode_windows
from avadclip.media.frames import Decoder, decode_frames
from avadclip.media.probe import VideoInfo, probe
from avadclip.media.timeline import boundary_seconds, sample_indices, spread_indices
from avadclip.pulse import beat
from avadclip.store import Source

T = TypeVar("T")

# Features of a window that is mostly outside the track would describe the padding.
MIN_COVERAGE = 0.5


@dataclass(frozen=True)
class VisualTask:
    """Sampled frames of one video -> uint8 canvases [n, height, width, 3]."""

    path: Path
    source: Source
    decoder: Decoder
    stride: int
    frame: Frame
    mean_of: int | None  # with frame `mean`; None: all frames of the snippet
    views: Views
    image_size: int
    batch_size: int
    n_threads: int = 0  # 0: the decoder decides
    probes: Path | None = None  # this and the next: see :class:`avadclip.extraction.protocol.Pending`
    info: str | None = None

    def __call__(self) -> Iterator[Chunk | SnippetTimes]:
        info = _probe_unchanged(self)
        ends = None
        if self.frame == "mean":
            indices, ends = spread_indices(info.n_frames, self.stride, self.mean_of)
        else:
            indices = sample_indices(info.n_frames, self.stride, self.frame)
        batches = decode_frames(self.path, info, indices, self.decoder, n_threads=self.n_threads)
        canvases = (canvas(rgb, self.views, self.image_size) for batch in batches for rgb in batch.rgb)
        n_sent = 0
        for rows in _grouped(canvases, self.batch_size):
            valid = np.ones(len(rows), bool)
            yield Chunk(np.stack(rows), valid, None if ends is None else ends[n_sent : n_sent + len(rows)])
            n_sent += len(rows)
        yield SnippetTimes(boundary_seconds(info, self.stride), _decoder_name(self.decoder))


@dataclass(frozen=True)
class AudioTask:
    """Sound around each snippet of one video -> float32 spectrograms [n, frequencies, frames]."""

    path: Path
    source: Source
    stride: int
    window_seconds: float
    batch_size: int
    probes: Path | None = None
    info: str | None = None

    def __call__(self) -> Iterator[Chunk | SnippetTimes]:
        info = _probe_unchanged(self)
        boundaries = boundary_seconds(info, self.stride)
        if info.has_audio:
            centres = (boundaries[:-1] + boundaries[1:]) / 2
            windows = decode_windows(self.path, centres, self.window_seconds, sound=info.sound)
            for rows in _grouped(windows, self.batch_size):
                yield _spectrograms(rows)
        yield SnippetTimes(boundaries, _decoder_name("pyav") if info.has_audio else "none: no sound track")


def _spectrograms(windows: list[AudioWindow]) -> Chunk:
    return Chunk(
        inputs=np.stack([spectrogram(window.samples) for window in windows]),
        valid=np.array([window.coverage >= MIN_COVERAGE for window in windows]),
    )


def _probe_unchanged(task: VisualTask | AudioTask) -> VideoInfo:
    path, source = task.path, task.source
    found = sha256_of(path, beat)
    if found != source.content_hash:
        raise DatasetError(
            f"{path}: changed since the manifest was written (sha256 {found[:12]}..., expected"
            f" {source.content_hash[:12]}...); run `dvc repro` so that `prepare` reads it again"
        )
    known = task.info
    if known is None and task.probes is not None:
        known = recall_info(task.probes, found, path.name)
    return probe(path) if known is None else VideoInfo.from_text(known)


@cache  # the version is looked up in a file, which takes long beside a short video
def _decoder_name(decoder: Decoder) -> str:
    return f"{decoder} {version(DISTRIBUTIONS[decoder])}"


def _grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
