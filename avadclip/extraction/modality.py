"""The two modalities behind one interface: recipe, decode task, encoder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avadclip.config import features
from avadclip.config.architectures import image_size
from avadclip.config.datasets import Dataset
from avadclip.extraction.recipe import audio_recipe, visual_recipe
from avadclip.extraction.tasks import AudioTask, VisualTask
from avadclip.interop.features.modality import ReleasedSound, ReleasedViews
from avadclip.media.decord_reader import decord_available
from avadclip.media.frames import Decoder
from avadclip.store import Recipe, Source
from avadclip.workers import Task

# What reads a file; features that are imported are not decoded.
Reader = Decoder | Literal["npy"]


class Encoder(Protocol):
    """What extraction needs of an encoder."""

    width: int  # of a feature

    def encode(self, inputs: NDArray[Any]) -> NDArray[np.float16]:
        """Features of one batch of n inputs: [views, n, width] or [n, width]."""


class Modality(Protocol):
    """How the videos of one data set become features."""

    recipe: Recipe
    stride: int  # source frames from one snippet to the next
    decoders: Sequence[Reader]  # in the order in which they are tried

    def load_encoder(self, device: str) -> Encoder:
        """Load the weights; asked for only when there is something to encode."""

    def task(self, path: Path, source: Source, decoder: Reader) -> Task:
        """What a worker has to do for one video."""


class Visual:
    """Sampled frames through CLIP's image tower."""

    def __init__(self, dataset: Dataset) -> None:
        assert isinstance(dataset.visual, features.Visual)
        self._visual = dataset.visual
        self.stride = dataset.visual.stride
        self.recipe: Recipe = visual_recipe(dataset.visual)
        self.decoders: Sequence[Reader] = ("decord", "pyav") if decord_available() else ("pyav",)

    def load_encoder(self, device: str) -> Encoder:
        """Load CLIP's image tower."""
        from avadclip.encoders.clip import ImageEncoder  # torch takes seconds: only when there is something to encode

        return ImageEncoder(self._visual, device)

    def task(self, path: Path, source: Source, decoder: Reader) -> Task:
        """Decode one video into canvases."""
        assert decoder != "npy"
        visual = self._visual
        size = image_size(visual.encoder, visual.encoder_config)
        return VisualTask(path, source, decoder, visual.stride, visual.frame, visual.views, size, visual.batch_size)


class Audio:
    """One window of sound a snippet through Wav2CLIP, on the snippets of the visual stride."""

    decoders: Sequence[Reader] = ("pyav",)

    def __init__(self, dataset: Dataset) -> None:
        assert isinstance(dataset.audio, features.Audio)
        assert isinstance(dataset.visual, features.Visual)
        self._audio = dataset.audio
        self.stride = dataset.visual.stride
        self.recipe: Recipe = audio_recipe(dataset.audio, dataset.visual)

    def load_encoder(self, device: str) -> Encoder:
        """Load Wav2CLIP."""
        from avadclip.encoders.wav2clip import AudioEncoder

        return AudioEncoder(self._audio, device)

    def task(self, path: Path, source: Source, decoder: Reader) -> Task:
        """Decode the sound of one video into spectrograms."""
        return AudioTask(path, source, self.stride, self._audio.window_seconds, self._audio.batch_size)


def visual_modality(dataset: Dataset) -> Modality:
    """How the pictures of a data set become features: encoded, or imported."""
    if dataset.is_released:
        return ReleasedViews(dataset)
    return Visual(dataset)


def audio_modality(dataset: Dataset) -> Modality:
    """The same for its sound."""
    if dataset.is_released:
        return ReleasedSound(dataset)
    return Audio(dataset)


MODALITIES: Mapping[str, Callable[[Dataset], Modality]] = {"visual": visual_modality, "audio": audio_modality}
