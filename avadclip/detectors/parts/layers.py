"""Small parts that several modules share."""

from torch import Tensor, nn
from torch.nn import functional


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximation of GELU: x * sigmoid(1.702 x)."""
    return functional.silu(1.702 * x) / 1.702  # the same in fewer passes over memory


class Mlp(nn.Module):
    """Linear d -> 4d, QuickGELU, Linear 4d -> d; [..., d] -> [..., d]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        contracted: Tensor = self.contract(quick_gelu(self.expand(x)))
        return contracted


class TemporalConv(nn.Conv1d):
    """Convolution along the snippets of [b, n, width in] -> [b, n, width out], as long as its input."""

    def __init__(self, width_in: int, width_out: int, kernel_size: int) -> None:
        super().__init__(width_in, width_out, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def to_width(width_in: int, width_out: int) -> nn.Module:
    """[..., width in] -> [..., width out]: the identity if both are the same, else a linear layer without bias."""
    return nn.Identity() if width_in == width_out else nn.Linear(width_in, width_out, bias=False)


def masked(x: Tensor, attendable: Tensor | None) -> Tensor:
    """Zero the positions of x [b, n, d] that may not be attended to; `attendable` is bool [b, n], None for all."""
    return x if attendable is None else x * attendable[:, :, None]


def unit(x: Tensor) -> Tensor:
    """x [..., d] scaled to length 1."""
    return functional.normalize(x, dim=-1)
