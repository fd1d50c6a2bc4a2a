"""UR-DMU: henrryzh1/UR-DMU at 40cfdf5."""

from typing import Any

from torch import Tensor

from avadclip.interop.checkpoints.layout import Layout, Shapes, Tensors, affine, taken
from avadclip.interop.checkpoints.layouts import _distance_encoder


def _recognises(shapes: Shapes) -> bool:
    return _distance_encoder.is_there(shapes) and {"Amemory.memory_block", "Nmemory.memory_block"} <= shapes.keys()


def _settings(shapes: Shapes) -> dict[str, Any]:
    sizes = {"memory_size": shapes["Amemory.memory_block"][0], "head_hidden": shapes["cls_head.mlp.0.weight"][0]}
    return _distance_encoder.settings(shapes) | sizes


def _renamed(tensors: Tensors) -> dict[str, Tensor]:
    names = _distance_encoder.names({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    names |= affine("head.0", "cls_head.mlp.0") | affine("head.2", "cls_head.mlp.2")
    names |= affine("mean", "encoder_mu.0") | affine("log_variance", "encoder_var.0")
    names |= {"normal_memory.vectors": "Nmemory.memory_block", "anomaly_memory.vectors": "Amemory.memory_block"}
    return taken(tensors, names)


LAYOUT = Layout(_recognises, _distance_encoder.width, _settings, _renamed)
