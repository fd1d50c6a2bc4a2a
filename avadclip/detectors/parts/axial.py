"""Axial attention over a video as a grid of segments with the same number of snippets each (AnomalyCLIP).

What the package axial-attention 0.6.1 computes for one reversible layer, without its way of saving memory.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class AxialEncoder(nn.Module):
    """Grids [b, segments, snippets, d] -> the same in context; positions have an embedding along each axis."""

    def __init__(self, width: int, heads: int, n_layers: int, segments: int, snippets: int) -> None:
        super().__init__()
        self.segment_positions = nn.Parameter(torch.randn(segments, 1, width))
        self.snippet_positions = nn.Parameter(torch.randn(snippets, width))
        self.layers = nn.ModuleList(AxialLayer(width, heads) for _ in range(n_layers))

    def forward(self, grid: Tensor) -> Tensor:
        x = grid + self.segment_positions + self.snippet_positions
        first = second = x
        for layer in self.layers:
            first, second = layer(first, second)
        return (first + second) / 2


class AxialLayer(nn.Module):
    """Two reversible streams: each gets attention along one axis from the other, and then the other's MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.along_segments, self.along_snippets = AxisAttention(width, heads), AxisAttention(width, heads)
        self.around_first, self.around_second = GridMlp(width), GridMlp(width)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        first = first + self.along_segments(second.transpose(1, 2)).transpose(1, 2)
        second = second + self.along_snippets(first)
        first = first + self.around_first(second)
        return first, second + self.around_second(first)


class AxisAttention(nn.Module):
    """Pre-norm attention along the third axis of [b, others, n, d]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        parts = self.query(x), *self.key_value(x).chunk(2, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(2, 3).flatten(0, 1) for part in parts)
        seen = functional.scaled_dot_product_attention(query, key, value)
        found: Tensor = self.out(seen.transpose(1, 2).flatten(2).view_as(x))
        return found


class GridMlp(nn.Module):
    """Norm, convolution 3 x 3 d -> 4d, leaky ReLU, convolution 4d -> d."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Conv2d(width, 4 * width, kernel_size=3, padding=1)
        self.contract = nn.Conv2d(4 * width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.leaky_relu(self.expand(self.norm(x).permute(0, 3, 1, 2)))
        found: Tensor = self.contract(hidden).permute(0, 2, 3, 1)
        return found
