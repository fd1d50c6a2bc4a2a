"""The two modalities behind one interface: recipe, decode task, encoder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from avadclip.config.architectures import image_size
from avadclip.config.features import Audio as AudioSection
from avadclip.config.features import Visual as VisualSection
from avadclip.extraction.recipe import audio_recipe, visual_recipe
from avadclip.extraction.tasks import AudioTask, VisualTask
from avadclip.media.decord_reader import decord_available
from avadclip.media.frames import Decoder
from avadclip.store import Recipe, Source
from avadclip.workers import Task


class Sections(Protocol):
    """What decides about features: a data set of params.yaml has it, and so has a model folder."""

    @property
    def visual(self) -> VisualSection:
        """How frames become features."""

    @property
    def audio(self) -> AudioSection:
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
    decoders: Sequence[Decoder]  # in the order in which they are tried

    def load_encoder(self, device: str) -> Encoder:
        """Load the weights; asked for only when there is something to encode."""

    def task(self, path: Path, source: Source, decoder: Decoder) -> Task:
        """What a worker has to do for one video."""


class Visual:
    """Sampled frames through CLIP's image tower."""

    def __init__(self, sections: Sections) -> None:
        self._visual = sections.visual
        self.stride = sections.visual.stride
        self.recipe: Recipe = visual_recipe(sections.visual)
        self.decoders: Sequence[Decoder] = ("decord", "pyav") if decord_available() else ("pyav",)

    def load_encoder(self, device: str) -> Encoder:
        """Load CLIP's image tower."""
        from avadclip.encoders.clip import ImageEncoder  # torch takes seconds: only when there is something to encode

        return ImageEncoder(self._visual, device)

    def task(self, path: Path, source: Source, decoder: Decoder) -> Task:
        """Decode one video into canvases."""
        visual = self._visual
        size = image_size(visual.encoder, visual.encoder_config)
        return VisualTask(path, source, decoder, visual.stride, visual.frame, visual.views, size, visual.batch_size)


class Audio:
    """One window of sound a snippet through Wav2CLIP, on the snippets of the visual stride."""

    decoders: Sequence[Decoder] = ("pyav",)

    def __init__(self, sections: Sections) -> None:
        self._audio = sections.audio
        self.stride = sections.visual.stride
        self.recipe: Recipe = audio_recipe(sections.audio, sections.visual)

    def load_encoder(self, device: str) -> Encoder:
        """Load Wav2CLIP."""
        from avadclip.encoders.wav2clip import AudioEncoder

        return AudioEncoder(self._audio, device)

    def task(self, path: Path, source: Source, decoder: Decoder) -> Task:
        """Decode the sound of one video into spectrograms."""
        return AudioTask(path, source, self.stride, self._audio.window_seconds, self._audio.batch_size)


MODALITIES: Mapping[str, Callable[[Sections], Modality]] = {"visual": Visual, "audio": Audio}
