"""A trained detector on disk: ``model.safetensors`` (weights) and ``model.json`` (everything else). No pickle.

It has no frozen towers: X_c, which is all that scoring needs from the text tower, is stored with the weights.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

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
    detector = build(description.kind, settings, dimensions)
    if (problem := load_weights(detector, tensors)) is not None:
        raise CheckpointError(f"{folder}: weights do not fit their description: {problem}")
    return Checkpoint(detector.to(device).eval().requires_grad_(False), description)


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
