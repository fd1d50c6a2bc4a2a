"""State dicts in the layout of published detectors: names and shapes of the authors' code, random values."""

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def _filled(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Tensors:
    random = torch.Generator().manual_seed(seed)
    tensors = {name: 0.3 * torch.randn(shape, generator=random) for name, shape in shapes.items()}
    tensors |= {name: tensor.abs() + 0.5 for name, tensor in tensors.items() if name.endswith("running_var")}
    return tensors | {name: torch.tensor(7) for name in tensors if name.endswith("num_batches_tracked")}


def _layer(name: str, *weight: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def hl_net(width: int = 20) -> Tensors:
    shapes = {**_layer("conv1d1", 10, width, 1), **_layer("conv1d2", 8, 10, 1)}
    shapes |= {**_layer("conv1d3", 4, 8, 5), **_layer("conv1d4", 4, 4, 5)}  # not used
    for first, second in ((1, 2), (3, 4), (5, 6)):
        shapes |= {f"gc{first}.weight": (8, 4), f"gc{second}.weight": (4, 4), **_layer(f"gc{first}.residual", 4, 8, 5)}
    shapes |= {"simAdj.weight0": (width, 4), "simAdj.weight1": (width, 4), "disAdj.sigma": (1,)}
    shapes |= {**_layer("approximator.0", 6, 8, 1), **_layer("approximator.2", 4, 6, 1)}
    return _filled({**shapes, **_layer("conv1d_approximator", 1, 4, 5), **_layer("classifier", 1, 12)})


def rtfm(width: int = 12) -> Tensors:
    return _filled(_aggregate(width))


def clip_tsa(width: int = 12, gated: int = 12) -> Tensors:
    """`width` differs from `gated` where the features are reduced."""
    shapes = {
        **_aggregate(gated),
        **_layer("hard_attention.scorer.fc1", 256, gated),
        **_layer("hard_attention.scorer.fc2", 1, 256),
        **_layer("mlp.fc1", 1024, width),
        **_layer("mlp.fc2", 512, 1024),
    }
    return _filled(shapes)


def _aggregate(width: int) -> dict[str, tuple[int, ...]]:
    branch, inner, shapes = width // 4, max(1, width // 8), {}
    for level in (1, 2, 3):
        shapes |= _layer(f"Aggregate.conv_{level}.0", branch, width, 3) | _norm(f"Aggregate.conv_{level}.2", branch)
    for part in ("g", "theta", "phi"):
        shapes |= _layer(f"Aggregate.non_local.{part}", inner, branch, 1)
    shapes |= _layer("Aggregate.non_local.W.0", branch, inner, 1) | _norm("Aggregate.non_local.W.1", branch)
    shapes |= {"Aggregate.conv_4.0.weight": (branch, width, 1), "Aggregate.conv_5.0.weight": (width, width, 3)}
    shapes |= _norm("Aggregate.conv_5.2", width)
    return {**shapes, **_layer("fc1", 10, width), **_layer("fc2", 6, 10), **_layer("fc3", 1, 6)}
