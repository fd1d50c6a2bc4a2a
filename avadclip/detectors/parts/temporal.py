"""The temporal model: attention within local windows, then graph convolutions over the whole video.

The paper names "Graph Convolution Network [16] and Temporal Transformer [21]" (sec. III-B) and takes both from VadCLIP.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts.graphs import GraphBranch, distance_edges, similarity_edges
from avadclip.detectors.parts.transformer import TransformerLayer


class TemporalModel(nn.Module):
    """Snippet features [b, n, width in] -> features in the context of the video [b, n, width out].

    Parameters
    ----------
    max_snippets : length of the learned position embedding.
    n_layers, window : of the local transformer.
    positions : whether there is a position embedding.
    skip : adds a linear layer over single snippets beside all this, whose result then passes a gate that starts at 0.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        max_snippets: int,
        n_layers: int,
        window: int,
        positions: bool = True,
        skip: bool = False,
    ) -> None:
        super().__init__()
        self.window = window
        self.positions = nn.Parameter(torch.empty(max_snippets, width_in).normal_(std=0.01)) if positions else None
        self.local = nn.ModuleList(TransformerLayer(width_in) for _ in range(n_layers))
        self.similarity_graph = GraphBranch(width_in, width_in // 2)
        self.distance_graph = GraphBranch(width_in, width_in // 2)
        self.linear = nn.Linear(2 * (width_in // 2), width_out)
        self.skip = nn.Linear(width_in, width_out) if skip else None
        if skip:
            self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, snippets: Tensor, valid: Tensor, attendable: Tensor | None) -> Tensor:
        """`valid` [b, n]: not padding. `attendable` [b, n]: positions that others may attend to, None for all."""
        n = snippets.shape[1]
        x = snippets if self.positions is None else snippets + self.positions[:n]
        attend = partial(window_attention, allowed=window_mask(x, attendable, self.window), window=self.window)
        for layer in self.local:
            x = layer(x, attend)
        by_similarity = self.similarity_graph(x, similarity_edges(x, valid), attendable)
        by_distance = self.distance_graph(x, distance_edges(x), attendable)
        in_context: Tensor = self.linear(torch.cat([by_similarity, by_distance], dim=-1))
        if self.skip is not None:
            in_context = self.skip(snippets) + self.gate * in_context
        return in_context


def window_attention(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, window: int) -> Tensor:
    """Attention of [b, n, d] within windows; `allowed` comes from :func:`window_mask`."""
    b, n, d = query.shape
    n_windows = -(-n // window)

    def cut(x: Tensor) -> Tensor:
        return functional.pad(x, (0, 0, 0, n_windows * window - n)).reshape(b * n_windows, 1, window, d)

    mixed = functional.scaled_dot_product_attention(cut(query), cut(key), cut(value), attn_mask=allowed)
    return mixed.reshape(b, n_windows * window, d)[:, :n]


def window_mask(x: Tensor, attendable: Tensor | None, window: int) -> Tensor | None:
    """For x [b, n, d], bool [b * windows, 1, window, window]: whether query i may attend to key j; None if always."""
    n = x.shape[1]
    if attendable is None and n % window == 0:
        return None
    looked_at = torch.ones_like(x[:, :, 0], dtype=torch.bool) if attendable is None else attendable
    filled = functional.pad(looked_at, (0, -n % window)).reshape(-1, 1, window)
    # A position that is not attendable attends to everything: the result is not used, but must not be 0 / 0.
    return filled[:, :, None, :] | ~filled[:, :, :, None]
