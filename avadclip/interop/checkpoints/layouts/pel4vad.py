"""PEL4VAD: yujiangpu20/PEL4VAD at eeb31f4.

A file does not tell its data set, and so neither `window` nor `power_norm`: ours are those of XD-Violence.
"""

from typing import Any

from torch import Tensor

from avadclip.interop.checkpoints.layout import Layout, Shapes, Tensors, affine, taken

ATTENTION = "self_attention.self_attn"
LINEAR = {"first": "self_attention.linear1", "second": "self_attention.linear2"}  # convolutions over single snippets


def _recognises(shapes: Shapes) -> bool:
    return {f"{ATTENTION}.alpha", "self_attention.loc_adj.w", "logit_scale"} <= shapes.keys()


def _settings(shapes: Shapes) -> dict[str, Any]:
    _, score_width, score_snippets = shapes["classifier.weight"]
    return {
        "attention_width": shapes[f"{ATTENTION}.q.weight"][0],
        "score_width": score_width,
        "score_snippets": score_snippets,
    }


def _renamed(tensors: Tensors) -> dict[str, Tensor]:
    names = affine("norm", "self_attention.norm") | affine("score", "classifier")
    for ours, theirs in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "o")):
        names |= affine(f"attention.{ours}", f"{ATTENTION}.{theirs}")
    for ours, theirs in LINEAR.items():
        names |= affine(ours, theirs)
    names |= {
        "attention.share": f"{ATTENTION}.alpha",
        "attention.decay": "self_attention.loc_adj.w",
        "attention.offset": "self_attention.loc_adj.b",
        "log_scale": "logit_scale",
    }
    found = taken(tensors, names)
    return found | {f"{layer}.weight": found[f"{layer}.weight"].squeeze(-1) for layer in LINEAR}


LAYOUT = Layout(
    recognises=_recognises,
    width=lambda shapes: shapes[f"{ATTENTION}.q.weight"][1],
    settings=_settings,
    renamed=_renamed,
    embedding_width=lambda shapes: shapes["self_attention.linear1.weight"][0],
)
