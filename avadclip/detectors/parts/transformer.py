"""A transformer layer like those of CLIP, with an attention function of the detector's own."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts.layers import Mlp

# Query, key and value [b, n, d] -> the result of each query [b, n, d].
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


class TransformerLayer(nn.Module):
    """Pre-norm: attention, then an MLP with QuickGELU; each with a shortcut. [b, n, d] -> [b, n, d]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        nn.init.xavier_uniform_(self.query_key_value.weight)
        nn.init.zeros_(self.query_key_value.bias)
        nn.init.zeros_(self.attention_out.bias)

    def forward(self, x: Tensor, attend: Attention) -> Tensor:
        query, key, value = self.query_key_value(self.attention_norm(x)).chunk(3, dim=-1)
        x = x + self.attention_out(attend(query, key, value))
        refined: Tensor = x + self.mlp(self.mlp_norm(x))
        return refined


def head_attention(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """Attention of several heads.

    Parameters
    ----------
    query, key, value : [b, n, d], each head has its own d / heads of the features; keys may be more than queries.
    mask : for [b, heads, queries, keys], bool (may be attended to) or float (added to the logits).
    """
    query, key, value = (x.reshape(*x.shape[:2], heads, -1).transpose(1, 2) for x in (query, key, value))
    found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return found.transpose(1, 2).flatten(2)
