"""A released detector, computed slowly and plainly from its state dict and docs/method.md: the oracle of the importer.

Float64, one video, one window of 256 positions, a loop for each position, window, head and level; padding is zero and
takes part, as released. Nothing here comes from the library.
"""

import math

import open_clip
import torch
from torch import Tensor

POSITIONS = 256


def detect(
    tensors: dict[str, Tensor], visual: Tensor, audio: Tensor | None, classes: tuple[str, ...]
) -> dict[str, Tensor]:
    """Anomaly logits [256], class logits [256, C], features [256, d], X_c [C, d], and theta [256, d] of a student."""
    t = {name: tensor.double() for name, tensor in tensors.items()}
    n = len(visual)
    x = temporal(t, _padded(visual), n, window=64 if audio is None else 4)
    found = {}
    if audio is None:
        if "fe_net.theta.theta.0.weight" in t:  # VadCLIP has none
            found["theta"] = -(x + uncertainty(t, x))
        layer = 0
        while f"fe_net.conv.{layer}.conv.0.weight" in t:
            x = x + conv(t, f"fe_net.conv.{layer}.conv.0", x, before=1, after=1).relu()
            layer += 1
    else:
        both = torch.cat([x, sound(t, _padded(audio))], dim=1)
        gate = 1 / (1 + torch.exp(-affine(t, "temporalgatedresidual.gate_proj.0", both)))
        residual = affine(t, "temporalgatedresidual.residual_proj.0", both)
        residual = 0.5 * residual * (1 + torch.erf(residual / math.sqrt(2)))
        x = x + gate * affine(t, "temporalgatedresidual.residual_proj.2", residual)
    logits = affine(t, "classifier", x + mlp(t, "mlp2", x))[:, 0]
    prompt = sum(logits[i] * x[i] for i in range(POSITIONS))
    prompt = prompt / prompt.norm()
    class_embeddings = torch.stack([text(t, name) for name in classes])
    class_logits = torch.empty(POSITIONS, len(classes), dtype=torch.double)
    for c, embedding in enumerate(class_embeddings):
        enriched = embedding + prompt
        enriched = enriched + mlp(t, "mlp1", enriched)
        class_logits[:, c] = x @ enriched / (x.norm(dim=1) * enriched.norm()) / 0.07
    return found | {
        "anomaly_logits": logits,
        "class_logits": class_logits,
        "features": x,
        "class_embeddings": class_embeddings,
    }


def temporal(t: dict[str, Tensor], x: Tensor, n: int, window: int) -> Tensor:
    x = x + t["frame_position_embeddings.weight"]
    layer = 0
    while f"temporal.resblocks.{layer}.ln_1.weight" in t:
        name = f"temporal.resblocks.{layer}"
        normed = norm(t, f"{name}.ln_1", x)
        starts = range(0, POSITIONS, window)
        x = x + torch.cat([attention(t, f"{name}.attn", normed[start : start + window]) for start in starts])
        x = x + mlp(t, f"{name}.mlp", norm(t, f"{name}.ln_2", x))
        layer += 1
    similar = torch.zeros(POSITIONS, POSITIONS, dtype=torch.double)
    for i in range(n):
        cosines = x[:n] @ x[i] / (x[:n].norm(dim=1) * x[i].norm())
        cosines[cosines <= 0.7] = 0
        similar[i, :n] = torch.exp(cosines) / torch.exp(cosines).sum()
    near = torch.tensor(
        [[math.exp(-abs(i - j) / math.e) for j in range(POSITIONS)] for i in range(POSITIONS)], dtype=torch.double
    )
    branches = []
    for edges, first, second in ((similar, "gc1", "gc2"), (near, "gc3", "gc4")):
        beside = conv(t, f"{first}.residual", x, before=2, after=2)
        hidden = quick_gelu(edges @ (x @ t[f"{first}.weight"]) + beside)
        branches.append(quick_gelu(edges @ (hidden @ t[f"{second}.weight"]) + hidden))
    return affine(t, "linear", torch.cat(branches, dim=1))


