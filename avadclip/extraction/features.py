"""Imported features as a modality of extraction: workers read arrays, and there is nothing left to encode."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip import store
from avadclip.config.datasets import Dataset
from avadclip.config.features import ImportedAudio, ImportedVisual
from avadclip.datasets.array_files import ArrayFiles, Arrays, check_lengths, load_sound, load_views
from avadclip.errors import DatasetError
from avadclip.extraction.protocol import Pending, Reader, Sections
from avadclip.extraction.released import ToFloat16
from avadclip.store import Features, Packed, Recipe, Source

IMPORTED = "imported arrays"


@dataclass(frozen=True)
class ReadArrays:
    """One modality of one video, [views, n, width] or [n, width], packed in the worker, which is all there is to do."""

    files: Arrays
    source: Source
    stride: int
    section: ImportedVisual | ImportedAudio
    recipe: Recipe

    def __call__(self) -> Iterator[Packed]:
        if self.files.content_hash != self.source.content_hash:
            raise DatasetError(
                f"{(*self.files.visual, *self.files.audio)[0]}, or another file of this video, changed since the"
                " manifest was written; run `dvc repro` so that `prepare` reads it again"
            )
        n_snippets = self.source.n_frames // self.stride
        if isinstance(self.section, ImportedVisual):
            values = load_views(self.files, self.section).astype(np.float16)
            valid = np.ones(n_snippets, bool)
        else:
            values, valid = _sound(self.files, self.section, n_snippets)
        boundary_seconds = np.arange(n_snippets + 1) * self.stride / self.source.frame_rate
        yield store.pack(Features(self.source, self.recipe, values, valid, boundary_seconds, decoder="array"))


def _sound(files: Arrays, section: ImportedAudio, n_snippets: int) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Audio features in the length of the visual ones: surplus snippets are cut off, missing ones have no sound."""
    rows = load_sound(files, section).astype(np.float16)
    check_lengths(n_snippets, len(rows), section)
    n_common = min(n_snippets, len(rows))
    sound = np.zeros((n_snippets, rows.shape[1]), np.float16)
    sound[:n_common] = rows[:n_common]
    valid = np.arange(n_snippets) < n_common
    return sound, valid if section.zeros == "heard" else valid & np.any(sound != 0, axis=1)


class _Imported:
    """What both modalities share."""

    decoders: Sequence[Reader] = ("array",)
    modality: str

    def __init__(self, dataset: Sections) -> None:
        assert isinstance(dataset, Dataset)  # a model folder never has such sections
        assert isinstance(dataset.visual, ImportedVisual)
        self._dataset = dataset
        self._section: Any = getattr(dataset, self.modality)
        self.stride: int = dataset.visual.stride
        self.recipe: Recipe = {
            "modality": self.modality,
            "source": IMPORTED,
            "encoder": self._section.extractor,
            "stride": self.stride,
            "frame_rate": dataset.visual.frame_rate,
            **self._section.model_dump(exclude={"extractor", "stride", "frame_rate", "text_tower"}),
        }

    @cached_property
    def _files(self) -> ArrayFiles:
        return ArrayFiles(self._dataset)

    def load_encoder(self, device: str) -> ToFloat16:
        """Nothing is loaded."""
        return ToFloat16(width=0)

    def task(self, video: Pending, decoder: Reader) -> ReadArrays:
        """Read the arrays of one video."""
        return ReadArrays(self._files.of(video.source.id), video.source, self.stride, self._section, self.recipe)


class ImportedViews(_Imported):
    """Visual features of any extractor."""

    modality = "visual"


class ImportedSound(_Imported):
    """Audio features of any extractor, brought to as many snippets as the visual ones have."""

    modality = "audio"
