"""A transformer with attention by similarity and by distance, from UR-DMU; BN-WVAD uses it, too.

From translayer.py of henrryzh1/UR-DMU at 40cfdf5: every head joins attention with a mean over the neighbours whose
weights fall with the distance in snippets, ``D_ij = exp(-|i - j| / e)``, divided by the sums of its columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts.graphs import distance_edges
from avadclip.detectors.parts.layers import TemporalConv, masked


@dataclass(frozen=True)
class Encoder:
    """Sizes of a :class:`DistanceEncoder`."""

    width: int
    n_layers: int
    heads: int
    head_width: int
    mlp_width: int
    dropout: float


class DistanceEncoder(nn.Module):
    """Snippets [b, n, width in] -> [b, n, width]: a convolution over three snippets, then the layers.

    Padding influences nothing: `valid` is bool [b, n].
    """

    def __init__(self, width_in: int, sizes: Encoder) -> None:
        super().__init__()
        self.embed = TemporalConv(width_in, sizes.width, kernel_size=3)
        self.layers = nn.ModuleList(DistanceLayer(sizes) for _ in range(sizes.n_layers))

    def forward(self, snippets: Tensor, valid: Tensor) -> Tensor:
        x = functional.relu(self.embed(masked(snippets, valid)))
        near = distance_edges(x)
        # A valid position is its own neighbour with weight 1, so the clamp changes only padding.
        share = valid / (valid.to(x.dtype) @ near).clamp(min=1.0)
        for layer in self.layers:
            x = layer(x, near, share, valid)
        return x


class DistanceLayer(nn.Module):
    """Pre-norm: both kinds of attention, then an MLP with GELU; each with a shortcut."""

    def __init__(self, sizes: Encoder) -> None:
        super().__init__()
        inner = sizes.heads * sizes.head_width
        self.heads = sizes.heads
        self.attention_norm = nn.LayerNorm(sizes.width)
        self.query_key_values = nn.Linear(sizes.width, 4 * inner, bias=False)  # two values: of attention, of neighbours
        self.attention_out = nn.Linear(2 * inner, sizes.width)
        self.mlp_norm = nn.LayerNorm(sizes.width)
        self.expand = nn.Linear(sizes.width, sizes.mlp_width)
        self.contract = nn.Linear(sizes.mlp_width, sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor, near: Tensor, share: Tensor, valid: Tensor) -> Tensor:
        """`near` [n, n]: D, not normalised; `share` [b, n]: the factor of each of its columns."""
        b, n, _ = x.shape
        query, key, value, beside = self.query_key_values(self.attention_norm(x)).chunk(4, dim=-1)
        query, key, value = (part.reshape(b, n, self.heads, -1).transpose(1, 2) for part in (query, key, value))
        alike = functional.scaled_dot_product_attention(query, key, value, attn_mask=valid[:, None, None, :])
        around = near.to(beside.dtype) @ (beside * share.to(beside.dtype)[:, :, None])
        both = torch.cat([alike.transpose(1, 2), around.reshape(b, n, self.heads, -1)], dim=-1).flatten(2)
        x = x + self.dropout(self.attention_out(both))
        hidden = self.dropout(functional.gelu(self.expand(self.mlp_norm(x))))
        refined: Tensor = x + self.dropout(self.contract(hidden))
        return refined
