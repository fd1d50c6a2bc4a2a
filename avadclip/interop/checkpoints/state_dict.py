"""A released .pth file -> its tensors, and nothing else: no pickled code is ever run."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from avadclip.encoders.pickles import load_tensors
from avadclip.encoders.torchscript import is_torchscript
from avadclip.errors import CheckpointError

_SHOWN = 20
_MODEL = "model_state_dict"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, by name, on the CPU.

    Raises
    ------
    CheckpointError : not a file of torch, or one with anything but named tensors.
    """
    if is_torchscript(path):
        raise CheckpointError(f"{path}: expected a state dict, found a TorchScript archive; no code in it was run")
    try:
        found = load_tensors(path)
    except pickle.UnpicklingError as error:
        # The rest of torch's message recommends loading the file without this protection.
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"something else (`{named[1]}`)" if named else "something else"
        raise CheckpointError(
            f"{path}: refused, and no code in it was run: a released checkpoint is a state dict of tensors, and this"
            f" file has {what}; get the authors' state dict, of AVadCLIP model_xd_t.pth or model_xd_s.pth"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as a file of torch: {error}; download it again") from None
    if isinstance(found, Mapping) and isinstance(found.get(_MODEL), Mapping):
        found = found[_MODEL]  # beside it is the state of the optimiser
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path}: expected a state dict, found {type(found).__name__}")
    if others := [name for name, value in found.items() if not (isinstance(name, str) and isinstance(value, Tensor))]:
        hint = " (a training state of the authors' code; its model is the file model_*.pth)" * ("epoch" in others)
        raise CheckpointError(f"{path}: expected named tensors, and nothing else; found {listed(others)}{hint}")
    return dict(found)


def listed(names: list[str] | list[object]) -> str:
    """Names for a message, 20 at most."""
    more = f" ... and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(str(name) for name in names[:_SHOWN]) + more
