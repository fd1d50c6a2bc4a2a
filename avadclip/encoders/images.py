"""The part of CLIP's preprocessing on the image tower's device: cutting views and standardising them."""

import torch
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from avadclip.config.features import Views


def crops(canvases: Tensor, views: Views, size: int) -> Tensor:
    """Cut the views out of canvases [n, height, width, 3] -> [views, n, size, size, 3].

    In the authors' order: centre, top left, top right, bottom left, bottom right, then the mirror images of these.
    """
    if views == "center":
        return canvases[None]
    bottom, right = canvases.shape[1] - size, canvases.shape[2] - size
    corners = [(bottom // 2, right // 2), (0, 0), (0, right), (bottom, 0), (bottom, right)]
    five = torch.stack([canvases[:, top : top + size, left : left + size] for top, left in corners])
    return five if views == "five_crop" else torch.cat([five, five.flip(3)])


def normalise(images: Tensor) -> Tensor:
    """Standardise as in CLIP's training: floats [n, 3, height, width] in 0..1 -> the same shape, about -2..2."""
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return ((images - mean) / std).contiguous()
