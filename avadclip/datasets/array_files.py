"""The files of imported features: where they are, what they contain, and their hash.

Below ``datasets.<name>.videos`` are the folders ``visual`` and ``audio``, or one of them, with the files in any
subfolders: ``<id>.npy`` (or another suffix of :mod:`avadclip.datasets.arrays`) contains the features [n, width] of a
video or all its views, ``<id>__<view>.npy`` one view. Tests use the view with the lowest number. Instead of the id, a
name may have the name of the video file (``<id>.mp4.npy``, ``<id>.mp4__0.npy``), in either Unicode form.
"""

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from avadclip.config.datasets import Dataset
from avadclip.config.features import ImportedAudio, ImportedVisual
from avadclip.datasets import arrays, ids
from avadclip.datasets.files import walk
from avadclip.errors import DatasetError, listed
from avadclip.io import sha256_of

_BEYOND = np.float64(65520)  # from here on float16 rounds to infinity
# PyTorch, MATLAB, pickles (which may run code when they are read), raw bytes, columns, TensorFlow, LMDB.
_UNREAD = (
    ".pt",
    ".pth",
    ".mat",
    ".pkl",
    ".pickle",
    ".p",
    ".bin",
    ".parquet",
    ".feather",
    ".tfrecord",
    ".tfrecords",
    ".mdb",
)
_ONE_VIEW = re.compile(r"(?P<id>.+)__(?P<view>\d+)", re.ASCII)


@dataclass(frozen=True)
class Arrays:
    """The files of one video: one for each view, or a single one."""

    visual: tuple[Path, ...]
    audio: tuple[Path, ...]  # one, or none

    @property
    def content_hash(self) -> str:
        """sha256 of modalities and contents, in order. Not of names, so that copies have the same."""
        files = [("visual", path) for path in self.visual] + [("audio", path) for path in self.audio]
        lines = "".join(f"{sha256_of(path)} {modality}\n" for modality, path in files)
        return hashlib.sha256(lines.encode()).hexdigest()


class ArrayFiles:
    """The arrays of a data set of kind ``features``.

    Raises
    ------
    DatasetError : a modality has no folder, or two files are the same view of a video.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.folder = dataset.videos
        self._found = {modality: find_arrays(Path(dataset.videos) / modality) for modality in dataset.modalities}

    @property
    def ids(self) -> set[str]:
        """The videos that have at least one file."""
        return {id_ for by_id in self._found.values() for id_ in by_id}

    def of(self, id_: str) -> Arrays:
        """The files of one video.

        Raises
        ------
        DatasetError : a modality has no file, or there are several audio files.
        """
        if absent := [modality for modality, by_id in self._found.items() if id_ not in by_id]:
            raise DatasetError(f"no {' and no '.join(absent)} features of {id_!r} below {self.folder}")
        found = {modality: tuple(by_id[id_]) for modality, by_id in self._found.items()}
        files = Arrays(found.get("visual", ()), found.get("audio", ()))
        if len(files.audio) > 1:
            raise DatasetError(
                f"{len(files.audio)} files of audio features, {files.audio[1].name} among them; keep one"
            )
        return files


def load_views(files: Arrays, section: ImportedVisual) -> NDArray[np.floating]:
    """Visual features [views, n, width] of one video, in the precision of its files.

    Raises
    ------
    DatasetError : a file cannot be read, views differ in shape, or a value is not finite in float16.
    """
    views = []
    for path in files.visual:
        values = _read(path, section.array)
        views.append(np.moveaxis(values, section.views_axis, 0) if values.ndim == 3 else values[None])
    if len({view.shape for view in views}) > 1 or (len(views) > 1 and len(views[0]) > 1):
        shapes = ", ".join(f"{path.name} {view.shape}" for path, view in zip(files.visual, views, strict=True))
        raise DatasetError(f"expected one view of the same shape in each of several files, found {shapes}")
    return np.concatenate(views) if len(views) > 1 else views[0]


def load_sound(files: Arrays, section: ImportedAudio) -> NDArray[np.floating]:
    """Audio features [n, width] of one video; :class:`DatasetError` as for :func:`load_views`."""
    (path,) = files.audio
    values = _read(path, section.array)
    if values.ndim != 2:
        raise DatasetError(f"{path}: expected audio features [n, width], found {values.shape}; sound has no views")
    return values


def _read(path: Path, name: str | None) -> NDArray[np.floating]:
    """An array that is finite in float16, the store's precision. Converting it would take ten times as long."""
    values = arrays.read_array(path, name)
    if not (values.min() > -_BEYOND and values.max() < _BEYOND):  # NaN is neither
        n = int((~(np.abs(values) < _BEYOND)).sum())
        raise DatasetError(f"{path}: {n} values are not finite, or beyond 65504, the largest float16; scale them")
    return values


def check_lengths(n_visual: int, n_audio: int, section: ImportedAudio) -> None:
    """Refuse audio features that are longer or shorter than the visual ones by more than params.yaml allows."""
    if abs(n_visual - n_audio) > section.max_length_difference:
        raise DatasetError(
            f"{n_audio} audio and {n_visual} visual snippets: they differ by more than audio.max_length_difference"
            f" {section.max_length_difference}; bring both to one stride, or allow more"
        )


def unread_arrays(folder: Path) -> str:
    """``12 files of other types (.pt); convert them to ...``: files that other programs keep arrays in, or nothing."""
    found = [PurePosixPath(name).suffix.lower() for name in walk(folder, lambda name: name.lower().endswith(_UNREAD))]
    if not found:
        return ""
    files = "1 file" if len(found) == 1 else f"{len(found)} files"
    kinds = "another type" if len(found) == 1 else "other types"
    return f"{files} of {kinds} ({listed(set(found))}); convert them to {', '.join(arrays.SUFFIXES)}"


def find_arrays(folder: Path) -> dict[str, list[Path]]:
    """Id -> files of its views, in the order of their numbers.

    Raises
    ------
    DatasetError : no such folder, two files are the same view of a video, or an id cannot be the name of a file.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder of features; `avadclip import-features` puts them there")
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for relative in sorted(walk(folder, lambda name: name.lower().endswith(arrays.SUFFIXES))):
        stem = PurePosixPath(relative).name
        stem = stem[: stem.rindex(".")]
        match = _ONE_VIEW.fullmatch(stem)
        named, view = (match["id"], int(match["view"])) if match else (stem, -1)
        id_ = ids.from_name(named)  # as tables are read: some extractors name `a.mp4.npy`, a Mac decomposes accents
        ids.check(id_)
        path = folder / relative
        if found[id_].setdefault(view, path) is not path or (len(found[id_]) > 1 and -1 in found[id_]):
            rival = next(other for other in found[id_].values() if other is not path)
            raise DatasetError(f"{rival} and {path} are both features of {id_!r}; keep one of them")
    return {id_: [views[number] for number in sorted(views)] for id_, views in found.items()}
