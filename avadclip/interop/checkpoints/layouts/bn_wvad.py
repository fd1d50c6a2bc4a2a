"""BN-WVAD: cool-xuan/BN-WVAD at 4fa3a5d."""

from typing import Any

from torch import Tensor

from avadclip.interop.checkpoints.layout import Layout, Shapes, Tensors, affine, batch_norm, taken
from avadclip.interop.checkpoints.layouts import _distance_encoder

LINEAR = {"first": "conv1", "second": "conv2", "last": "conv3"}  # convolutions over single snippets


def _recognises(shapes: Shapes) -> bool:
    return _distance_encoder.is_there(shapes) and "normal_head.bn2.running_mean" in shapes


def _settings(shapes: Shapes) -> dict[str, Any]:
    widths = [shapes["normal_head.conv1.weight"][0], shapes["normal_head.conv2.weight"][0]]
    return _distance_encoder.settings(shapes) | {"head_widths": widths}


def _renamed(tensors: Tensors) -> dict[str, Tensor]:
    names = _distance_encoder.names({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    names |= batch_norm("first_norm", "normal_head.bn1") | batch_norm("second_norm", "normal_head.bn2")
    for ours, theirs in LINEAR.items():
        names |= affine(ours, f"normal_head.{theirs}")
    found = taken(tensors, names)
    return found | {f"{layer}.weight": found[f"{layer}.weight"].squeeze(-1) for layer in LINEAR}


LAYOUT = Layout(_recognises, _distance_encoder.width, _settings, _renamed)
