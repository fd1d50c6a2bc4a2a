"""The feature store: one immutable HDF5 file per video and modality, whose content can be verified.

A file is written once, to a temporary name in the same folder, and renamed; it is never changed. It contains the recipe
that made it, the hash of its source, a checksum, and a fingerprint = hash(recipe, source).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from avadclip import hdf5
from avadclip.errors import FeatureError
from avadclip.io import replacing, unknown_format

FORMAT = "avadclip-features/1"
SUFFIX = ".h5"

Recipe = Mapping[str, Any]  # JSON values; see avadclip.extraction.recipe


@dataclass(frozen=True)
class Source:
    """The video that features were made from, as in the manifest at that time."""

    id: str
    content_hash: str  # sha256 of the file
    n_frames: int
    frame_rate: float  # frames per second, averaged over the file


@dataclass(frozen=True)
class Features:
    """Features of one video in one modality.

    Attributes
    ----------
    values : float16, visual [views, n_snippets, width], audio [n_snippets, width]; as the encoder gives them, not
        normalised. Zero where not `valid`.
    valid : bool [n_snippets]; False where the sound track does not cover at least half of the window.
    boundary_seconds : float64 [n_snippets + 1]; snippet i is shown from boundary i to boundary i + 1, on the clock of
        the container.
    decoder : which decoder read the file, with its version.
    """

    source: Source
    recipe: Recipe
    values: NDArray[np.float16]
    valid: NDArray[np.bool_]
    boundary_seconds: NDArray[np.float64]
    decoder: str

    def __post_init__(self) -> None:
        n_snippets = len(self.valid)
        shape_fits = self.values.shape[-2:-1] == (n_snippets,) and self.boundary_seconds.shape == (n_snippets + 1,)
        if not shape_fits or self.values.dtype != np.float16:
            raise FeatureError(
                f"{self.source.id}: features of shape {self.values.shape} {self.values.dtype}, {n_snippets} validity"
                f" flags and {len(self.boundary_seconds)} boundaries do not belong together"
            )

    @property
    def id(self) -> str:
        """Id of the video."""
        return self.source.id

    @property
    def n_snippets(self) -> int:
        """Number of snippets."""
        return len(self.valid)

    @property
    def fingerprint(self) -> str:
        """What determines the content, see :func:`fingerprint`."""
        return fingerprint(self.recipe, self.source.id, self.source.content_hash)

    @property
    def checksum(self) -> str:
        """sha256 of the arrays."""
        digest = hashlib.sha256()
        for array in (self.values, self.valid, self.boundary_seconds):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def fingerprint(recipe: Recipe, video_id: str, content_hash: str) -> str:
    """sha256 of recipe and source: two files with the same fingerprint have the same features."""
    canonical = json.dumps([FORMAT, recipe, video_id, content_hash], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def write(path: Path, features: Features) -> None:
    """Write a feature file atomically; the same features give the same bytes."""
    with hdf5.created(path) as file:
        _fill(file, features)


@dataclass(frozen=True)
class Packed:
    """A feature file in memory; `content` is what :func:`write` would write."""

    id: str
    fingerprint: str
    checksum: str
    n_snippets: int
    content: bytes


def pack(features: Features) -> Packed:
    """The file of these features in memory, which another process or machine can write."""
    with hdf5.in_memory() as file:
        fingerprint, checksum = _fill(file, features)
        return Packed(features.id, fingerprint, checksum, features.n_snippets, hdf5.image(file))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a feature file that :func:`pack` made, atomically.

    Raises
    ------
    FeatureError : these bytes are not a whole feature file; nothing is written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        read(temporary)


def _fill(file: h5py.File, features: Features) -> tuple[str, str]:
    """Fingerprint and checksum."""
    source, fingerprint, checksum = features.source, features.fingerprint, features.checksum
    for name, value in (
        ("format", FORMAT),
        ("id", source.id),
        ("content_hash", source.content_hash),
        ("n_frames", source.n_frames),
        ("frame_rate", source.frame_rate),
        ("recipe", json.dumps(features.recipe, sort_keys=True)),
        ("decoder", features.decoder),
        ("checksum", checksum),
        ("fingerprint", fingerprint),
    ):
        hdf5.write_attribute(file, name, value)
    # Half-precision features hardly compress (lzf 1.00, gzip 0.86), so they are stored contiguously, for fast reading.
    hdf5.write_array(file, "values", features.values)
    hdf5.write_array(file, "valid", features.valid)
    hdf5.write_array(file, "boundary_seconds", features.boundary_seconds)
    return fingerprint, checksum


def read(path: Path, recipe: Recipe | None = None, content: bytes | None = None) -> Features:
    """Read and check a feature file.

    Parameters
    ----------
    path : the file.
    recipe : the recipe that the features must have been made with; None accepts any.
    content : the bytes of the file, if they are in memory already; then the file itself is not opened.

    Raises
    ------
    FeatureError : the file is missing or damaged, has another format or checksum, or was made with another recipe.
    """
    try:
        with hdf5.opened(path, content) as file:
            found_format = hdf5.attribute(file, "format") if h5py.h5a.exists(file.id, b"format") else None
            if found_format != FORMAT:
                raise FeatureError(f"{path}: {unknown_format(found_format, FORMAT, 'extract it again')}")
            features = Features(
                source=Source(
                    id=str(hdf5.attribute(file, "id")),
                    content_hash=str(hdf5.attribute(file, "content_hash")),
                    n_frames=int(hdf5.attribute(file, "n_frames")),
                    frame_rate=float(hdf5.attribute(file, "frame_rate")),
                ),
                recipe=_recipe(hdf5.attribute(file, "recipe")),
                values=hdf5.array(file, "values", "<f2"),
                valid=hdf5.array(file, "valid", "?"),
                boundary_seconds=hdf5.array(file, "boundary_seconds", "<f8"),
                decoder=str(hdf5.attribute(file, "decoder")),
            )
            promised = {name: str(hdf5.attribute(file, name)) for name in ("checksum", "fingerprint")}
    except FileNotFoundError:
        raise FeatureError(f"{path}: no such feature file; run `dvc repro` or `dvc pull`") from None
    except hdf5.UNREADABLE as error:
        raise FeatureError(f"{path}: not a readable feature file ({error}); delete it and extract again") from None
    for name, expected in promised.items():
        found = getattr(features, name)
        if found != expected:
            raise FeatureError(f"{path}: damaged: {name} is {found}, the file says {expected}; extract it again")
    if recipe is not None:
        check_recipe(path, features.recipe, recipe)
    return features


def _recipe(text: str) -> Recipe:
    recipe = json.loads(text)
    if not isinstance(recipe, dict):
        raise ValueError(f"recipe: expected an object, found {type(recipe).__name__}")
    return recipe


def check_recipe(path: Path, found: Recipe, expected: Recipe) -> None:
    """Raise :class:`FeatureError` that names every key in which two recipes differ."""
    if differing := differences(found, expected):
        raise FeatureError(f"{path}: made with another recipe: {differing}; run `dvc repro` to make it again")


def differences(found: Recipe, expected: Recipe) -> str:
    """Every key in which two recipes differ, with both values; empty if there is none."""
    differing = [key for key in sorted({*found, *expected}) if found.get(key) != expected.get(key)]
    return "; ".join(f"{key} is {found.get(key)!r}, expected {expected.get(key)!r}" for key in differing)
