"""Hostile arrays and tensors: code in them, impossible sizes, and links to files of other people."""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from avadclip import hdf5, store
from avadclip.config.features import Audio, Visual, Weights
from avadclip.datasets.arrays import read_array
from avadclip.datasets.released_files import load_rows
from avadclip.encoders.clip import load_clip
from avadclip.encoders.wav2clip import load_wav2clip
from avadclip.errors import (
    AvadclipError,
    CheckpointError,
    DatasetError,
    EvaluationError,
    FeatureError,
    ReportError,
    WeightsError,
)
from avadclip.interop.checkpoints.state_dict import read_tensors
from avadclip.io import sha256_of
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


class Harm:
    """Unpickling it makes the file `harmed` in the working directory."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("harmed"),)


class Scripted(torch.nn.Module):
    """A module of TorchScript whose code writes `harmed` while it is being loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.training = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return (self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        self.weight = state[0]
        self.training = state[1]
        torch.save(state[0], "harmed")


def zipped(path: Path, extra: str, content: bytes, method: int = zipfile.ZIP_STORED) -> None:
    """Write a state dict as torch does, with one entry added or replaced."""
    torch.save({"a": torch.zeros(3)}, path.with_suffix(".whole"))
    with zipfile.ZipFile(path.with_suffix(".whole")) as whole, zipfile.ZipFile(path, "w", method) as archive:
        for entry in whole.infolist():
            if not entry.filename.endswith(extra):
                archive.writestr(entry.filename, whole.read(entry))
        archive.writestr(f"{whole.namelist()[0].split('/')[0]}/{extra}" if extra == "data/0" else extra, content)


def with_pickle(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Write a state dict as torch does, with its pickle changed."""
    torch.save({"a": torch.zeros(3)}, path.with_suffix(".whole"))
    with zipfile.ZipFile(path.with_suffix(".whole")) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            archive.writestr(name, change(content) if name.endswith("/data.pkl") else content)


def torchscript(path: Path, pickled: bytes, claimed: int | None = None) -> None:
    """Write a TorchScript archive without code around any pickle; its directory may claim another size."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("data.pkl", pickled), ("constants.pkl", pickle.dumps((), 2)), ("version", b"3\n")):
            archive.writestr(f"archive/{name}", content)
        if claimed is not None:
            entry = archive.getinfo("archive/data.pkl")
            entry.file_size = entry.compress_size = claimed


A_GIGABYTE = b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x3f\x85R."  # torch makes it, though it allows only tensors
CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "pickle": lambda path: path.write_bytes(pickle.dumps({"a": Harm()})),
    "torch": lambda path: torch.save({"a": Harm()}, path),
    "torch of before 1.6": lambda path: torch.save({"a": Harm()}, path, _use_new_zipfile_serialization=False),
    "out of its folder": lambda path: zipped(path, "../../harmed", b"x"),
    "bomb": lambda path: zipped(path, "data/0", bytes(1 << 25), zipfile.ZIP_DEFLATED),
    "an array of a gigabyte": lambda path: with_pickle(path, lambda _: A_GIGABYTE),
    "an array of a gigabyte, of before 1.6": lambda path: path.write_bytes(
        b"".join(pickle.dumps(mark, 2) for mark in (0x1950A86A20F9469CFC6C, 1001, {})) + A_GIGABYTE
    ),
    "a number cut off": lambda path: with_pickle(path, lambda content: content[: content.index(b"X") + 3]),
    "a storage that is none": lambda path: with_pickle(path, lambda content: content.replace(b"tq\x07Q", b"lq\x07Q")),
    "torchscript": lambda path: torch.jit.script(Scripted()).save(str(path)),
    "torchscript of a memo of gigabytes": lambda path: torchscript(path, b"\x80\x02}r\xff\xff\xff\x7f."),
    "torchscript of an array of gigabytes": lambda path: torchscript(path, b"\x80\x05\x96" + b"\xff" * 5 + b"\0\0\0."),
    "torchscript of an entry of gigabytes": lambda path: torchscript(path, pickle.dumps({}, 2), 3 << 30),
    "no mapping": lambda path: torch.save([torch.zeros(2)], path),
    "nothing": lambda path: path.write_bytes(b""),
}


def by_clip(path: Path) -> object:
    """Load CLIP weights whose hash is pinned by their sender."""
    tower = {"width": 8, "heads": 1, "layers": 1}
    architecture = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "patch_size": 32, "head_width": 8, "width": 8, "layers": 1},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, **tower},
        "quick_gelu": True,
    }
    path.with_suffix(".json").write_text(json.dumps(architecture), encoding="utf-8")
    weights = Weights(path=str(path), sha256=sha256_of(path))
    architecture_file = str(path.with_suffix(".json"))
    return load_clip(
        Visual(encoder="mine", encoder_config=architecture_file, weights=weights, stride=16, precision="float32")
    )