def sound(t: dict[str, Tensor], x: Tensor) -> Tensor:
    level = 0
    while f"temporalconvnet.network.{level}.conv1.bias" in t:
        hidden = x
        for part in ("conv1", "conv2"):
            name = f"temporalconvnet.network.{level}.{part}"
            g, v = t[f"{name}.weight_g"], t[f"{name}.weight_v"]
            weight = torch.stack([g[o, 0, 0] * v[o] / v[o].norm() for o in range(len(v))])
            past = torch.cat([torch.zeros(2**level, x.shape[1], dtype=torch.double), hidden])[:POSITIONS]
            hidden = (past @ weight[:, :, 0].T + hidden @ weight[:, :, 1].T + t[f"{name}.bias"]).relu()
        x = (x + hidden).relu()
        level += 1
    return x


def uncertainty(t: dict[str, Tensor], x: Tensor) -> Tensor:
    name = "fe_net.theta.theta"
    hidden = conv(t, f"{name}.0", x, before=0, after=0).relu()
    return conv(t, f"{name}.3", conv(t, f"{name}.2", hidden, before=1, after=1), before=0, after=0).relu()


def text(t: dict[str, Tensor], name: str) -> Tensor:
    """X_c of one class: SOT, 10 learned vectors, the name, 10 learned vectors, EOT, through all 77 positions."""
    ids = [int(i) for i in open_clip.tokenize([name])[0] if i]
    embedding, table = t["clipmodel.token_embedding.weight"], t["text_prompt_embeddings.weight"]
    tokens = table.clone()
    tokens[0] = embedding[ids[0]]
    for place, token in enumerate(ids[1:-1]):
        tokens[11 + place] = embedding[token]
    end = 10 + len(ids) - 1 + 10
    tokens[end] = embedding[ids[-1]]
    x = tokens + t["clipmodel.positional_embedding"]
    layer = 0
    while f"clipmodel.transformer.resblocks.{layer}.ln_1.weight" in t:
        block = f"clipmodel.transformer.resblocks.{layer}"
        x = x + attention(t, f"{block}.attn", norm(t, f"{block}.ln_1", x), heads=x.shape[1] // 64, causal=True)
        x = x + mlp(t, f"{block}.mlp", norm(t, f"{block}.ln_2", x))
        layer += 1
    return norm(t, "clipmodel.ln_final", x)[end] @ t["clipmodel.text_projection"]


def attention(t: dict[str, Tensor], name: str, x: Tensor, heads: int = 1, causal: bool = False) -> Tensor:
    query, key, value = (x @ t[f"{name}.in_proj_weight"].T + t[f"{name}.in_proj_bias"]).chunk(3, dim=1)
    size = x.shape[1] // heads
    rows = torch.empty_like(x)
    for head in range(heads):
        at = slice(head * size, (head + 1) * size)
        for i in range(len(x)):
            seen = i + 1 if causal else len(x)
            share = torch.exp(key[:seen, at] @ query[i, at] / math.sqrt(size))
            rows[i, at] = share / share.sum() @ value[:seen, at]
    return affine(t, f"{name}.out_proj", rows)


def conv(t: dict[str, Tensor], name: str, x: Tensor, before: int, after: int) -> Tensor:
    weight, zeros = t[f"{name}.weight"], torch.zeros(1, x.shape[1], dtype=torch.double)
    padded = torch.cat([zeros.repeat(before, 1), x, zeros.repeat(after, 1)])
    rows = [
        sum(weight[:, :, k] @ padded[i + k] for k in range(weight.shape[2])) + t[f"{name}.bias"] for i in range(len(x))
    ]
    return torch.stack(rows)


def norm(t: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(dim=1, keepdim=True) + 1e-5)
    return scaled * t[f"{name}.weight"] + t[f"{name}.bias"]


def mlp(t: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return affine(t, f"{name}.c_proj", quick_gelu(affine(t, f"{name}.c_fc", x)))


def affine(t: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def quick_gelu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-1.702 * x))


def _padded(rows: Tensor) -> Tensor:
    return torch.cat([rows.double(), torch.zeros(POSITIONS - len(rows), rows.shape[1], dtype=torch.double)])
