"""The last step of CLIP's own preprocessing."""

from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor


def normalise(images: Tensor) -> Tensor:
    """Standardise as in CLIP's training: floating [n, 3, height, width] in 0..1 -> the same, about -2..2."""
    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return ((images - mean) / std).contiguous()
