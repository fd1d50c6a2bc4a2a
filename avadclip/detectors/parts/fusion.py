"""How visual and audio features become one (paper, sec. III-C), and the alternatives of table VII.

Each fusion takes visual [b, n, d], audio [b, n, d] and audible bool [b, n] (False: no sound), and gives [b, n, d].
Where there is no sound, the caller keeps the visual feature.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class AdaptiveFusion(nn.Module):
    """X_av = X_v + W * R, with a gate W (eq. 1) and a residual R (eq. 2) computed from both (eq. 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width, width)
        self.residual_in = nn.Linear(2 * width, width)
        self.residual_out = nn.Linear(width, width)

    def forward(self, visual: Tensor, audio: Tensor, audible: Tensor) -> Tensor:
        both = torch.cat([visual, audio], dim=-1)
        residual: Tensor = self.residual_out(functional.gelu(self.residual_in(both)))
        return visual + torch.sigmoid(self.gate(both)) * residual


class AddFusion(nn.Module):
    """X_av = X_v + X_a."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, visual: Tensor, audio: Tensor, audible: Tensor) -> Tensor:
        return visual + audio


class ConcatLinearFusion(nn.Module):
    """X_av = Linear([X_v; X_a])."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * width, width)

    def forward(self, visual: Tensor, audio: Tensor, audible: Tensor) -> Tensor:
        fused: Tensor = self.linear(torch.cat([visual, audio], dim=-1))
        return fused


class CrossAttentionFusion(nn.Module):
    """X_av = X_v + attention of every visual snippet over the audio snippets of its video (one head).

    The paper gives no details of this ablation.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, visual: Tensor, audio: Tensor, audible: Tensor) -> Tensor:
        key, value = self.key_value(audio).chunk(2, dim=-1)
        # A video without any sound would give 0 / 0; it attends to everything, and the result is not used.
        allowed = audible | ~audible.any(dim=1, keepdim=True)
        mixed = functional.scaled_dot_product_attention(self.query(visual), key, value, attn_mask=allowed[:, None, :])
        fused: Tensor = visual + self.out(mixed)
        return fused


FUSIONS: dict[str, type[nn.Module]] = {
    "adaptive": AdaptiveFusion,
    "add": AddFusion,
    "concat_linear": ConcatLinearFusion,
    "cross_attention": CrossAttentionFusion,
}
