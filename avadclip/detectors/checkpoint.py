"""A trained detector on disk: ``model.safetensors`` (weights) and ``model.json`` (everything else). No pickle.

Frozen towers are not in it: X_c, all that scoring needs of the text tower, is stored among the weights.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from avadclip.config.detector import AnyArchitecture, Modality
from avadclip.detectors.protocol import Detector, Dimensions
from avadclip.detectors.registry import build
from avadclip.errors import CheckpointError
from avadclip.io import write_bytes

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Description:
    """What one has to know about a trained detector."""

    dataset: str
    variant: str
    architecture: AnyArchitecture
    dimensions: Dimensions
    classes: tuple[str, ...]  # class 0 is `normal`; also the text prompts
    recipes: dict[Modality, dict[str, Any]]  # of the features that it was trained on, and expects
    text_tower: dict[str, str]  # name and sha256 of the CLIP whose text tower trained the prompts
    selection: str  # how the epoch was chosen; `released_test_selected` looked at the test set
    epoch: int  # the chosen one, counted from 1; 0 where it is not known (imported)
    seed: int
    imported: dict[str, str] | None = None  # name and sha256 of the authors' file that this detector came from
    format: int = FORMAT

    def check_recipe(self, modality: Modality, found: Mapping[str, Any], ignoring: Collection[str] = ()) -> None:
        """Refuse features that were made otherwise than those of training, except for the keys to be ignored.

        Raises
        ------
        CheckpointError : names every key that differs, with both values.
        """
        expected = self.recipes[modality]
        keys = (expected.keys() | found.keys()) - set(ignoring)
        differing = sorted(key for key in keys if expected.get(key) != found.get(key))
        if differing:
            pairs = ", ".join(f"{key} {expected.get(key)!r} (found {found.get(key)!r})" for key in differing)
            who = f"{self.dataset}/{self.variant}"
            raise CheckpointError(f"{who}: expects {modality} features with {pairs}; extract them so, or train anew")


@dataclass(frozen=True)
class Checkpoint:
    """A trained detector and its description."""

    detector: Detector
    description: Description


def save_checkpoint(folder: Path, detector: Detector, description: Description) -> None:
    """Write both files atomically; the same detector gives the same bytes. Any earlier checkpoint there is replaced."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in detector.state_dict().items()}
    content = _ADAPTER.dump_python(description, mode="json")
    if description.imported is None:
        del content["imported"]
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    write_bytes(folder / WEIGHTS, save(tensors))
    write_bytes(folder / DESCRIPTION, text.encode())


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a detector for scoring: on `device`, in evaluation mode, without gradients.

    Raises
    ------
    CheckpointError : a file is missing or unreadable, of another format, or weights and description disagree.
    """
    for file in (WEIGHTS, DESCRIPTION):
        if not (folder / file).is_file():
            raise CheckpointError(f"{folder / file}: no such file; train it with `dvc repro`, or `dvc pull`")
    try:
        tensors = load_file(folder / WEIGHTS)
        description = _ADAPTER.validate_json((folder / DESCRIPTION).read_bytes())
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: damaged: {error}; train it again") from None
    except ValidationError as error:
        raise CheckpointError(f"{folder / DESCRIPTION}: not a description of a detector: {error}") from None
    if description.format != FORMAT:
        raise CheckpointError(f"{folder}: expected format {FORMAT}, found {description.format}; train it again")
    detector = build(description.architecture, description.dimensions)
    try:
        detector.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: weights do not fit their description: {error}") from None
    return Checkpoint(detector.to(device).eval().requires_grad_(False), description)


_ADAPTER = TypeAdapter(Description)
