"""The fast way of writing gives the same bytes as h5py's own, which is its oracle."""

import h5py
import numpy as np
import pytest

from avadclip import hdf5

ARRAYS = {
    "features": np.ones((2, 3, 4), "<f2"),
    "every second": np.arange(12, dtype="<f2").reshape(2, 6)[:, ::2],
    "flags": np.array([True, False]),
    "seconds": np.linspace(0, 1, 5),
    "nothing": np.zeros((0, 4), "<f2"),
}


def image(file: h5py.File) -> bytes:
    file.flush()
    return bytes(file.id.get_file_image())


@pytest.mark.parametrize("value", ["", "video", "ünïcode 視頻", "x" * 60_000, 0, 2**40, 25.0, float("nan")])
def test_an_attribute_is_that_of_h5py(value: str | float) -> None:
    with hdf5.in_memory() as ours, h5py.File.in_memory() as theirs:
        hdf5.write_attribute(ours, "a", value)
        theirs.attrs["a"] = value
        assert image(ours) == image(theirs)
        np.testing.assert_equal(hdf5.attribute(ours, "a"), value)


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_that_of_h5py(name: str) -> None:
    with hdf5.in_memory() as ours, h5py.File.in_memory() as theirs:
        hdf5.write_array(ours, "a", ARRAYS[name])
        theirs.create_dataset("a", data=ARRAYS[name])
        assert image(ours) == image(theirs)
        np.testing.assert_array_equal(hdf5.array(ours, "a", ARRAYS[name].dtype.str), ARRAYS[name])
