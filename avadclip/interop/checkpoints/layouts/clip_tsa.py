"""CLIP-TSA: joos2010kj/CLIP-TSA at a58353c. The share that passes the gate is not visible in a file."""

from typing import Any

from torch import Tensor

from avadclip.interop.checkpoints.layout import Layout, Shapes, Tensors, affine
from avadclip.interop.checkpoints.layouts import rtfm

# The authors always build the reduction, but use it only for features wider than CLIP's 512.
REDUCTION = affine("reduction.0", "mlp.fc1") | affine("reduction.2", "mlp.fc2")


def _recognises(shapes: Shapes) -> bool:
    return {"Aggregate.conv_5.0.weight", "hard_attention.scorer.fc1.weight", "mlp.fc1.weight"} <= shapes.keys()


def _is_reduced(shapes: Shapes) -> bool:
    return _width(shapes) != shapes["hard_attention.scorer.fc1.weight"][1]


def _width(shapes: Shapes) -> int:
    return shapes["mlp.fc1.weight"][1]


def _settings(shapes: Shapes) -> dict[str, Any]:
    return rtfm.settings(shapes) | {"reduction": _is_reduced(shapes)}


def _renamed(tensors: Tensors) -> dict[str, Tensor]:
    names = rtfm.names()
    names |= affine("gate.first", "hard_attention.scorer.fc1") | affine("gate.last", "hard_attention.scorer.fc2")
    if _is_reduced({name: tuple(tensor.shape) for name, tensor in tensors.items()}):
        return rtfm.renamed(tensors, names | REDUCTION)
    return rtfm.renamed(tensors, names, unused=tuple(REDUCTION.values()))


LAYOUT = Layout(_recognises, _width, _settings, _renamed)
