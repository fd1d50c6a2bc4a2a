"""Labels for detectors that use one class per video."""

import torch
from torch import Tensor


def only_class(labels: Tensor) -> Tensor:
    """Int64 [b] from labels [b, C]: 0 for a normal video, otherwise the first anomaly class in the data set's order."""
    return torch.where(labels[:, 0] == 1, 0, labels[:, 1:].argmax(dim=1) + 1)
