"""TorchScript archives -> their tensors, and nothing else: `torch.jit.load` would run the code in them.

Such code may write files (`torch.save` is an operator of TorchScript), and runs while the archive is being loaded.
"""

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def is_torchscript(path: Path) -> bool:
    """Whether this is a TorchScript archive, the format of OpenAI's releases only."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False  # the reader of the file reports what is wrong


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """All tensors of the modules in an archive, by their names, on the CPU.

    Raises
    ------
    pickle.UnpicklingError : it has anything but modules, tensors and plain values.
    RuntimeError, ValueError, KeyError, zipfile.BadZipFile : it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        (pickled,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        content = _stored(archive, pickled)
        _refuse_claims(content)
        unpickler = _Unpickler(io.BytesIO(content), archive, pickled.removesuffix("/data.pkl"))
        return dict(_named_tensors(unpickler.load(), ""))


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """An entry that is stored as torch does it; a compressed one may be a thousand times as large as the file.

    ``zipfile`` allocates as much memory as the directory of the archive *claims* that an entry has.
    """
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise pickle.UnpicklingError(f"{name} is compressed, which torch does not do")
    if max(entry.file_size, entry.compress_size) > archive.start_dir:
        raise zipfile.BadZipFile(f"{name} has {entry.file_size} bytes in an archive of {archive.start_dir}")
    return archive.read(name)


def _refuse_claims(pickled: bytes) -> None:
    """Refuse pickles for whose claims Python would allocate memory, for example by a large index into its memo."""
    for opcode, argument, _position in pickletools.genops(pickled):
        if opcode.proto > 2:
            raise pickle.UnpicklingError(f"{opcode.name} is of a protocol that torch does not write")
        if opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(pickled):
            raise pickle.UnpicklingError(f"it numbers {argument} values in {len(pickled)} bytes")


class _Module:
    """Stands for a module of any class: its attributes, and no code."""

    attributes: dict[str, Any] = {}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _KINDS:
            return _KINDS[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle":  # lists of one type
            return _untagged
        raise pickle.UnpicklingError(f"GLOBAL {module}.{name} is neither a module nor a tensor")

    def persistent_load(self, reference: Any) -> Tensor:
        kind, dtype, key, _place, n_values = reference
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"it refers to a {kind}")
        content = bytearray(_stored(self._archive, f"{self._root}/data/{key}"))
        return torch.frombuffer(content, dtype=dtype, count=n_values) if n_values else torch.empty(0, dtype=dtype)


_KINDS = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def _rebuild(values: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_ignored: Any) -> Tensor:
    return values.as_strided(size, stride, offset)  # raises if it is outside the values


def _untagged(values: Any, *_tag: Any) -> Any:
    return values


def _named_tensors(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.attributes.items() if isinstance(module, _Module) else ():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        else:
            yield from _named_tensors(value, f"{prefix}{name}.")
