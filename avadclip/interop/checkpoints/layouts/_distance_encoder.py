"""The transformer that UR-DMU and BN-WVAD have in common, with the same layout."""

from typing import Any

from avadclip.interop.checkpoints.layout import Shapes, affine

_QKV = "selfatt.layers.0.0.fn.to_qkv.weight"


def is_there(shapes: Shapes) -> bool:
    """Whether a file has this transformer."""
    return {"embedding.conv_1.0.weight", _QKV} <= shapes.keys()


def width(shapes: Shapes) -> int:
    """Width of the features."""
    return shapes["embedding.conv_1.0.weight"][1]


def settings(shapes: Shapes) -> dict[str, Any]:
    """All sizes except the number of heads, which is 4 in all publications."""
    inner, own_width = shapes[_QKV]
    return {
        "width": own_width,
        "layers": _n_layers(shapes),
        "heads": 4,
        "head_width": inner // 16,
        "mlp_width": shapes["selfatt.layers.0.1.fn.net.0.weight"][0],
    }


def names(shapes: Shapes) -> dict[str, str]:
    """Our name -> theirs."""
    found = affine("encoder.embed", "embedding.conv_1.0")
    for layer in range(_n_layers(shapes)):
        ours, theirs = f"encoder.layers.{layer}", f"selfatt.layers.{layer}"
        found |= affine(f"{ours}.attention_norm", f"{theirs}.0.norm") | affine(f"{ours}.mlp_norm", f"{theirs}.1.norm")
        found |= affine(f"{ours}.attention_out", f"{theirs}.0.fn.to_out.0")
        found |= affine(f"{ours}.expand", f"{theirs}.1.fn.net.0") | affine(f"{ours}.contract", f"{theirs}.1.fn.net.3")
        found[f"{ours}.query_key_values.weight"] = f"{theirs}.0.fn.to_qkv.weight"
    return found


def _n_layers(shapes: Shapes) -> int:
    return sum(name.startswith("selfatt.layers.") and name.endswith(".to_qkv.weight") for name in shapes)
