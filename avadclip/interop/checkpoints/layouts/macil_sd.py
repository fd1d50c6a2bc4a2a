"""MACIL-SD: JustinYuu/MACIL_SD at c20943f, whose repository has a trained file for I3D and VGGish (1024 and 128)."""

from typing import Any

from torch import Tensor

from avadclip.interop.checkpoints.layout import Layout, Shapes, Tensors, affine, taken

LAYER = "cma.layer"
NAMES = {
    **affine("stream.project", "fc_v"),
    **affine("project_audio", "fc_a"),
    **affine("stream.head", "att_mmil.fc"),
    **affine("stream.layer.attention_norm", f"{LAYER}.sublayer.0.norm"),
    **affine("stream.layer.mlp_norm", f"{LAYER}.sublayer.1.norm"),
    **affine("stream.layer.expand", f"{LAYER}.feed_forward.w_1"),
    **affine("stream.layer.contract", f"{LAYER}.feed_forward.w_2"),
    **affine("stream.layer.query", f"{LAYER}.self_attn.linears.0"),
    **affine("stream.layer.key", f"{LAYER}.self_attn.linears.1"),
    **affine("stream.layer.value", f"{LAYER}.self_attn.linears.2"),
    **affine("stream.layer.attention_out", f"{LAYER}.self_attn.linears.3"),
}


def _recognises(shapes: Shapes) -> bool:
    return {"fc_a.weight", "att_mmil.fc.weight", f"{LAYER}.self_attn.linears.0.weight"} <= shapes.keys()


def _settings(shapes: Shapes) -> dict[str, Any]:
    return {"width": shapes["fc_v.weight"][0], "mlp_width": shapes[f"{LAYER}.feed_forward.w_1.weight"][0]}


def _renamed(tensors: Tensors) -> dict[str, Tensor]:
    # Modules that the authors build, copy and do not use.
    unused = [name for name in tensors if name.startswith(("multiheadattn.", "feedforward.")) or ".layer_norm." in name]
    return taken(tensors, NAMES, unused)


LAYOUT = Layout(_recognises, lambda s: s["fc_v.weight"][1] + s["fc_a.weight"][1], _settings, _renamed)
