"""Temporal convolutions over the audio features (paper, sec. III-B: "a temporal convolution layer [70]")."""

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm


class AudioModel(nn.Module):
    """Audio features [b, n, width in] -> the same in the context of what was audible before [b, n, width out].

    Causal, so that padding at the end has no influence.
    """

    def __init__(self, width_in: int, width_out: int, n_levels: int, dropout: float) -> None:
        super().__init__()
        widths = [width_in] + [width_out] * n_levels
        self.levels = nn.ModuleList(
            AudioLevel(widths[level], width_out, 2**level, dropout) for level in range(n_levels)
        )

    def forward(self, snippets: Tensor) -> Tensor:
        x = snippets.transpose(1, 2)
        for level in self.levels:
            x = level(x)
        return x.transpose(1, 2)


class AudioLevel(nn.Module):
    """Two causal convolutions over two snippets that lie `dilation` apart, and a shortcut; [b, width, n]."""

    def __init__(self, width_in: int, width_out: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.first = weight_norm(nn.Conv1d(width_in, width_out, kernel_size=2, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(width_out, width_out, kernel_size=2, dilation=dilation))
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Identity() if width_in == width_out else nn.Conv1d(width_in, width_out, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x
        for convolution in (self.first, self.second):
            hidden = self.dropout(functional.relu(convolution(functional.pad(hidden, (self.dilation, 0)))))
        return functional.relu(hidden + self.shortcut(x))
