"""Feature files in the authors' layout: where they are, what they contain, and their hash.

Below ``datasets.<name>.videos`` are two folders, ``visual`` and ``audio``, with the files in any subfolders (the
release has one for training and one for testing).
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avadclip.config.datasets import Dataset
from avadclip.config.features import ReleasedAudio
from avadclip.datasets import files
from avadclip.datasets.released_lists import (
    SUFFIX,
    audio_name,
    parse_visual_name,
    read_lists,
    visual_name,
)
from avadclip.errors import DatasetError
from avadclip.io import sha256_of


@dataclass(frozen=True)
class VideoFiles:
    """The files of one video."""

    views: tuple[Path, ...]  # tests use the first
    audio: Path

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file, first the views, then the sound."""
        return (*self.views, self.audio)

    @property
    def missing(self) -> list[str]:
        """Names of the files that do not exist."""
        return [path.name for path in self.all if not path.is_file()]

    @property
    def content_hash(self) -> str:
        """sha256 of names and contents, in order."""
        lines = "".join(f"{sha256_of(path)} {path.name}\n" for path in self.all)
        return hashlib.sha256(lines.encode()).hexdigest()


class Release:
    """Released features of a data set.

    Parameters
    ----------
    visual, audio : folders of .npy files.
    annotations : folder of the lists.
    """

    def __init__(self, visual: Path, audio: Path, annotations: Path) -> None:
        self.listed = {video.id: video for video in read_lists(annotations)}
        self._folders = {"visual": visual, "audio": audio}
        self._paths = {modality: _find(folder) for modality, folder in self._folders.items()}

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """The release that a block of params.yaml names."""
        folder = Path(dataset.videos)
        return cls(folder / "visual", folder / "audio", Path(dataset.annotations))

    def files(self, id_: str) -> VideoFiles:
        """Where the files of a listed video are, or should be.

        Training uses the views of the list. For testing, the view of the list comes first and all other views follow,
        because a feature store keeps them all.
        """
        if id_ not in self.listed:
            raise DatasetError(f"{id_!r} is in no list; run `dvc repro`, so that `prepare` reads the lists again")
        video = self.listed[id_]
        views = video.views
        if video.split == "test":
            views += tuple(view for view in sorted(self._views.get(video.id, ())) if view not in views)
        visual = tuple(self._path("visual", visual_name(id_, view)) for view in views)
        return VideoFiles(visual, self._path("audio", audio_name(id_)))

    def _path(self, modality: str, name: str) -> Path:
        return self._paths[modality].get(name, self._folders[modality] / name)

    @cached_property
    def _views(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for name in self._paths["visual"]:
            if parsed := parse_visual_name(name):
                found.setdefault(parsed[0], []).append(parsed[1])
        return found


def load_rows(path: Path) -> NDArray[np.floating]:
    """Features [n, width] in the file's own precision, mapped into memory.

    Raises
    ------
    DatasetError : not a .npy file, or not an array of features. Pickled objects are never loaded.
    """
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy parses the header as Python code, which may raise anything
        raise DatasetError(f"{path.name}: not readable as an array: {error}") from None
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f" or 0 in rows.shape:
        found = f"{rows.shape} {rows.dtype}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise DatasetError(f"{path.name}: expected features [n, width] of a floating-point type, found {found}")
    return rows


def _find(folder: Path) -> dict[str, Path]:
    """File name -> path of every .npy file below a folder."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder of {SUFFIX} files; `avadclip import-features` puts them there")
    paths = [folder / relative for relative in sorted(files.walk(folder, lambda name: name.endswith(SUFFIX)))]
    names = Counter(path.name for path in paths)
    if twice := sorted(name for name, n in names.items() if n > 1):
        raise DatasetError(
            f"{folder}: {len(twice)} files are there twice, the first of them {twice[0]!r}; keep one of each"
        )
    return {path.name: path for path in paths}


def check_lengths(n_visual: int, n_audio: int, audio: ReleasedAudio) -> None:
    """Refuse audio features that are much longer or shorter than the visual ones with a :class:`DatasetError`."""
    if abs(n_visual - n_audio) > audio.max_length_difference:
        raise DatasetError(
            f"{n_audio} audio and {n_visual} visual snippets: they differ by more than audio.max_length_difference"
            f" {audio.max_length_difference}; get the matching file, or allow more if they do belong together"
        )
