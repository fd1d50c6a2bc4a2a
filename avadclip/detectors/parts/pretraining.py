"""Pretraining of a temporal model without labels: to restore hidden snippets from those around them.

As in BERT with words (Devlin et al., NAACL 2019), some snippets of a video are hidden, and a linear layer on top of the
temporal model, which is discarded afterwards, restores their features.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts.temporal import TemporalModel

HIDDEN = 0.3  # share of the snippets
LEARNING_RATE = 1e-4


def pretrain(temporal: TemporalModel, videos: Sequence[Tensor], rounds: int) -> float:
    """Train on videos, features [1, n, width in] each, one after the other; return the mean error of the last round.

    Features are compared at a root mean square of 1; those of a hidden snippet are 0. Draws torch's random numbers.
    """
    width_in, width_out = videos[0].shape[-1], temporal.linear.out_features
    restore = nn.Linear(width_out, width_in).to(videos[0].device)
    optimizer = torch.optim.AdamW([*temporal.parameters(), *restore.parameters()], lr=LEARNING_RATE)
    error = torch.zeros(())
    for _ in range(rounds):
        errors = []
        for index in torch.randperm(len(videos)).tolist():
            features = videos[index]
            shown = torch.rand(features.shape[:2]) >= HIDDEN
            shown[0, torch.randint(features.shape[1], ())] = False  # at least one
            shown = shown.to(features.device)
            found = restore(temporal(features * shown[..., None], torch.ones_like(shown), None))
            wanted = width_in**0.5 * functional.normalize(features, dim=-1)
            error = functional.mse_loss(found[~shown], wanted[~shown])
            optimizer.zero_grad()
            torch.autograd.backward(error)
            optimizer.step()
            errors.append(error.detach())
        error = torch.stack(errors).mean()
    return float(error)
