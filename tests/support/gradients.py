"""Compare a fast computation with a slow one: values, and gradients with respect to everything that has one."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.testing import assert_close


def assert_same(fast: Callable[[], Tensor], slow: Callable[[], Tensor], inputs: Iterable[Tensor]) -> None:
    """Assert that both give the same tensor, and that a random projection of it has the same gradients.

    Use float64 throughout; then only the order of summation differs, with effects far below the tolerance of 1e-9.
    """
    leaves = list(inputs)
    expected, found = slow(), fast()
    assert_close(found, expected, rtol=1e-9, atol=1e-9)
    weights = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(7))
    for wanted, got in zip(_gradients(expected, weights, leaves), _gradients(found, weights, leaves), strict=True):
        assert (wanted is None) == (got is None)
        if wanted is not None and got is not None:
            assert_close(got, wanted, rtol=1e-9, atol=1e-9)


def _gradients(value: Tensor, weights: Tensor, leaves: list[Tensor]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad((value * weights).sum(), leaves, allow_unused=True)


def leaf(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Make seeded normal numbers in float64 that require a gradient."""
    numbers = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (numbers * scale).requires_grad_()
