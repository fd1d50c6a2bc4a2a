"""HDF5 files that declare what they do not hold, lead elsewhere, or have no end."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from avadclip import hdf5, store
from avadclip.datasets.arrays import read_array
from avadclip.errors import (
    AvadclipError,
    DatasetError,
    EvaluationError,
    FeatureError,
    ReportError,
)
from avadclip.report import footage
from avadclip.scoring import scores
from avadclip.store import Features, Source
from avadclip.store.feature_set import open_set

Change = Callable[[h5py.File], object]

FEATURES = Features(
    Source("v", "0" * 64, 16, 25.0), {"a": 1}, np.zeros((1, 2, 8), "f2"), np.ones(2, bool), np.arange(3.0), "none"
)
SCORES = scores.collect(
    scores.Provenance("d", "v", "d", 0, ("visual",), "last", ("normal", "riot"), 16),
    [scores.VideoScores("v", "visual", np.zeros(3, "f4"), np.zeros((3, 2), "f4"))],
)
FOOTAGE = footage.Footage({"v": np.arange(3.0)}, {"v": "0001.mp4"}, {"v": b"png"})

KINDS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object], type[AvadclipError], str]] = {
    "features": (lambda path: store.write(path, FEATURES), store.read, FeatureError, "values"),
    "scores": (lambda path: scores.write(path, SCORES), scores.read, EvaluationError, "anomaly_confidence"),
    "footage": (lambda path: footage.write_footage(path, FOOTAGE), footage.read_footage, ReportError, "seconds"),
}


def replaced(name: str, **dataset: object) -> Change:
    """Replace a data set of the HDF5 file by another one."""

    def change(file: h5py.File) -> None:
        kind = file[name].dtype
        del file[name]
        file.create_dataset(name, **{"dtype": kind, **dataset})

    return change


def linked(name: str, link: object) -> Change:
    """Replace a data set of the HDF5 file by a link."""

    def change(file: h5py.File) -> None:
        file.move(name, "elsewhere")
        file[name] = link

    return change


def virtual(name: str, other: Path) -> Change:
    """Take the data from another file."""

    def change(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(shape=file[name].shape, dtype=file[name].dtype)
        layout[...] = h5py.VirtualSource(str(other), name, shape=file[name].shape)
        del file[name]
        file.create_virtual_dataset(name, layout)

    return change


ATTACKS: dict[str, Callable[[str, Path], Change]] = {
    "petabytes": lambda name, _: replaced(name, shape=(1 << 45, 8)),
    "gigabytes of nothing": lambda name, _: replaced(name, shape=(1 << 31,)),
    "gigabytes, compressed": lambda name, _: replaced(name, shape=(1 << 31,), chunks=(1 << 20,), compression=9),
    "link to another file": lambda name, other: linked(name, h5py.ExternalLink(str(other), name)),
    "link within": lambda name, _: linked(name, h5py.SoftLink("/elsewhere")),
    "link to nothing": lambda name, _: linked(name, h5py.SoftLink("/nowhere")),
    "data of another file": lambda name, other: virtual(name, other),
    "bytes of another file": lambda name, other: replaced(name, shape=(2,), external=[(str(other), 0, 64)]),
    "a group": lambda name, _: lambda file: (file.move(name, "elsewhere"), file.create_group(name)),
    "texts": lambda name, _: replaced(name, data=["a", "b"], dtype=h5py.string_dtype()),
    "other numbers": lambda name, _: replaced(name, data=np.ones(2), dtype=">f4"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_hdf5(tmp_path: Path, kind: str, attack: str) -> None:
    write, read, error, name = KINDS[kind]
    write(tmp_path / "other.h5")
    write(tmp_path / "a.h5")
    read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        ATTACKS[attack](name, tmp_path / "other.h5")(file)
    with pytest.raises(error, match=r"a\.h5: not (a )?readable"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize("kind", ["features", "scores"])
@pytest.mark.parametrize("unused", [b"\0\0\0", b"\0\0\x02", b"\xff\xff\xff"])
def test_a_heap_of_texts_without_end(tmp_path: Path, kind: str, unused: bytes) -> None:
    """HDF5 would walk through it for ever, where no Python signal reaches it."""
    write, read, error, _ = KINDS[kind]
    path = tmp_path / "a.h5"
    write(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 5 : heap + 8] = unused  # nobody looks at these
    content[heap + 16 : heap + 32] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(error, match="a heap of texts with an object of 0 bytes"):
        read(path)


@pytest.mark.parametrize("size", [0, 4095, "the file and one byte", 2**63, 2**64 - 1])
def test_a_heap_of_texts_of_a_size_that_no_heap_has(tmp_path: Path, size: int | str) -> None:
    """HDF5 refuses it by itself, so that it can be left out of the search for heaps without end."""
    write, read, error, _ = KINDS["features"]
    path = tmp_path / "a.h5"
    write(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    n_bytes = len(content) - heap + 1 if isinstance(size, str) else size
    content[heap + 8 : heap + 32] = n_bytes.to_bytes(8, "little") + bytes(16)
    path.write_bytes(content)
    with pytest.raises(error, match="not a readable feature file"):
        read(path)


@pytest.mark.timeout(60, method="thread")  # no Python signal reaches HDF5
def test_a_tree_whose_last_leaf_is_its_own_neighbour(tmp_path: Path) -> None:
    """HDF5 would go from neighbour to neighbour for ever where it is asked for the size of a group."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["features"] = np.ones((4, 3), np.float32)
    content = bytearray(path.read_bytes())
    tree = content.index(b"TREE")
    assert content[tree + 16 : tree + 24] == b"\xff" * 8  # there is no neighbour on the right
    content[tree + 16 : tree + 24] = tree.to_bytes(8, "little")
    path.write_bytes(content)
    np.testing.assert_array_equal(read_array(path), np.ones((4, 3)))


