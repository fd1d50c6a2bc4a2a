"""Two networks that learn from each other: deep mutual learning (Zhang et al., CVPR 2018)."""

import torch
from torch import Tensor
from torch.nn import functional


def mutual(logits: Tensor, other_logits: Tensor, valid: Tensor) -> Tensor:
    """KL divergence of the output of each network [b, n] from that of the other, which gets no gradient.

    The sum of both directions, averaged over the valid snippets [b, n] of each video and then over the videos.
    """
    both = _divergence(logits, other_logits.detach()) + _divergence(other_logits, logits.detach())
    return ((both * valid).sum(dim=1) / valid.sum(dim=1)).mean()


def _divergence(learning: Tensor, teaching: Tensor) -> Tensor:
    """KL(teaching || learning) of two outcomes, from logits of any shape."""
    learning, teaching = learning.float(), teaching.float()
    anomalous = teaching.sigmoid() * (functional.logsigmoid(teaching) - functional.logsigmoid(learning))
    normal = torch.sigmoid(-teaching) * (functional.logsigmoid(-teaching) - functional.logsigmoid(-learning))
    return anomalous + normal
