"""RTFM's multi-scale temporal network (MTN): dilated convolutions at several scales, attention over the whole video.

In this file videos are [b, width, n], as convolutions need them. `valid` is bool [b, n], or None if there is no
padding, which influences nothing, not even the statistics of normalisation.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts.layers import masked

DILATIONS = (1, 2, 4)


class MultiScaleNetwork(nn.Module):
    """Snippet features [b, n, width] -> the same plus their context in the video.

    A branch is a quarter as wide, as in the released code, whose features are 2048 wide.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        branch = max(1, width // 4)
        self.pyramid = nn.ModuleList(Dilated(width, branch, dilation) for dilation in DILATIONS)
        self.reduce = nn.Conv1d(width, branch, kernel_size=1, bias=False)
        self.attention = NonLocal(branch)
        self.fuse = nn.Conv1d((len(DILATIONS) + 1) * branch, width, kernel_size=3, padding=1, bias=False)
        self.norm = ValidNorm(width)

    def forward(self, snippets: Tensor, valid: Tensor | None) -> Tensor:
        x = masked(snippets, valid).transpose(1, 2)
        scales = [level(x, valid) for level in self.pyramid]
        everywhere = self.attention(functional.relu(self.reduce(x)), valid)
        fused: Tensor = self.norm(functional.relu(self.fuse(torch.cat([*scales, everywhere], dim=1))), valid)
        return (fused + x).transpose(1, 2)


class Dilated(nn.Module):
    """Convolution over three snippets that lie `dilation` apart, ReLU, normalisation."""

    def __init__(self, width_in: int, width_out: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width_in, width_out, kernel_size=3, dilation=dilation, padding=dilation)
        self.norm = ValidNorm(width_out)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        normed: Tensor = self.norm(functional.relu(self.convolution(x)), valid)
        return normed


class NonLocal(nn.Module):
    """Attention by the dot product, divided by the number of snippets and without softmax; adds nothing at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(1, width // 2)
        self.query, self.key, self.value = (nn.Conv1d(width, inner, kernel_size=1) for _ in range(3))
        self.out = nn.Conv1d(inner, width, kernel_size=1, bias=False)  # a bias would vanish in the normalisation
        self.norm = ValidNorm(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        value, n = self.value(x), x.shape[2]
        lengths: Tensor | int = n
        if valid is not None:
            value, lengths = value * valid[:, None, :], valid.sum(dim=1)[:, None, None]
        # Without a softmax, (query key) value is query (key value), so no n by n matrix is needed.
        summary = value @ self.key(x).transpose(1, 2) / lengths
        attended: Tensor = self.norm(self.out(summary @ self.query(x)), valid) + x
        return attended


class ValidNorm(nn.BatchNorm1d):
    """Batch normalisation of [b, width, n] over snippets; padding is not counted, and is zero in the output."""

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:  # type: ignore[override]
        if valid is None:
            return super().forward(x)
        normed = torch.zeros_like(x.transpose(1, 2))
        normed[valid] = super().forward(x.transpose(1, 2)[valid])
        return normed.transpose(1, 2)
