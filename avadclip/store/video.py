"""The features of one video in the modalities that a detector needs, read from the store."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avadclip import paths
from avadclip.config.features import Modality
from avadclip.errors import FeatureError
from avadclip.store import FeatureFolder, Features

Folders = Mapping[Modality, FeatureFolder]


@dataclass(frozen=True)
class VideoFeatures:
    """Features of one video in its whole length."""

    id: str
    visual: NDArray[np.float16] | None  # [views, n, width]; view 0 is the centre
    audio: NDArray[np.float16] | None  # [n, width]
    audio_valid: NDArray[np.bool_] | None  # [n]

    @property
    def n_snippets(self) -> int:
        """Number of snippets, the same in all modalities."""
        features = self.visual if self.visual is not None else self.audio
        assert features is not None
        return int(features.shape[-2])

    def only(self, kept: NDArray[np.bool_]) -> "VideoFeatures":
        """Only the snippets for which `kept` [n] is true."""
        return VideoFeatures(
            self.id,
            visual=None if self.visual is None else self.visual[:, kept],
            audio=None if self.audio is None else self.audio[kept],
            audio_valid=None if self.audio_valid is None else self.audio_valid[kept],
        )


def open_folders(dataset: str, modalities: Iterable[Modality]) -> dict[Modality, FeatureFolder]:
    """The feature folders of a data set.

    Raises
    ------
    FeatureError : a folder does not exist.
    """
    return {modality: FeatureFolder(paths.features(dataset, modality)) for modality in modalities}


def read_video(folders: Folders, video_id: str) -> VideoFeatures:
    """Features of one video.

    Raises
    ------
    FeatureError : a file is missing or damaged, or the modalities have different numbers of snippets.
    """
    return join_modalities(video_id, {modality: folder.read(video_id) for modality, folder in folders.items()})


def n_snippets(folders: Folders, video_id: str) -> int:
    """Number of snippets of one video, without reading its features; :class:`FeatureError` as :func:`read_video`."""
    return next(iter(folders.values())).n_snippets(video_id)


def join_modalities(video_id: str, read: Mapping[Modality, Features]) -> VideoFeatures:
    """Features of one video that have been read or made.

    Raises
    ------
    FeatureError : the modalities have different numbers of snippets.
    """
    lengths = {modality: features.n_snippets for modality, features in read.items()}
    if len(set(lengths.values())) > 1:
        raise FeatureError(
            f"{video_id}: expected the same number of snippets in all modalities, found {lengths}; extract both again"
        )
    visual, audio = read.get("visual"), read.get("audio")
    return VideoFeatures(
        video_id,
        visual=visual.values if visual else None,
        audio=audio.values if audio else None,
        audio_valid=audio.valid if audio else None,
    )
