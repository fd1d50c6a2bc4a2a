"""A trained detector on disk: ``model.safetensors`` (weights) and ``model.json`` (everything else). No pickle.

It has no frozen towers: X_c, which is all that scoring needs from the text tower, is stored with the weights.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from avadclip.detectors.description import FILE, Description, read_description, write_description, write_refusal
from avadclip.detectors.protocol import Detector, Dimensions
from avadclip.detectors.registry import build, settings_of
from avadclip.errors import CheckpointError
from avadclip.io import write_bytes

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A trained detector and its description."""

    detector: Detector
    description: Description


def save_checkpoint(folder: Path, detector: Detector, description: Description) -> None:
    """Write both files atomically; the same detector gives the same bytes. Any earlier checkpoint there is replaced."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in detector.inference_state().items()}
    write_bytes(folder / WEIGHTS, save(tensors))
    write_description(folder, description)


def save_refusal(folder: Path, reason: str) -> None:
    """Write why a data set has no detector of this variant, in place of one; the weights are an empty file."""
    write_bytes(folder / WEIGHTS, b"")
    write_refusal(folder, reason)


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a detector for scoring: on `device`, in evaluation mode, without gradients.

    Raises
    ------
    CheckpointError : a file is missing or unreadable, of another format, or weights and description disagree.
    """
    description = read_description(folder)
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder / WEIGHTS}: no such file; train it with `dvc repro`, or `dvc pull`")
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: damaged: {error}; train it again") from None
    settings = settings_of(description.kind, description.settings, where=str(folder))
    try:
        dimensions = _DIMENSIONS.validate_python(description.dimensions)
    except ValidationError as error:
        raise CheckpointError(f"{folder / FILE}: dimensions: {error}; train it again") from None
    try:
        with _Sparing(2 * (folder / WEIGHTS).stat().st_size + _MORE_BYTES):
            detector = build(description.kind, settings, dimensions)
    except RuntimeError as error:  # also of torch, for what no machine has
        raise CheckpointError(f"{folder}: weights do not fit their description: {error}") from None
    if (problem := load_weights(detector, tensors)) is not None:
        raise CheckpointError(f"{folder}: weights do not fit their description: {problem}")
    return Checkpoint(detector.to(device).eval().requires_grad_(False), description)


class _Sparing(TorchFunctionMode):
    """Refuses to make more tensors than `n_bytes`: a description of a few numbers may ask for any amount of memory."""

    def __init__(self, n_bytes: int) -> None:
        super().__init__()
        self.n_bytes = self.left = n_bytes

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in _FACTORIES:  # what is made but not yet filled takes no memory
            self.left -= made.nbytes
            if self.left < 0:
                raise RuntimeError(f"{FILE} describes more than {self.n_bytes >> 20} MiB of them")
        return made


def load_weights(detector: Detector, tensors: Mapping[str, Tensor]) -> str | None:
    """Load what scoring needs into a detector; return what does not fit, or None. Weights for training alone stay."""
    try:
        missing, unknown = detector.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        return str(error)
    problems = [*unknown, *sorted(set(missing) & detector.inference_state().keys())]
    return f"missing or unknown: {', '.join(problems)}" if problems else None


def dimensions_of(detector: Detector) -> dict[str, object]:
    """The dimensions as in a description."""
    return asdict(detector.dimensions)


_DIMENSIONS = TypeAdapter(Dimensions)
_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.tensor}
_MORE_BYTES = 256 << 20  # for weights that only training needs, which are not in the file
