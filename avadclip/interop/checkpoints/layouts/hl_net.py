"""HL-Net: Roc-Ng/XDVioDet at f846d8c, whose repository has a trained file for I3D and VGGish (1024 + 128)."""

from typing import Any

from torch import Tensor

from avadclip.interop.checkpoints.layout import Layout, Shapes, Tensors, affine, taken

# Layers that the authors build and do not use.
UNUSED = (
    *(f"{layer}.{part}" for layer in ("conv1d3", "conv1d4") for part in ("weight", "bias")),
    *("simAdj.weight0", "simAdj.weight1", "disAdj.sigma"),
)
LINEAR = {  # convolutions over single snippets are linear layers here
    "first": "conv1d1",
    "second": "conv1d2",
    "approximator.first": "approximator.0",
    "approximator.second": "approximator.2",
}
GRAPHS = {"similarity_graph": ("gc1", "gc2"), "distance_graph": ("gc3", "gc4"), "score_graph": ("gc5", "gc6")}


def _recognises(shapes: Shapes) -> bool:
    return {"conv1d1.weight", "conv1d_approximator.weight", "gc6.weight"} <= shapes.keys()


def _settings(shapes: Shapes) -> dict[str, Any]:
    return {
        "hidden": [shapes["conv1d1.weight"][0], shapes["conv1d2.weight"][0]],
        "approximator_hidden": [shapes["approximator.0.weight"][0], shapes["approximator.2.weight"][0]],
        "graph_width": shapes["gc6.weight"][0],
    }


def _renamed(tensors: Tensors) -> dict[str, Tensor]:
    names = affine("approximator.last", "conv1d_approximator") | affine("classifier", "classifier")
    for ours, theirs in LINEAR.items():
        names |= affine(ours, theirs)
    for graph, (first, second) in GRAPHS.items():
        names |= {f"{graph}.first": f"{first}.weight", f"{graph}.second": f"{second}.weight"}
        names |= affine(f"{graph}.beside", f"{first}.residual")
    ours_ = taken(tensors, names, UNUSED)
    return ours_ | {f"{layer}.weight": ours_[f"{layer}.weight"].squeeze(-1) for layer in LINEAR}


LAYOUT = Layout(_recognises, lambda shapes: shapes["conv1d1.weight"][1], _settings, _renamed)
