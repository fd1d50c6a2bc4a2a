"""The state of a run after a round, on disk, so that a killed run continues with the same result. Without pickle."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from avadclip.detectors.protocol import Detector
from avadclip.io import write_bytes

FILE = "resume.safetensors"
Tensors = dict[str, Tensor]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Best:
    """The best round so far."""

    round: int  # counted from 1
    score: float
    weights: Tensors


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    round: int  # the last finished one, over all phases; 0 at the start
    best: Best | None
    sums: Tensors = field(default_factory=dict)  # of the rounds that are averaged, by parameter


def copy_weights(detector: Detector) -> Tensors:
    """The detector's state, detached from it, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in detector.state_dict().items()}


def save_state(
    folder: Path,
    identity: str,
    progress: Progress,
    detector: Detector,
    optimizer: torch.optim.Optimizer,
    predecessor: Detector | None,
) -> None:
    """Write everything that the next round depends on, atomically.

    Learning rate and random numbers are functions of the round, so they are not saved.

    Parameters
    ----------
    predecessor : the detector at the end of the last phase, if it is the teacher in this one.
    """
    moments = optimizer.state_dict()["state"]
    tensors = {f"detector/{name}": tensor for name, tensor in copy_weights(detector).items()}
    tensors |= {f"optimizer/{i}/{key}": value.cpu() for i, state in moments.items() for key, value in state.items()}
    if predecessor is not None:
        tensors |= {f"predecessor/{name}": tensor for name, tensor in copy_weights(predecessor).items()}
    tensors |= {f"sums/{name}": tensor for name, tensor in progress.sums.items()}
    notes = {"identity": identity, "round": progress.round}
    if progress.best is not None:
        tensors |= {f"best/{name}": tensor for name, tensor in progress.best.weights.items()}
        notes |= {"best_round": progress.best.round, "best_score": progress.best.score}
    write_bytes(folder / FILE, save(tensors, metadata={"notes": json.dumps(notes)}))


def load_state(
    folder: Path,
    identity: str,
    detector: Detector,
    optimizer: torch.optim.Optimizer,
    predecessor: Detector | None = None,
) -> Progress:
    """Restore a run, if there is a state of the same run; otherwise change nothing.

    Parameters
    ----------
    identity : hash of everything that the run depends on; the state of a run with another identity is not used.
    """
    path = folder / FILE
    if not path.exists():
        return Progress(0, None)
    try:
        with safe_open(path, "pt") as file:
            notes = json.loads(file.metadata()["notes"])
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, TypeError, KeyError, ValueError):
        _log.warning("%s is damaged; training starts anew", path)
        return Progress(0, None)
    if notes["identity"] != identity:
        _log.info("%s belongs to a run with other parameters, features or code; training starts anew", path)
        return Progress(0, None)
    detector.load_state_dict(_under("detector", tensors))
    moments: dict[int, Tensors] = {}
    for name, tensor in _under("optimizer", tensors).items():
        index, key = name.split("/")
        moments.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    if predecessor is not None and (taught := _under("predecessor", tensors)):
        predecessor.load_state_dict(taught)
    best = Best(notes["best_round"], notes["best_score"], _under("best", tensors)) if "best_round" in notes else None
    _log.info("resuming after round %d", notes["round"])
    return Progress(notes["round"], best, _under("sums", tensors))


def forget_state(folder: Path) -> None:
    """Remove the state of a run that is finished."""
    (folder / FILE).unlink(missing_ok=True)


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(f"{prefix}/"): t for name, t in tensors.items() if name.startswith(f"{prefix}/")}
