"""PEL4VAD, computed slowly and plainly from its weights and the published facts: the oracle of the detector.

Float64, one video at a time, without padding. Nothing here comes from the library.
"""

import math

import torch
from torch import Tensor

from tests.support.released_oracle import affine, norm

Weights = dict[str, Tensor]


def forward(t: Weights, video: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Return confidences [n] and features [n, embedding width] of snippets [n, width]."""
    video = video.double()
    query, key, value = (affine(t, f"attention.{name}", video) for name in ("query", "key", "value"))
    share = 1 / (1 + math.exp(-float(t["attention.share"])))
    decay, offset = float(t["attention.decay"]), float(t["attention.offset"])
    n = len(video)
    rows = []
    for i in range(n):
        similar = key @ query[i] / math.sqrt(len(query[i]))
        weights = torch.exp(similar + torch.tensor([math.exp(-abs(decay * (i - j) ** 2 - offset)) for j in range(n)]))
        nearby = slice(max(0, i - window // 2), i + window // 2 + 1)
        whole = weights / weights.sum() @ value
        local = weights[nearby] / weights[nearby].sum() @ value[nearby]
        rows.append(share * whole + (1 - share) * local)
    x = norm(t, "norm", video + affine(t, "attention.out", torch.stack(rows)))
    features = gelu(affine(t, "first", x))
    hidden = gelu(affine(t, "second", features))
    kernel = t["score.weight"][0]  # [width, snippets]
    past = torch.cat([torch.zeros(kernel.shape[1] - 1, hidden.shape[1], dtype=torch.double), hidden])
    logits = [sum(past[i + k] @ kernel[:, k] for k in range(kernel.shape[1])) + t["score.bias"][0] for i in range(n)]
    return torch.sigmoid(torch.stack(logits)), features


def losses(t: Weights, videos: list[Tensor], classes: list[int], names: Tensor, window: int) -> dict[str, Tensor]:
    """Return both terms; `names` [C, width] holds the embeddings of the classes, of which class 0 is normal."""
    bag, pooled, shown = [], [], []
    for video, label in zip(videos, classes, strict=True):
        confidence, features = forward(t, video, window)
        k = len(video) // 16 + 1 if label else 1
        highest = confidence.sort(descending=True).values[:k].mean()
        bag.append(-torch.log(highest if label else 1 - highest))
        pooled.append(pool(features, confidence))
        shown.append(label)
        if label:
            pooled.append(pool(features, 1 - confidence))
            shown.append(0)
    divergence = 0.0
    for i, x in enumerate(pooled):
        cosines = torch.stack([x @ names[c].double() / (x.norm() * names[c].double().norm()) for c in shown])
        similar = torch.exp(cosines * torch.exp(t["log_scale"]))
        wanted = torch.tensor([math.exp(10.0 * (c == shown[i])) for c in shown], dtype=torch.double)
        similar, wanted = similar / similar.sum(), wanted / wanted.sum()
        divergence += (wanted * torch.log(wanted / similar)).sum() / len(pooled)
    return {"binary": torch.stack(bag).mean(), "prompt": torch.as_tensor(divergence)}


def pool(features: Tensor, confidence: Tensor) -> Tensor:
    weights = torch.exp(10 * confidence) - 1
    return sum(w * x for w, x in zip(weights / weights.sum(), features, strict=True))


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
