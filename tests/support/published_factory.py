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
    """Make CLIP-TSA's tensors; `width` differs from `gated` if the features are reduced."""
    shapes = {
        **_aggregate(gated),
        **_layer("hard_attention.scorer.fc1", 256, gated),
        **_layer("hard_attention.scorer.fc2", 1, 256),
        **_layer("mlp.fc1", 1024, width),
        **_layer("mlp.fc2", 512, 1024),
    }
    return _filled(shapes)


def ur_dmu(width: int = 12) -> Tensors:
    shapes = {**_distance_encoder(width), "Amemory.memory_block": (5, 8), "Nmemory.memory_block": (5, 8)}
    for name in ("encoder_mu.0", "encoder_var.0"):
        shapes |= _layer(name, 8, 8)
    return _filled({**shapes, **_layer("cls_head.mlp.0", 6, 16), **_layer("cls_head.mlp.2", 1, 6)})


def bn_wvad(width: int = 12) -> Tensors:
    shapes = {**_distance_encoder(width), **_norm("normal_head.bn1", 6), **_norm("normal_head.bn2", 4)}
    for layer, sizes in enumerate(((6, 8), (4, 6), (1, 4)), start=1):
        shapes |= _layer(f"normal_head.conv{layer}", *sizes, 1)
    return _filled(shapes)


def _distance_encoder(width: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of two layers of width 8 with four heads of width 2."""
    shapes = _layer("embedding.conv_1.0", 8, width, 3)
    for layer in ("selfatt.layers.0", "selfatt.layers.1"):
        shapes |= {**_layer(f"{layer}.0.norm", 8), **_layer(f"{layer}.1.norm", 8)}
        shapes |= {f"{layer}.0.fn.to_qkv.weight": (32, 8), **_layer(f"{layer}.0.fn.to_out.0", 8, 16)}
        shapes |= {**_layer(f"{layer}.1.fn.net.0", 10, 8), **_layer(f"{layer}.1.fn.net.3", 8, 10)}
    return shapes


def pel4vad(width: int = 12) -> Tensors:
    attention = "self_attention.self_attn"
    shapes: dict[str, tuple[int, ...]] = {f"{attention}.alpha": (), "logit_scale": ()}
    shapes |= {"self_attention.loc_adj.w": (1,), "self_attention.loc_adj.b": (1,)}
    for part in ("q", "k", "v"):
        shapes |= _layer(f"{attention}.{part}", 6, width)
    shapes |= {**_layer(f"{attention}.o", width, 6), **_layer("self_attention.norm", width)}
    shapes |= {**_layer("self_attention.linear1", 16, width, 1), **_layer("self_attention.linear2", 10, 16, 1)}
    return _filled({**shapes, **_layer("classifier", 1, 10, 3)})


def macil_sd(visual: int = 12, audio: int = 8) -> Tensors:
    shapes = {**_layer("fc_v", 16, visual), **_layer("fc_a", 16, audio), **_layer("att_mmil.fc", 1, 16)}
    for linear in range(4):
        shapes |= _layer(f"cma.layer.self_attn.linears.{linear}", 16, 16)
    shapes |= {**_layer("cma.layer.sublayer.0.norm", 16), **_layer("cma.layer.sublayer.1.norm", 16)}
    shapes |= {**_layer("cma.layer.feed_forward.w_1", 10, 16), **_layer("cma.layer.feed_forward.w_2", 16, 10)}
    return _filled({**shapes, **_layer("multiheadattn.out_proj", 16, 16)})  # `out_proj` is not used


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
