"""Two features become one by products of their elements: factorised bilinear pooling (Yu et al., ICCV 2017)."""

from torch import Tensor, nn

from avadclip.detectors.parts.layers import unit

ROOT_FLOOR = 1e-6  # the square root has no slope at 0


class BilinearPooling(nn.Module):
    """x [..., width], y [..., width] -> [..., width] of length 1; each element is a sum of `factors` products."""

    def __init__(self, width: int, factors: int) -> None:
        super().__init__()
        self.factors = factors
        self.of_first, self.of_second = nn.Linear(width, width * factors), nn.Linear(width, width * factors)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        pooled = (self.of_first(x) * self.of_second(y)).unflatten(-1, (-1, self.factors)).sum(dim=-1)
        return unit(pooled.sign() * (pooled.abs() + ROOT_FLOOR).sqrt())