def by_wav2clip(path: Path) -> object:
    """Load Wav2CLIP weights whose hash is pinned by their sender."""
    return load_wav2clip(Audio(width=8, weights=Weights(path=str(path), sha256=sha256_of(path)), precision="float32"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("attack", CHECKPOINTS)
@pytest.mark.parametrize(
    ("read", "error"),
    [
        pytest.param(read_tensors, CheckpointError, id="import"),
        pytest.param(by_clip, WeightsError, id="clip"),
        pytest.param(by_wav2clip, WeightsError, id="wav2clip"),
    ],
)
def test_checkpoints(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Path], object],
    error: type[AvadclipError],
    attack: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    CHECKPOINTS[attack](path)
    (tmp_path / "harmed").unlink(missing_ok=True)
    with pytest.raises(error, match=r"model\.pt") as refused:
        read(path)
    assert "weights_only" not in str(refused.value), "torch advises to run the code"
    assert not list(tmp_path.parent.glob("**/harmed"))


@pytest.mark.parametrize("read", [by_clip, by_wav2clip])
def test_weights_of_nothing(tmp_path: Path, read: Callable[[Path], object]) -> None:
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"model\.pt"):
        read(tmp_path / "model.pt")


def npy(header: str, body: bytes = b"") -> bytes:
    """Return a NumPy file with any header."""
    text = header.encode().ljust(118 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


NPY = {
    "terabytes": npy("{'descr': '<f2', 'fortran_order': False, 'shape': (1099511627776, 512)}"),
    "overflow": npy("{'descr': '<f2', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"),
    "negative": npy("{'descr': '<f2', 'fortran_order': False, 'shape': (-1, 512)}"),
    "code": npy("{'descr': __import__('pathlib').Path('harmed').touch(), 'shape': (1, 1)}"),
    "brackets": npy("{'descr': " + "(" * 5_000),
    "unfinished": npy("{'descr': '<f2', "),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1)}", pickle.dumps(Harm())),
    "pickle": pickle.dumps(Harm()),
    "zip": b"PK\x03\x04 and nothing else",
    "empty": b"",
}


@pytest.mark.parametrize("read", [load_rows, read_array])
@pytest.mark.parametrize("attack", NPY)
def test_npy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], attack: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npy").write_bytes(NPY[attack])
    with pytest.raises(DatasetError, match=r"a\.npy"):
        read(tmp_path / "a.npy")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("write", "read"),
    [
        (CHECKPOINTS["pickle"], lambda path: pickle.loads(path.read_bytes())),
        (CHECKPOINTS["torch"], lambda path: torch.load(path, weights_only=False)),
        (CHECKPOINTS["torch of before 1.6"], lambda path: torch.load(path, weights_only=False)),
        (CHECKPOINTS["torchscript"], torch.jit.load),
        (lambda path: path.write_bytes(NPY["code"]), lambda path: eval(path.read_bytes()[10:])),
        (lambda path: path.write_bytes(NPY["objects"]), lambda path: np.load(path, allow_pickle=True)),
        (lambda path: path.write_bytes(NPY["pickle"]), lambda path: np.load(path, allow_pickle=True)),
    ],
    ids=["pickle", "torch", "torch of before 1.6", "torchscript", "npy code", "npy objects", "npy pickle"],
)
def test_whoever_reads_without_care_runs_the_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], object],
    read: Callable[[Path], object],
) -> None:
    """Otherwise the tests above would show nothing."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.npy")
    (tmp_path / "harmed").unlink(missing_ok=True)  # some write it while they are made
    with suppress(Exception):  # whatever is wrong with it besides
        read(tmp_path / "a.npy")
    assert (tmp_path / "harmed").exists()
