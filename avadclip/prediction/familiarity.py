"""``familiarity.safetensors`` of a model folder: what its training features look like, and how far a video is away.

A detector is sure of itself wherever it is asked. What it was trained on is described, in each modality, by the mean
feature of each training video (over its snippets, at unit length): the directions in which these means differ most, and
how much is left outside of them. The distance of a video is that of its own mean from theirs, inside and outside of
these directions. The unit is a measured one: how far training videos are that took no part in the description.

Whole videos are compared: a short excerpt, with nothing in it but an event, can be unlike any of them, too. No torch.
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

# A video like those of the training is farther than n of them with a chance of 1 in n + 1, a modality: at most 5 %.
MIN_VIDEOS = 20
MARGIN = 1.1  # the level is a tenth beyond the farthest of them: they share cameras and days, and new videos do not
N_DIRECTIONS = 8
N_FOLDS = 5
_ROUNDING = 1e-6  # energy that float16 may add to a vector of length 1

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """One modality of the training videos.

    Attributes
    ----------
    centre : float32 [width], the mean of their means.
    directions : float32 [r, width], orthonormal: in which their means differ most.
    spread : float32 [r + 1], the variance of their means along each, and the energy outside of all of them.
    farthest : float32 [1], the largest distance of a training video that was held out.
    """

    centre: NDArray[np.float32]
    directions: NDArray[np.float32]
    spread: NDArray[np.float32]
    farthest: NDArray[np.float32]

    def __post_init__(self) -> None:
        r, width = self.directions.shape
        if (self.centre.shape, self.spread.shape, self.farthest.shape) != ((width,), (r + 1,), (1,)):
            raise ValueError("the shapes of its arrays do not belong together")
        if not all(np.isfinite(getattr(self, field.name)).all() for field in fields(self)):
            raise ValueError("it holds numbers that are not finite")
        if self.spread.min() <= 0 or self.farthest.min() <= 0:
            raise ValueError("it holds a spread or a distance that is not above 0")

    def distance(self, snippets: Rows) -> float:
        """How far a video is, 1 at the level beyond which it is unlike the training.

        Parameters
        ----------
        snippets : [n, width], n >= 1, from :func:`unit_snippets`.
        """
        (found,) = self.spreads_away(snippets.mean(axis=0, keepdims=True)) / (MARGIN * self.farthest)
        return round(float(found), 4)

    def spreads_away(self, means: Rows) -> Rows:
        """Distances of means [n, width] -> [n]; 1 is that of a usual training video, inside and outside together."""
        offsets = means - self.centre
        inside = offsets @ self.directions.T
        outside = np.maximum((offsets**2).sum(axis=1) - (inside**2).sum(axis=1), 0)
        squares = (inside**2 / self.spread[:-1]).mean(axis=1) + outside / self.spread[-1]
        return np.asarray(np.sqrt(squares / 2), dtype=np.float64)


def unit_snippets(features: Features) -> Rows:
    """The snippets of a video that have a feature, each at length 1: [n, width]. Of several views the first."""
    values = features.values[0] if features.values.ndim == 3 else features.values
    rows = values[features.valid].astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    heard = lengths[:, 0] > 0  # where features were imported, silence is a row of zeros
    return np.asarray(rows[heard] / lengths[heard])


def describe(videos: Iterable[Rows]) -> Reference | None:
    """What training videos look like in one modality.

    Parameters
    ----------
    videos : the snippets of each, see :func:`unit_snippets`; those without any do not count.

    Returns
    -------
    None if fewer than `MIN_VIDEOS` are left: their farthest would say nothing about the next one.
    """
    found = [snippets.mean(axis=0) for snippets in videos if len(snippets)]
    if len(found) < MIN_VIDEOS:
        return None
    means = np.stack(found)
    folds = np.arange(len(means)) % N_FOLDS
    farthest = [_fit(means[folds != k]).spreads_away(means[folds == k]).max() for k in range(N_FOLDS)]
    return _fit(means, max(1.0, *farthest))  # 1 is the usual distance, and less than usual is never unlike


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
    The modalities that enough of them have, see :func:`describe`.

    Raises
    ------
    FeatureError : a feature file is missing or damaged.
    """
    ids = [video.id for video in videos if video.split == "train" and not video.excluded]
    found = {name: describe(unit_snippets(folder.read(each)) for each in ids) for name, folder in folders.items()}
    return {name: reference for name, reference in found.items() if reference is not None}


def distance(references: Mapping[Modality, Reference], features: Mapping[Modality, Features]) -> float | None:
    """How far a video is from the training, in the modality in which it is farthest; beyond 1 it is unlike it.

    Returns
    -------
    None where nothing can be compared: the training is not described, or the video has no feature there.
    """
    snippets = {name: unit_snippets(features[name]) for name in references if name in features}
    return max((references[name].distance(rows) for name, rows in snippets.items() if len(rows)), default=None)


def write_familiarity(folder: Path, references: Mapping[Modality, Reference]) -> None:
    """Write the file into a model folder; the same references give the same bytes."""
    parts = {name: vars(reference) for name, reference in references.items()}
    tensors = {f"{name}.{key}": value for name, arrays in parts.items() for key, value in arrays.items()}
    write_bytes(folder / FAMILIARITY, save(tensors, metadata={"format": FORMAT}))


def read_familiarity(folder: Path) -> dict[Modality, Reference]:
    """Read the file; a model folder of an older version has none, and nothing is known then.

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
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
        return {name: _reference(name, tensors) for name in get_args(Modality) if f"{name}.centre" in tensors}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {error}; {again}") from None


def _reference(name: str, tensors: Mapping[str, Any]) -> Reference:
    return Reference(**{field.name: tensors[f"{name}.{field.name}"] for field in fields(Reference)})


def write_distances(
    path: Path, folders: Folders, videos: Sequence[Video], references: Mapping[Modality, Reference]
) -> None:
    """Write how far each test video is, for the page, which then needs no features (stage ``package``).

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
    """How far each test video is, by id; None, or no entry where stage ``package`` has not run, is not known.

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
