"""A learnable gate that passes the most relevant snippets: a top-k under noise (CLIP-TSA).

The perturbed optimiser of Berthet et al. (2020): the share of noisy draws in which a snippet is among the k best is a
smooth function of the scores.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts.layers import masked

HIDDEN = 256


class SnippetGate(nn.Module):
    """Snippets [b, n, width], each times the probability that it is among the best.

    Parameters
    ----------
    kept : share of the snippets of a video that pass.
    n_draws, noise : how often noise is added to scores of 0..1, and its standard deviation.
    most : greatest number of snippets that pass in testing; None for no limit.
    """

    def __init__(self, width: int, kept: float, n_draws: int, noise: float, most: int | None) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, 1)
        self.kept, self.n_draws, self.noise, self.most = kept, n_draws, noise, most

    def forward(self, snippets: Tensor, n_snippets: Tensor) -> Tensor:
        """`n_snippets` int64 [b]; positions after them are zero in the output."""
        valid = torch.arange(snippets.shape[1], device=snippets.device) < n_snippets[:, None]
        snippets = masked(snippets, valid)
        relevance = self.last(functional.relu(self.first(snippets))).squeeze(-1).float().sigmoid()
        k = (n_snippets.double() * self.kept).long().clamp(min=1)
        if self.most is not None and not self.training:
            k = k.clamp(max=self.most)
        draws = self.draws(n_snippets, snippets.shape[1])
        relevance = relevance.masked_fill(~valid, -torch.inf)
        return snippets * shares_of_top_k(relevance, draws, self.noise, k)[:, :, None]

    def draws(self, n_snippets: Tensor, n: int) -> Tensor:
        """Noise of N(0, 1), [b, draws, n]: new in training, otherwise always the same, so that scores do not vary."""
        if self.training:
            return torch.randn(len(n_snippets), self.n_draws, n, device=n_snippets.device)
        rows = []
        for length in n_snippets.tolist():  # the noise of a video does not depend on other videos or on padding
            drawn = torch.randn(self.n_draws, length, generator=torch.Generator().manual_seed(0))
            rows.append(functional.pad(drawn, (0, n - length)))
        return torch.stack(rows).to(n_snippets.device)


def shares_of_top_k(scores: Tensor, draws: Tensor, noise: float, k: Tensor) -> Tensor:
    """[b, n]: the share of the draws in which a score [b, n] plus noise is among the k [b] highest.

    `draws` [b, draws, n] are of N(0, 1), and `noise` their factor. The gradient with respect to the scores is the
    estimate from the same draws.
    """
    shares: Tensor = _SharesOfTopK.apply(scores, draws, noise, k)
    return shares


class _SharesOfTopK(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, draws: Tensor, noise: float, k: Tensor) -> Tensor:
        disturbed = scores[:, None, :] + noise * draws
        best = disturbed.topk(int(k.max()), dim=-1).indices
        taken = torch.arange(best.shape[2], device=k.device) < k[:, None]
        chosen = torch.zeros_like(disturbed).scatter_(2, best, taken[:, None, :].expand_as(best).to(draws.dtype))
        ctx.save_for_backward(chosen, draws)
        ctx.scale = noise * draws.shape[1]
        return chosen.mean(dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        # The Jacobian, the mean of chosen x draw / noise, is symmetric where it is exact. The released code multiplies
        # with its transpose, and so does this.
        chosen, draws = ctx.saved_tensors
        along = torch.einsum("bsn,bn->bs", draws, gradient)
        return torch.einsum("bsn,bs->bn", chosen, along) / ctx.scale, None, None, None
