"""``familiarity.safetensors`` of a model folder: statistics of the training features, and the distance of a video.

A detector gives confident scores for any input. The training videos are described, in each modality, by their mean
features (over their snippets, at unit length): the directions in which these means differ most, and the rest outside
them. The distance of a video is that of its own mean from theirs, inside and outside these directions. The unit is
measured: the distance of training videos that were left out of the description.

Whole videos are compared, so a short excerpt with nothing but an event can also be unlike all of them. Without torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from avadclip.config.features import Modality
from avadclip.datasets import csv_file
from avadclip.datasets.model import Video
from avadclip.errors import CheckpointError
from avadclip.io import unknown_format, write_bytes
from avadclip.store import Features
from avadclip.store.video import Folders

FAMILIARITY = "familiarity.safetensors"
FORMAT = "avadclip-familiarity/1"
DISTANCES_HEADER = ("id", "distance")

# A video like the n training videos is farther than all of them with probability 1 / (n + 1) per modality: at most 5 %.
MIN_VIDEOS = 20
MARGIN = 1.1  # a tenth more than the farthest of them, because they share cameras and days, and new videos do not
N_DIRECTIONS = 8
N_FOLDS = 5
_ROUNDING = 1e-6  # energy that float16 may add to a vector of length 1

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of one modality of the training videos.

    Attributes
    ----------
    centre : float32 [width], the mean of their means.
    directions : float32 [r, width], orthonormal: those in which their means differ most.
    spread : float32 [r + 1], the variance of their means along each, and the energy outside all of them.
    farthest : float32 [1], the largest distance of a training video that was held out.
    """

    centre: NDArray[np.float32]
    directions: NDArray[np.float32]
    spread: NDArray[np.float32]
    farthest: NDArray[np.float32]

    def __post_init__(self) -> None:
        r, width = self.directions.shape
        if (self.centre.shape, self.spread.shape, self.farthest.shape) != ((width,), (r + 1,), (1,)):
            raise ValueError("the shapes of its arrays do not fit together")
        if not all(np.isfinite(getattr(self, field.name)).all() for field in fields(self)):
            raise ValueError("it has numbers that are not finite")
        if self.spread.min() <= 0 or self.farthest.min() <= 0:
            raise ValueError("it has a spread or a distance that is not above 0")

    def distance(self, snippets: Rows) -> float:
        """The distance of a video; above 1 it is unlike the training videos.

        Parameters
        ----------
        snippets : [n, width], n >= 1, from :func:`unit_snippets`.
        """
        (found,) = self.spreads_away(snippets.mean(axis=0, keepdims=True)) / (MARGIN * self.farthest)
        return round(float(found), 4)

    def spreads_away(self, means: Rows) -> Rows:
        """Distances of means [n, width] -> [n], inside and outside the directions; a typical training video has 1."""
        offsets = means - self.centre
        inside = offsets @ self.directions.T
        outside = np.maximum((offsets**2).sum(axis=1) - (inside**2).sum(axis=1), 0)
        squares = (inside**2 / self.spread[:-1]).mean(axis=1) + outside / self.spread[-1]
        return np.asarray(np.sqrt(squares / 2), dtype=np.float64)


def unit_snippets(features: Features) -> Rows:
    """The snippets of a video that have a feature, each at length 1: [n, width]; of several views, the first."""
    values = features.values[0] if features.values.ndim == 3 else features.values
    rows = values[features.valid].astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    heard = lengths[:, 0] > 0  # in imported features, no sound may be a row of zeros
    return np.asarray(rows[heard] / lengths[heard])


def describe(videos: Iterable[Rows]) -> Reference | None:
    """Describe training videos in one modality.

    Parameters
    ----------
    videos : the snippets of each, see :func:`unit_snippets`; videos without any are ignored.

    Returns
    -------
    None if fewer than `MIN_VIDEOS` are left: then the farthest of them would say nothing about new videos.
    """
    found = [snippets.mean(axis=0) for snippets in videos if len(snippets)]
    if len(found) < MIN_VIDEOS:
        return None
    means = np.stack(found)
    folds = np.arange(len(means)) % N_FOLDS
    farthest = [_fit(means[folds != k]).spreads_away(means[folds == k]).max() for k in range(N_FOLDS)]
    return _fit(means, max(1.0, *farthest))  # 1 is the typical distance, which must never count as unlike


