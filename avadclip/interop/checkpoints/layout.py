"""The definition of a layout, and helpers to write one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from avadclip.errors import CheckpointError
from avadclip.interop.checkpoints.state_dict import listed

Shapes = Mapping[str, tuple[int, ...]]
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """The layout of the authors' state dict of one detector.

    Attributes
    ----------
    recognises : whether names and shapes are those of this detector; true for at most one layout.
    width : of the features that it was trained on, visual and audio joined if it takes both.
    settings : those of our settings that the shapes tell; all others are our defaults.
    renamed : the tensors under our names, in our shapes; :class:`CheckpointError` lists what is missing or unknown.
    embedding_width : of what it compares with class names; 0 if it names none.
    """

    recognises: Callable[[Shapes], bool]
    width: Callable[[Shapes], int]
    settings: Callable[[Shapes], dict[str, Any]]
    renamed: Callable[[Tensors], dict[str, Tensor]]
    embedding_width: Callable[[Shapes], int] = lambda _shapes: 0


def taken(tensors: Tensors, names: Mapping[str, str], unused: Iterable[str] = ()) -> dict[str, Tensor]:
    """Tensors by our names; `names` is our name -> theirs.

    Raises
    ------
    CheckpointError : names are missing, or are neither needed nor known to be unused.
    """
    problems = []
    if missing := sorted(set(names.values()) - tensors.keys()):
        problems.append(f"{len(missing)} tensors are missing: {listed(missing)}")
    if unknown := sorted(tensors.keys() - set(names.values()) - set(unused)):
        problems.append(f"{len(unknown)} tensors are unknown: {listed(unknown)}")
    if problems:
        raise CheckpointError("; ".join(problems))
    return {ours: tensors[theirs] for ours, theirs in names.items()}


def affine(ours: str, theirs: str) -> dict[str, str]:
    """Names of weight and bias."""
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}


def batch_norm(ours: str, theirs: str) -> dict[str, str]:
    """Names of the five tensors of a batch normalisation."""
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in parts}
