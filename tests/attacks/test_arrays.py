"""Hostile checkpoints, weights and .npy files: code in them, and impossible sizes."""

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from avadclip.config.features import Audio, Visual, Weights
from avadclip.datasets.arrays import read_array
from avadclip.datasets.released_files import load_rows
from avadclip.encoders.clip import load_clip
from avadclip.encoders.wav2clip import load_wav2clip
from avadclip.errors import (
    AvadclipError,
    CheckpointError,
    DatasetError,
    WeightsError,
)
from avadclip.interop.checkpoints.state_dict import read_tensors
from avadclip.io import sha256_of


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