def _fit(means: Rows, farthest: float = 1.0) -> Reference:
    centre = means.mean(axis=0)
    _, scales, directions = np.linalg.svd(means - centre, full_matrices=False)
    variances = scales**2 / (len(means) - 1)
    r = min(N_DIRECTIONS, len(means) // 2, len(variances))
    spread = np.append(variances[:r], variances[r:].sum()) + _ROUNDING
    arrays = (centre, directions[:r], spread, np.array([farthest]))
    return Reference(*(array.astype(np.float32) for array in arrays))


def learn(folders: Folders, videos: Sequence[Video]) -> dict[Modality, Reference]:
    """Describe the training videos of a manifest (stage ``package``).

    Returns
    -------
    By modality, if enough videos have it, see :func:`describe`.

    Raises
    ------
    FeatureError : a feature file is missing or damaged.
    """
    ids = [video.id for video in videos if video.split == "train" and not video.excluded]
    found = {name: describe(unit_snippets(folder.read(each)) for each in ids) for name, folder in folders.items()}
    return {name: reference for name, reference in found.items() if reference is not None}


def distance(references: Mapping[Modality, Reference], features: Mapping[Modality, Features]) -> float | None:
    """The distance of a video from the training, in the modality in which it is farthest; above 1 it is unlike it.

    Returns
    -------
    None if nothing can be compared: the training is not described, or the video has no features.
    """
    snippets = {name: unit_snippets(features[name]) for name in references if name in features}
    return max((references[name].distance(rows) for name, rows in snippets.items() if len(rows)), default=None)


def write_familiarity(folder: Path, references: Mapping[Modality, Reference]) -> None:
    """Write the file into a model folder; the same references give the same bytes."""
    parts = {name: vars(reference) for name, reference in references.items()}
    tensors = {f"{name}.{key}": value for name, arrays in parts.items() for key, value in arrays.items()}
    write_bytes(folder / FAMILIARITY, save(tensors, metadata={"format": FORMAT}))


def read_familiarity(folder: Path) -> dict[Modality, Reference]:
    """Read the file; empty for a model folder of an older version, which has none.

    Raises
    ------
    CheckpointError : it is damaged, or of another format.
    """
    path, again = folder / FAMILIARITY, "run `dvc repro package` again, or `dvc pull`"
    if not path.exists():
        return {}
    try:
        with safe_open(path, framework="numpy") as file:
            if (found := (file.metadata() or {}).get("format")) != FORMAT:
                raise CheckpointError(f"{path}: {unknown_format(found, FORMAT, again)}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a dict
        return {name: _reference(name, tensors) for name in get_args(Modality) if f"{name}.centre" in tensors}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {error}; {again}") from None


def _reference(name: str, tensors: Mapping[str, Any]) -> Reference:
    return Reference(**{field.name: tensors[f"{name}.{field.name}"] for field in fields(Reference)})


def write_distances(
    path: Path, folders: Folders, videos: Sequence[Video], references: Mapping[Modality, Reference]
) -> None:
    """Write the distance of each test video, so that the page needs no features (stage ``package``).

    Raises
    ------
    FeatureError : a feature file is missing or damaged.
    """
    rows = []
    for video in videos:
        if video.split == "test" and not video.excluded:
            found = distance(references, {name: folders[name].read(video.id) for name in references})
            rows.append((video.id, "" if found is None else repr(found)))
    csv_file.write(path, DISTANCES_HEADER, rows)


def read_distances(path: Path) -> dict[str, float | None]:
    """The distance of each test video, by id; None if it is not known, no entry if stage ``package`` has not run.

    Raises
    ------
    DatasetError : the file is damaged; names line and column.
    """
    if not path.exists():
        return {}
    return {
        row.text("id"): row.number("distance") if row.cells["distance"] else None
        for row in csv_file.read(path, DISTANCES_HEADER)
    }
