"""Arrays in every format: what was written is read back, and every error is one line that names the file."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avadclip.datasets import arrays
from avadclip.datasets.arrays import read_array
from avadclip.errors import DatasetError
from tests.support.arrays_factory import write_array

SHAPES = {"one view": (3, 4), "views": (2, 3, 4)}


@pytest.mark.parametrize("suffix", [*arrays.SUFFIXES, ".NPY", ".Npz"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_is_written_is_read(tmp_path: Path, suffix: str, dtype: type, shape: tuple[int, ...]) -> None:
    if suffix == ".csv" and len(shape) == 3:
        pytest.skip("a table has two axes")
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    write_array(tmp_path / f"a b.c{suffix}", values)
    found = read_array(tmp_path / f"a b.c{suffix}")
    np.testing.assert_array_equal(found, values)
    assert found.dtype == (np.float64 if suffix == ".csv" else dtype)


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors"])
def test_one_of_several_arrays_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    several = {"audio": np.ones((2, 3)), "video": np.zeros((2, 4))}
    if suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, values in several.items():
                file[name] = values
    elif suffix == ".npz":
        np.savez(path, **several)
    else:
        from safetensors.numpy import save_file

        save_file(several, path)
    assert read_array(path, "video").shape == (2, 4)
    with pytest.raises(DatasetError, match=r"expected one array, found audio, video; name one of them as `array`"):
        read_array(path)
    with pytest.raises(DatasetError, match=r"expected an array 'vide', found audio, video"):
        read_array(path, "vide")


def huge_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 512)})


def huge_npz(path: Path) -> None:
    huge_npy(path.with_suffix(".npy"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_suffix(".npy"), "features.npy")


def huge_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("features", shape=(2**31, 512), dtype="f4", chunks=(64, 512))  # no chunk is written


def huge_safetensors(path: Path) -> None:
    header = b'{"x":{"dtype":"F32","shape":[1099511627776,512],"data_offsets":[0,8]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))


def archive_as_npy(path: Path) -> None:
    write_array(path.with_suffix(".npz"), np.zeros((2, 3)))
    path.with_suffix(".npz").rename(path)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(np.zeros((2, 3))))


def objects(path: Path) -> None:
    np.save(path, np.array([[1, "a"], [2, None]], dtype=object), allow_pickle=True)


def objects_npz(path: Path) -> None:
    np.savez(path, x=np.array([[1, "a"], [2, None]], dtype=object))


def elsewhere_h5(path: Path) -> None:
    write_array(path.with_name("other.h5"), np.zeros((2, 3)))
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink("other.h5", "of/features")


def null_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = h5py.Empty("f4")


def truncated(path: Path) -> None:
    whole = path.with_name(f"whole{path.suffix}")
    write_array(whole, np.random.default_rng(0).normal(size=(64, 32)))
    path.write_bytes(whole.read_bytes()[:3000])


def holding(values: np.ndarray) -> Callable[[Path], None]:
    return lambda path: write_array(path, values)


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content) and None


def bfloat16(path: Path) -> None:
    header = b'{"x":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))


HOSTILE = {
    "huge npy": (".npy", huge_npy, "values, more than"),
    "huge npz": (".npz", huge_npz, "values, more than"),
    "huge h5": (".h5", huge_h5, "values, more than"),
    "huge safetensors": (".safetensors", huge_safetensors, "not readable"),
    "pickle": (".npy", pickled, "not readable"),
    "objects": (".npy", objects, "found .2, 2. object; convert it"),
    "objects in npz": (".npz", objects_npz, "object"),
    "an archive under another name": (".npy", archive_as_npy, "expected one array, found a .npz file; correct"),
    "a link to another file": (".h5", elsewhere_h5, "found none"),
    "no space": (".h5", null_h5, "expected features"),
    "whole numbers": (".npy", holding(np.zeros((2, 3), np.int64)), "found .2, 3. int64; convert it"),
    "one axis": (".npy", holding(np.zeros(3)), "found .3,."),
    "four axes": (".npz", holding(np.zeros((1, 1, 2, 3))), "found .1, 1, 2, 3."),
    "no snippet": (".npy", holding(np.zeros((0, 3))), "found .0, 3."),
    "complex": (".npy", holding(np.zeros((2, 3), complex)), "complex128"),
    "long double": (".npy", holding(np.zeros((2, 3), np.longdouble)), "float128|longdouble|float96"),
    "bfloat16": (".safetensors", bfloat16, "BF16"),
    "ragged": (".csv", text("1,2\n3\n"), "not readable"),
    "header": (".csv", text("a,b\n1,2\n"), "not readable"),
    "empty text": (".csv", text(""), "expected features"),
    "empty": (".npy", lambda path: path.touch(), "not readable"),
    **{f"cut off {suffix}": (suffix, truncated, "not readable") for suffix in arrays.SUFFIXES if suffix != ".csv"},
}


@pytest.mark.parametrize(("suffix", "write", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_one_line(tmp_path: Path, suffix: str, write: Callable[[Path], None], message: str) -> None:
    path = tmp_path / f"x{suffix}"
    write(path)
    with pytest.raises(DatasetError, match=message) as caught:
        read_array(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