def test_a_group_that_is_in_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["of/a/video"] = np.ones((4, 3), np.float32)
        file["of/a/loop"] = file["of"]
        file["another name"] = file["of/a/video"]
        file["elsewhere"] = h5py.SoftLink("/of/a/video")
    with hdf5.opened(path) as file:
        assert list(hdf5.datasets(file)) == ["another name"]
    np.testing.assert_array_equal(read_array(path), np.ones((4, 3)))


def with_unknown_lists(path: Path) -> None:
    """Turn each variable-length text into a list of a kind unknown to HDF5, which trusts its item type nevertheless."""
    content = path.read_bytes()
    changed = content.replace(b"\x19\x01\x01\x00\x10\x00\x00\x00", b"\x19\x02\x01\x00\x10\x00\x00\x00")
    assert changed != content
    path.write_bytes(changed)


@pytest.mark.parametrize("kind", ["features", "scores"])
def test_a_list_of_unknown_kind_is_no_text(tmp_path: Path, kind: str) -> None:
    """HDF5 2.0 would read it from wherever its bytes point, which is a segmentation fault."""
    write, read, error, _ = KINDS[kind]
    write(tmp_path / "a.h5")
    with_unknown_lists(tmp_path / "a.h5")
    with pytest.raises(error, match="expected a number or text, found object"):
        read(tmp_path / "a.h5")


def test_nor_is_it_the_reason_for_a_refusal(tmp_path: Path) -> None:
    scores.write_refusal(tmp_path / "a.h5", "no detector")
    assert scores.read_refusal(tmp_path / "a.h5") == "no detector"
    with_unknown_lists(tmp_path / "a.h5")
    assert scores.read_refusal(tmp_path / "a.h5") is None  # reading the scores says what is wrong


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    _, read, error, _ = KINDS[kind]
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(error, match="pipe"):
        read(tmp_path / "a.h5")


def test_no_other_reader_of_hdf5_waits_for_a_pipe_either(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(DatasetError, match="pipe"):
        read_array(tmp_path / "a.h5")
    assert scores.read_refusal(tmp_path / "a.h5") is None  # reading the scores says what is wrong
    with pytest.raises(FeatureError, match="pipe"):
        open_set(str(tmp_path), "visual").read("a")


@pytest.mark.parametrize(
    ("name", "value"),
    [("recipe", "[1]"), ("recipe", "[" * 50_000), ("n_frames", np.inf), ("n_frames", [1, 2]), ("id", "../../x")],
)
def test_attributes_of_features(tmp_path: Path, name: str, value: object) -> None:
    store.write(tmp_path / "a.h5", FEATURES)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs[name] = value
    with pytest.raises(FeatureError, match=r"a\.h5"):
        store.read(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "a.mp4/../../x", "", "javascript:alert(1)"])
def test_players_are_names_of_copies(tmp_path: Path, name: str) -> None:
    footage.write_footage(tmp_path / "a.h5", footage.Footage({}, {"v": name}, {}))
    with pytest.raises(ReportError, match="not a name of a copy"):
        footage.read_footage(tmp_path / "a.h5")
