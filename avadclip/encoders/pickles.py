"""Files that ``torch.save`` has written -> what they hold, where nothing but tensors is made while they are read.

``torch.load(weights_only=True)`` runs no code of the file, but calls a few types with whatever the file says: 400 bytes
can ask for a ``bytearray`` of gigabytes.
"""

import io
import pickle
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch

# Of what state dicts are made: tensors, parameters, the types of their numbers.
_TENSORS = re.compile(
    r"torch\._utils _rebuild_(tensor|tensor_v2|parameter)|collections OrderedDict|torch (\w+Storage|Size|device)"
    r"|torch\.storage (Untyped|Typed)Storage|torch (b?float|u?int|complex)\d+|torch bool"
)
_N_PICKLES = 5  # of a file of before torch 1.6: its mark, its version, the machine, what it holds, names of its values


def load_tensors(path: Path) -> Any:
    """What a file holds, on the CPU: tensors in lists and mappings, and plain values.

    Raises
    ------
    pickle.UnpicklingError : it asks for anything else, which is named as in torch's own message; nothing is made of it.
    OSError, RuntimeError, ValueError : it is damaged.
    """
    try:
        for content in _pickles(path):
            for opcode, argument, _position in pickletools.genops(content):
                if opcode.name == "GLOBAL" and not _TENSORS.fullmatch(str(argument)):
                    raise pickle.UnpicklingError(f"GLOBAL {str(argument).replace(' ', '.')} is no part of a tensor")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, OSError, RuntimeError, MemoryError):
        raise
    except Exception as error:  # torch raises whatever its parts do
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    """As torch finds them, one after the other."""
    with path.open("rb") as file:
        if file.read(4) == b"PK\3\4":
            # Python's own reader of archives might find another entry of this name than torch does.
            yield io.BytesIO(torch._C.PyTorchFileReader(str(path)).get_record("data.pkl"))
            return
        file.seek(0)
        for _ in range(_N_PICKLES):
            if file.peek(1):  # where there are fewer, torch says what is wrong
                yield file
