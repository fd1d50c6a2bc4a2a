"""Trained encoders as files that params.yaml can name."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from avadclip.io import sha256_of


def save_half(model: nn.Module, path: Path) -> str:
    """Write a state dict as safetensors, floating tensors as float16; returns the file's sha256."""
    tensors = model.state_dict()
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    save_file({name: tensor.contiguous() for name, tensor in halves.items()}, path)
    return sha256_of(path)


def rounded_to_half(model: nn.Module) -> None:
    """Round the parameters of a model to what :func:`save_half` keeps of them."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
