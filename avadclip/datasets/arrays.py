"""Arrays of features as extractors write them: .npy, .npz, .h5, .csv, .safetensors. Pickled objects are never loaded.

A file of a few bytes can declare an array larger than any memory, so shapes are checked before values are read.
"""

import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from avadclip import hdf5
from avadclip.errors import DatasetError

# In one file: about a day of video, with 2048 values for every 16th frame at 25 frames per second.
MOST_VALUES = 2**28
_FLOATS = (2, 4, 8)  # bytes of float16, float32, float64
# What the libraries below raise for a file that is not an array, or is cut off.
_UNREADABLE = (
    *hdf5.UNREADABLE,
    *(EOFError, MemoryError, zipfile.BadZipFile, zlib.error, SafetensorError),
)


def read_array(path: Path, name: str | None = None) -> NDArray[np.floating]:
    """One array of a file, [n, width] or with three axes, in the file's own precision.

    Parameters
    ----------
    path : its suffix, in upper or lower case, is one of `SUFFIXES`.
    name : of the array in a .npz, .h5 or .safetensors file; None: the only array there.

    Raises
    ------
    DatasetError : the file is damaged or cut off, or has several arrays and `name` is None; or the array has values
        other than float16, float32 or float64, an axis of length 0, or more than `MOST_VALUES` values.
    """
    try:
        return _READERS[path.suffix.lower()](path, name)
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path}: not readable as an array ({reason}); if it is cut off, copy it again") from None


def _npy(path: Path, _: str | None) -> NDArray[Any]:
    with path.open("rb") as file:  # np.load would take twice as long, and there are 100,000 files
        if file.read(2) == b"PK":
            raise DatasetError(f"{path}: expected one array, found a .npz file; correct the file's suffix")
        file.seek(0)
        shape, is_in_columns, dtype = _read_header(file)
        _check(path, shape, dtype)
        n_bytes, n_expected = path.stat().st_size - file.tell(), int(np.prod(shape)) * dtype.itemsize
        if n_bytes < n_expected:
            raise ValueError(f"expected {n_expected} bytes of values, found {n_bytes}")
        values = np.fromfile(file, dtype, int(np.prod(shape)))
    return values.reshape(shape[::-1]).T if is_in_columns else values.reshape(shape)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether values are in Fortran order, and type."""
    read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    try:
        header: tuple[tuple[int, ...], bool, np.dtype[Any]] = read[npy_format.read_magic(file)](file)
    except Exception as error:  # numpy parses the header as Python and raises whatever that does
        raise ValueError(f"no header of an array: {error}") from None
    return header


def _npz(path: Path, name: str | None) -> NDArray[Any]:
    with zipfile.ZipFile(path) as archive:
        names = {entry.removesuffix(".npy"): entry for entry in archive.namelist() if entry.endswith(".npy")}
        entry = names[_chosen(path, name, names)]
        with archive.open(entry) as file:
            shape, _, dtype = _read_header(file)
            _check(path, shape, dtype)
        with archive.open(entry) as file:
            array: NDArray[Any] = npy_format.read_array(file, allow_pickle=False)
            return array


def _h5(path: Path, name: str | None) -> NDArray[Any]:
    with hdf5.opened(path) as file:
        arrays = hdf5.datasets(file)
        array = arrays[_chosen(path, name, arrays)]
        if array.external or array.is_virtual:
            raise DatasetError(f"{path}: its values are in another file; copy them into this one")
        _check(path, array.shape or (), array.dtype)
        values: NDArray[Any] = array[...]
        return values


def _csv(path: Path, _: str | None) -> NDArray[Any]:
    _check(path, (path.stat().st_size // 2, 1), np.dtype(np.float64))  # a value and its comma take two bytes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the file is empty
        array = np.loadtxt(path, delimiter=",", comments=None, ndmin=2, encoding="utf-8-sig")
    _check(path, array.shape, array.dtype)
    return array


def _safetensors(path: Path, name: str | None) -> NDArray[Any]:
    with safe_open(path, framework="np") as file:
        key = _chosen(path, name, file.keys())
        stored = file.get_slice(key)
        dtype = {"F16": "float16", "F32": "float32", "F64": "float64"}.get(stored.get_dtype())
        if dtype is None:
            _refuse(path, tuple(stored.get_shape()), stored.get_dtype())
        _check(path, tuple(stored.get_shape()), np.dtype(dtype))
        array: NDArray[Any] = file.get_tensor(key)
        return array


_READERS: dict[str, Callable[[Path, str | None], NDArray[Any]]] = {
    ".csv": _csv,
    ".h5": _h5,
    ".hdf5": _h5,
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
}
SUFFIXES = tuple(_READERS)


def _chosen(path: Path, name: str | None, names: Iterable[str]) -> str:
    known = sorted(names)
    if name is None and len(known) == 1:
        return known[0]
    if name is None or name not in known:
        wanted = "one array" if name is None else f"an array {name!r}"
        listed = ", ".join(known[:10]) or "none"
        raise DatasetError(f"{path}: expected {wanted}, found {listed}; name one of them as `array` in params.yaml")
    return name


def _check(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.kind != "f" or dtype.itemsize not in _FLOATS or len(shape) not in (2, 3) or min(shape) < 1:
        _refuse(path, shape, str(dtype))
    n_values = int(np.prod(shape, dtype=object))
    if n_values > MOST_VALUES:
        raise DatasetError(
            f"{path}: shape {shape} has {n_values} values, more than {MOST_VALUES}; cut the video into parts"
        )


def _refuse(path: Path, shape: tuple[int, ...], dtype: str) -> None:
    raise DatasetError(
        f"{path}: expected features [n, width] (or several views) in float16, float32 or float64, found {shape}"
        f" {dtype}; convert it"
    )
