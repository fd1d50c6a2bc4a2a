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


class Sections(Protocol):
    """What decides about features: a data set of params.yaml has it, and so has a model folder."""

    @property
    def visual(self) -> features.Visual | features.ReleasedVisual:
        """How frames become features."""

    @property
    def audio(self) -> features.Audio | features.ReleasedAudio:
        """How sound becomes features."""


class Encoder(Protocol):
    """What extraction needs of an encoder."""

    width: int  # of a feature

    def encode(self, inputs: NDArray[Any]) -> NDArray[np.float16]:
        """Features of one batch of n inputs: [views, n, width] or [n, width]."""


class Modality(Protocol):
    """How videos become features."""

    recipe: Recipe
    stride: int  # source frames from one snippet to the next
    decoders: Sequence[Reader]  # in the order in which they are tried

    def load_encoder(self, device: str) -> Encoder:
        """Load the weights; asked for only when there is something to encode."""

    def task(self, path: Path, source: Source, decoder: Reader) -> Task:
        """What a worker has to do for one video."""


class Visual:
    """Sampled frames through CLIP's image tower."""

    def __init__(self, sections: Sections) -> None:
        assert isinstance(sections.visual, features.Visual)
        self._visual = sections.visual
        self.stride = sections.visual.stride
        self.recipe: Recipe = visual_recipe(sections.visual)
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

    def __init__(self, sections: Sections) -> None:
        assert isinstance(sections.audio, features.Audio)
        assert isinstance(sections.visual, features.Visual)
        self._audio = sections.audio
        self.stride = sections.visual.stride
        self.recipe: Recipe = audio_recipe(sections.audio, sections.visual)

    def load_encoder(self, device: str) -> Encoder:
        """Load Wav2CLIP."""
        from avadclip.encoders.wav2clip import AudioEncoder

        return AudioEncoder(self._audio, device)

    def task(self, path: Path, source: Source, decoder: Reader) -> Task:
        """Decode the sound of one video into spectrograms."""
        return AudioTask(path, source, self.stride, self._audio.window_seconds, self._audio.batch_size)


def visual_modality(sections: Sections) -> Modality:
    """How pictures become features: encoded, or imported."""
    if isinstance(sections, Dataset) and sections.is_released:
        return ReleasedViews(sections)
    return Visual(sections)


def audio_modality(sections: Sections) -> Modality:
    """The same for sound."""
    if isinstance(sections, Dataset) and sections.is_released:
        return ReleasedSound(sections)
    return Audio(sections)


MODALITIES: Mapping[str, Callable[[Sections], Modality]] = {"visual": visual_modality, "audio": audio_modality}
