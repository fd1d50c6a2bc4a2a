"""Features to compare, from any source: a feature folder, a data set by its name, or a folder of arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip import hdf5, paths
from avadclip.config.features import ImportedVisual
from avadclip.datasets.array_files import Arrays, find_arrays, load_views
from avadclip.errors import DatasetError, FeatureError
from avadclip.store.feature_file import SUFFIX
from avadclip.store.feature_folder import FeatureFolder


@dataclass(frozen=True)
class FeatureSet:
    """Features of some videos.

    Attributes
    ----------
    name : for messages.
    ids : of the videos, sorted.
    read : gives the features of one video, float32 [views, n, width].
    """

    name: str
    ids: tuple[str, ...]
    read: Callable[[str], NDArray[np.float32]]


def open_set(name: str, modality: str) -> FeatureSet:
    """Open features by the name of a data set, or by a folder.

    Parameters
    ----------
    modality : which features of a data set.

    Raises
    ------
    FeatureError : there are none, or two files are the same view of a video.
    """
    folder = paths.features(name, modality) if paths.features(name, modality).is_dir() else Path(name)
    if not folder.is_dir():
        raise FeatureError(f"{name}: neither a data set with {modality} features nor a folder; correct the name")
    first = next(iter(sorted(folder.glob(f"*{SUFFIX}"))), None)
    if first is not None and _is_ours(first):
        ours = FeatureFolder(folder)
        return FeatureSet(name, ours.ids, lambda id_: _views(ours.read(id_).values))
    try:
        files = find_arrays(folder)
    except DatasetError as error:
        raise FeatureError(str(error)) from None
    if not files:
        raise FeatureError(f"{folder}: there are no features; name a folder with some")
    return FeatureSet(name, tuple(sorted(files)), lambda id_: _read(files, id_))


def _is_ours(path: Path) -> bool:
    try:
        with hdf5.opened(path) as file:
            return "fingerprint" in file.attrs
    except hdf5.UNREADABLE:
        return False


def _views(values: NDArray[np.float16]) -> NDArray[np.float32]:
    return (values if values.ndim == 3 else values[None]).astype(np.float32)


def _read(files: Mapping[str, list[Path]], id_: str) -> NDArray[np.float32]:
    section = ImportedVisual(extractor="to compare", stride=1, frame_rate=1.0)
    try:
        return load_views(Arrays(tuple(files[id_]), ()), section).astype(np.float16).astype(np.float32)
    except DatasetError as error:
        raise FeatureError(str(error)) from None
