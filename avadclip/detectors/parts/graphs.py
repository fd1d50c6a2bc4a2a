"""Graph convolutions over the snippets of a video, with edges by similarity, distance and score.

First used by HL-Net (Wu et al., ECCV 2020), then by VadCLIP and AVadCLIP.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts.layers import TemporalConv, masked, quick_gelu, unit

SIMILARITY_THRESHOLD = 0.7  # cosine; there is no edge at or below it
SCORE_STEEPNESS = 10.0  # of the sigmoid around a closeness of 0.5
HELD, ROWS = 2048, 64  # up to this many snippets all edges are kept; beyond, this many rows are computed at a time
EVERY = slice(None)


class GraphBranch(nn.Module):
    """Two graph convolutions over the same edges: d -> d' with a convolution beside, d' -> d' with a shortcut."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        activation: Callable[[Tensor], Tensor] = quick_gelu,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width_in, width_out)))
        self.beside = TemporalConv(width_in, width_out, kernel_size=5)
        self.second = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width_out, width_out)))
        self.activation = activation
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edges: "Edges", attendable: Tensor | None) -> Tensor:
        """x [b, n, d], edges [b or 1, n, n] -> [b, n, d']."""
        x = masked(x, attendable)
        hidden = self.dropout(self.activation(edges @ (x @ self.first) + self.beside(x)))
        hidden = masked(hidden, attendable)
        out: Tensor = self.dropout(self.activation(edges @ (hidden @ self.second) + hidden))
        return out


@dataclass(frozen=True)
class RowBlocks:
    """Edges [b or 1, n, n] of a long video, which are not kept but computed by rows whenever they are used."""

    rows: Callable[[slice], Tensor]  # some rows of the edges
    n: int

    def __matmul__(self, values: Tensor) -> Tensor:
        return torch.cat([self.rows(slice(i, i + ROWS)) @ values for i in range(0, self.n, ROWS)], dim=1)


Edges = Tensor | RowBlocks


def held_or_by_rows(rows: Callable[[slice], Tensor], n: int) -> Edges:
    """Edges of n snippets from a function that computes some of their rows."""
    return rows(slice(0, n)) if n <= HELD else RowBlocks(rows, n)


def similarity_edges(x: Tensor, valid: Tensor) -> Tensor:
    """[b, n, n]: softmax over a row of the cosines above the threshold (others count as 0), within the valid length."""
    return cosine_edges(unit(x), valid)


def cosine_edges(directions: Tensor, valid: Tensor, rows: slice = EVERY) -> Tensor:
    """The same for snippets [b, n, d] of length 1."""
    of_rows = directions if rows == EVERY else directions[:, rows]  # a slice of all changes the gradient's last digits
    cosines = functional.threshold(of_rows @ directions.transpose(1, 2), SIMILARITY_THRESHOLD, 0.0)
    return _row_softmax(cosines, valid, rows)


def distance_edges(x: Tensor, rows: slice = EVERY) -> Tensor:
    """[n, n] for x [b, n, d]: ``exp(-|i - j| / e)``, not normalised."""
    position = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)
    # Beyond 80, exp takes twenty times as long to give 0.
    return torch.exp(-((position[rows, None] - position).abs() / math.e).clamp(max=80.0))


def score_edges(confidence: Tensor, valid: Tensor, rows: slice = EVERY) -> Tensor:
    """[b, n, n]: softmax over a row of how close the confidences [b, n] of two valid snippets are (HL-Net)."""
    scaled = SCORE_STEEPNESS * confidence
    differences = (scaled[:, rows, None] - scaled[:, None, :]).abs()
    return _row_softmax(torch.sigmoid(0.5 * SCORE_STEEPNESS - differences), valid, rows)


def _row_softmax(values: Tensor, valid: Tensor, rows: slice) -> Tensor:
    never = torch.zeros_like(valid, dtype=values.dtype).masked_fill(~valid, -torch.inf)
    return (values + never[:, None, :]).softmax(dim=-1) * valid[:, rows, None]
