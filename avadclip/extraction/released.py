"""Released features as a modality of extraction: workers read .npy files, and there is nothing left to encode."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip.config.datasets import Dataset
from avadclip.config.features import ReleasedAudio, ReleasedVisual
from avadclip.datasets.released_files import Release, VideoFiles, check_lengths, load_rows
from avadclip.errors import DatasetError, FeatureError
from avadclip.extraction.protocol import Chunk, Pending, Reader, Sections, SnippetTimes
from avadclip.store import Recipe, Source

UNKNOWN = "unknown"
IMPORTED = "imported from .npy files in the authors' layout"


def visual_recipe(visual: ReleasedVisual) -> dict[str, Any]:
    """What is known about how the released CLIP features were made."""
    return {
        "modality": "visual",
        "source": IMPORTED,
        "encoder": visual.encoder,
        "architecture_sha256": None,
        "weights_sha256": visual.weights.sha256,
        "stride": visual.stride,
        **dict.fromkeys(("frame", "views", "resize", "precision", "batch_size", "decoder"), UNKNOWN),
    }


def audio_recipe(audio: ReleasedAudio, visual: ReleasedVisual) -> dict[str, Any]:
    """What is known about how the released Wav2CLIP features were made."""
    return {
        "modality": "audio",
        "source": IMPORTED,
        "encoder": audio.encoder,
        "stride": visual.stride,
        "zeros": audio.zeros,
        "max_length_difference": audio.max_length_difference,
        **dict.fromkeys(
            ("width", "weights_sha256", "window_seconds", "spectrogram", "precision", "batch_size", "decoder"), UNKNOWN
        ),
    }


class ToFloat16:
    """Takes the place of an encoder."""

    ahead = 0

    def __init__(self, width: int) -> None:
        self.width = width

    def encode(self, inputs: NDArray[Any]) -> NDArray[np.float16]:
        """The same features in the store's precision; :class:`FeatureError` if they are not finite in it."""
        with np.errstate(over="ignore"):
            features = inputs.astype(np.float16)
        if not np.isfinite(features).all():
            raise FeatureError("features are not finite, or too large for float16")
        return features

    def begin(self, inputs: NDArray[Any]) -> Callable[[], NDArray[np.float16]]:
        """Convert at once."""
        return partial(self.encode, inputs)


@dataclass(frozen=True)
class ReadViews:
    """The views of one video, as one chunk [views, n, width]."""

    files: VideoFiles
    source: Source
    stride: int

    def __call__(self) -> Iterator[Chunk | SnippetTimes]:
        _check_unchanged(self.files, self.source)
        views = np.stack([load_rows(path) for path in self.files.views])
        yield Chunk(views, np.ones(views.shape[1], bool))
        yield _snippet_times(self.source, self.stride)


@dataclass(frozen=True)
class ReadSound:
    """The sound of one video [n, width], brought to as many snippets as the views have.

    The authors' code pads both modalities with zeros to 256 and uses the visual length. So snippets that are missing
    at the end are zero, and surplus ones are cut off.
    """

    files: VideoFiles
    source: Source
    stride: int
    audio: ReleasedAudio

    def __call__(self) -> Iterator[Chunk | SnippetTimes]:
        _check_unchanged(self.files, self.source)
        rows = load_rows(self.files.audio)
        n_snippets = self.source.n_frames // self.stride
        check_lengths(n_snippets, len(rows), self.audio)
        sound = np.zeros((n_snippets, rows.shape[1]), rows.dtype)
        n_common = min(n_snippets, len(rows))
        sound[:n_common] = rows[:n_common]
        valid = np.ones(n_snippets, bool) if self.audio.zeros == "heard" else np.any(sound != 0, axis=1)
        yield Chunk(sound, valid)
        yield _snippet_times(self.source, self.stride)


class _Released:
    """What both modalities share."""

    decoders: Sequence[Reader] = ("npy",)

    def __init__(self, dataset: Sections) -> None:
        assert isinstance(dataset, Dataset)  # a model folder never has such sections
        assert isinstance(dataset.visual, ReleasedVisual)
        assert isinstance(dataset.audio, ReleasedAudio)
        self._dataset, self._visual, self._audio = dataset, dataset.visual, dataset.audio
        self.stride: int = dataset.visual.stride

    @cached_property
    def _release(self) -> Release:
        return Release.of(self._dataset)

    def _files(self, source: Source) -> VideoFiles:
        return self._release.files(source.id)


class ReleasedViews(_Released):
    """Released CLIP features."""

    def __init__(self, dataset: Sections) -> None:
        super().__init__(dataset)
        self.recipe: Recipe = visual_recipe(self._visual)

    def load_encoder(self, device: str) -> ToFloat16:
        """Nothing is loaded."""
        return ToFloat16(width=0)  # used only for videos without chunks, and there are none

    def task(self, video: Pending, decoder: Reader) -> ReadViews:
        """Read the views of one video."""
        return ReadViews(self._files(video.source), video.source, self.stride)


class ReleasedSound(_Released):
    """Released Wav2CLIP features."""

    def __init__(self, dataset: Sections) -> None:
        super().__init__(dataset)
        self.recipe: Recipe = audio_recipe(self._audio, self._visual)

    def load_encoder(self, device: str) -> ToFloat16:
        """Nothing is loaded."""
        return ToFloat16(width=0)

    def task(self, video: Pending, decoder: Reader) -> ReadSound:
        """Read the sound of one video."""
        return ReadSound(self._files(video.source), video.source, self.stride, self._audio)


def _check_unchanged(files: VideoFiles, source: Source) -> None:
    if files.content_hash != source.content_hash:
        raise DatasetError(
            f"{files.views[0].name} or another file of this video changed since the manifest was written; run"
            " `dvc repro` so that `prepare` reads it again"
        )


def _snippet_times(source: Source, stride: int) -> SnippetTimes:
    n_snippets = source.n_frames // stride
    return SnippetTimes(np.arange(n_snippets + 1) * stride / source.frame_rate, "npy")
