"""Videos as a source of features: recipe, decode task and encoder of each modality."""

from collections.abc import Sequence

from avadclip.config import features
from avadclip.config.architectures import image_size
from avadclip.encoders.lean import lean_imports
from avadclip.encoders.weights import hash_ahead, published_clip
from avadclip.extraction.protocol import Encoder, Pending, Reader, Sections
from avadclip.extraction.recipe import audio_recipe, decoders, visual_recipe
from avadclip.extraction.tasks import AudioTask, VisualTask
from avadclip.store import Recipe
from avadclip.workers import Task


class VideoFrames:
    """Sampled frames, encoded by CLIP's image tower."""

    def __init__(self, sections: Sections) -> None:
        assert isinstance(sections.visual, features.Visual)
        self._visual = sections.visual
        self.stride = sections.visual.stride
        self.recipe: Recipe = visual_recipe(sections.visual)
        self.decoders: Sequence[Reader] = decoders(sections.visual)

    def load_encoder(self, device: str) -> Encoder:
        """Load CLIP's image tower."""
        hash_ahead(self._visual.weights, published_clip(self._visual))
        with lean_imports():  # importing torch takes seconds, so only if needed
            from avadclip.encoders.clip import ImageEncoder
        return ImageEncoder(self._visual, device)

    def task(self, video: Pending, decoder: Reader) -> Task:
        """Decode one video into canvases."""
        assert decoder != "npy"
        assert decoder != "array"
        visual = self._visual
        return VisualTask(
            video.path,
            video.source,
            decoder,
            visual.stride,
            visual.frame,
            visual.mean_of,
            visual.views,
            image_size(visual.encoder, visual.encoder_config),
            visual.batch_size,
            probes=video.probes,
            info=video.info,
        )


class VideoSound:
    """One window of sound per snippet of the visual stride, encoded by Wav2CLIP."""

    decoders: Sequence[Reader] = ("pyav",)

    def __init__(self, sections: Sections) -> None:
        assert isinstance(sections.audio, features.Audio)
        assert isinstance(sections.visual, features.Visual)
        self._audio = sections.audio
        self.stride = sections.visual.stride
        self.recipe: Recipe = audio_recipe(sections.audio, sections.visual)

    def load_encoder(self, device: str) -> Encoder:
        """Load Wav2CLIP."""
        with lean_imports():
            from avadclip.encoders.wav2clip import AudioEncoder
        return AudioEncoder(self._audio, device)

    def task(self, video: Pending, decoder: Reader) -> Task:
        """Decode the sound of one video into spectrograms."""
        audio = self._audio
        return AudioTask(
            video.path,
            video.source,
            self.stride,
            audio.window_seconds,
            audio.batch_size,
            probes=video.probes,
            info=video.info,
        )
