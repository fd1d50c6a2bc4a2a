"""The local engine: videos are decoded while the encoder is loaded."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from avadclip.config.features import Extraction
from avadclip.errors import WeightsError
from avadclip.extraction.local import encode_videos
from avadclip.extraction.protocol import Chunk, Pending, SnippetTimes
from avadclip.extraction.released import ToFloat16
from avadclip.store import Source
from avadclip.store.work_cache import WorkCache

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Decode:
    """A task that notes that it has begun, and sends one snippet."""

    begun: Path

    def __call__(self) -> Iterator[Chunk | SnippetTimes]:
        self.begun.touch()
        yield Chunk(np.ones((1, 2), np.float32), np.ones(1, bool))
        yield SnippetTimes(np.array([0.0, 1.0]), "npy")


class SlowToLoad:
    """A modality whose encoder is loaded only when a worker has begun to decode."""

    stride = 1
    recipe = {"modality": "visual"}
    decoders = ("npy",)

    def __init__(self, folder: Path, weights: bool = True) -> None:
        self._begun, self._weights = folder / "begun", weights

    def load_encoder(self, device: str) -> ToFloat16:
        end = time.monotonic() + PATIENCE_SECONDS
        while not self._begun.exists():
            assert time.monotonic() < end, "no video is decoded while the encoder is loaded"
            time.sleep(0.01)
        if not self._weights:
            raise WeightsError("no such file")
        return ToFloat16(width=2)

    def task(self, video: Pending, decoder: str) -> Decode:
        return Decode(self._begun)


def encode(modality: SlowToLoad, folder: Path) -> None:
    pending = [Pending(Path("a.mp4"), Source("a", "0" * 64, 1, 1.0))]
    cache = WorkCache(folder / "cache")
    outcome = encode_videos(pending, modality, cache, Extraction(workers=1))  # type: ignore[arg-type]
    assert (outcome.failures, outcome.n_encoded_snippets, cache.usage().n_files) == ({}, 1, 1)


def test_decoding_begins_before_the_encoder_is_loaded(tmp_path: Path) -> None:
    encode(SlowToLoad(tmp_path), tmp_path)


@pytest.mark.slow
def test_an_encoder_that_cannot_be_loaded_ends_the_workers(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        encode(SlowToLoad(tmp_path, weights=False), tmp_path)
