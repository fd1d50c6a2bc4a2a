"""Attention from one modality to another: the transformer layer of MACIL-SD."""

from torch import Tensor, nn
from torch.nn import functional


class AskingLayer(nn.Module):
    """Attention from one modality [b, n, d] (the queries) to another, or to itself; pre-norm, of the queries only."""

    def __init__(self, width: int, heads: int, mlp_width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.attention_out = (nn.Linear(width, width) for _ in range(4))
        self.expand, self.contract = nn.Linear(width, mlp_width), nn.Linear(mlp_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, asking: Tensor, asked: Tensor, attendable: Tensor | None) -> Tensor:
        """`attendable` [b, n]: positions that may be attended to; None for all."""
        query, key, value = self.query(self.attention_norm(asking)), self.key(asked), self.value(asked)
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        allowed = None if attendable is None else attendable[:, None, None, :]
        dropout = self.dropout.p if self.training else 0.0
        answer = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)
        x = asking + self.dropout(self.attention_out(answer.transpose(1, 2).flatten(2)))
        hidden = self.dropout(functional.relu(self.expand(self.mlp_norm(x))))
        refined: Tensor = x + self.dropout(self.contract(hidden))
        return refined
