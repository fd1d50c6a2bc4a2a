"""RTFM: tianyu0207/RTFM at cf938f4."""

from typing import Any

from torch import Tensor

from avadclip.interop.checkpoints.layout import Layout, Shapes, Tensors, affine, batch_norm, taken

NON_LOCAL = "Aggregate.non_local"


def _recognises(shapes: Shapes) -> bool:
    return "Aggregate.conv_5.0.weight" in shapes and "hard_attention.scorer.fc1.weight" not in shapes


def settings(shapes: Shapes) -> dict[str, Any]:
    """Units of the head."""
    return {"hidden": [shapes["fc1.weight"][0], shapes["fc2.weight"][0]]}


def names() -> dict[str, str]:
    """Our name -> theirs, of temporal network and head."""
    found: dict[str, str] = {}
    for level in range(3):
        found |= affine(f"temporal.pyramid.{level}.convolution", f"Aggregate.conv_{level + 1}.0")
        found |= batch_norm(f"temporal.pyramid.{level}.norm", f"Aggregate.conv_{level + 1}.2")
    for ours, theirs in (("value", "g"), ("query", "theta"), ("key", "phi")):
        found |= affine(f"temporal.attention.{ours}", f"{NON_LOCAL}.{theirs}")
    for layer, theirs in (("first", "fc1"), ("second", "fc2"), ("last", "fc3")):
        found |= affine(layer, theirs)
    return {
        **found,
        **batch_norm("temporal.attention.norm", f"{NON_LOCAL}.W.1"),
        **batch_norm("temporal.norm", "Aggregate.conv_5.2"),
        "temporal.attention.out.weight": f"{NON_LOCAL}.W.0.weight",
        "temporal.reduce.weight": "Aggregate.conv_4.0.weight",
        "temporal.fuse.weight": "Aggregate.conv_5.0.weight",
    }


def renamed(tensors: Tensors, names_: dict[str, str], unused: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Tensors by our names; the one bias that we do not have is subtracted from the running mean after it."""
    bias, mean = f"{NON_LOCAL}.W.0.bias", "temporal.attention.norm.running_mean"
    ours = taken(tensors, names_ | {"bias": bias}, unused)
    ours[mean] = ours[mean] - ours.pop("bias")
    return ours


LAYOUT = Layout(
    recognises=_recognises,
    width=lambda shapes: shapes["Aggregate.conv_1.0.weight"][1],
    settings=settings,
    renamed=lambda tensors: renamed(tensors, names()),
)
