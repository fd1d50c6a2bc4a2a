"""The snippets that represent a video: those with the highest or the lowest values of a ranking."""

import torch
from torch import Tensor


def top_k(ranking: Tensor, n_snippets: Tensor, k: Tensor | None = None, largest: bool = True) -> Tensor:
    """Bool [b, n]: the k largest (or smallest) of the valid values of each row.

    Parameters
    ----------
    ranking : [b, n].
    n_snippets : int64 [b], how many of the values are valid.
    k : int64 [b], at most `n_snippets`; None: floor(n / 16) + 1, as is usual.
    """
    n = ranking.shape[1]
    position = torch.arange(n, device=ranking.device)
    k = n_snippets // 16 + 1 if k is None else k
    ordered = ranking if largest else -ranking
    indices = ordered.masked_fill(position >= n_snippets[:, None], -torch.inf).topk(int(k.max()), dim=1).indices
    taken = position[: indices.shape[1]] < k[:, None]
    return torch.zeros_like(ranking, dtype=torch.bool).scatter(1, indices, taken)


def chosen_mean(x: Tensor, chosen: Tensor) -> Tensor:
    """Mean [b, d] of x [b, n, d] over the chosen positions, bool [b, n]."""
    share = chosen.to(x.dtype) / chosen.sum(dim=1, keepdim=True)
    return (share[:, None, :] @ x).squeeze(1)


def mean_or_zero(values: Tensor) -> Tensor:
    """Mean of all elements; 0 if there are none, as in a batch without anomalous or without normal videos."""
    return values.sum() / max(1, values.numel())
