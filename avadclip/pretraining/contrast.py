"""The contrastive loss of both encoders."""

import torch
from torch import Tensor
from torch.nn import functional

MAX_SCALE = 100.0  # CLIP's own limit of 1 / temperature


def contrastive_loss(left: Tensor, right: Tensor, log_scale: Tensor, positives: Tensor) -> Tensor:
    """InfoNCE in both directions between features that may have several partners.

    Parameters
    ----------
    left, right : floating [n, d] and [m, d], not normalised.
    log_scale : scalar; its exponential, at most 100, multiplies the cosines.
    positives : bool [n, m], which belong together; every row and column has at least one.

    Notes
    -----
    With one partner each, this is CLIP's loss. If samples repeat, others that show the same are not negatives (Yang et
    al.: Unified Contrastive Learning in Image-Text-Label Space. CVPR 2022).
    """
    cosines = functional.normalize(left, dim=1) @ functional.normalize(right, dim=1).T
    logits = log_scale.exp().clamp(max=MAX_SCALE) * cosines
    targets = positives.to(logits.dtype)
    forth = functional.cross_entropy(logits, targets / targets.sum(dim=1, keepdim=True))
    back = functional.cross_entropy(logits.T, targets.T / targets.T.sum(dim=1, keepdim=True))
    return (forth + back) / 2


def partners(n: int, device: torch.device) -> Tensor:
    """One partner each: bool [n, n]."""
    return torch.eye(n, dtype=torch.bool, device=device)
