"""MACIL-SD, computed slowly and plainly from its weights and the published facts: the oracle of the detector.

Float64, one video at a time, without padding. Nothing here comes from the library.
"""

import math

import torch
from torch import Tensor

from tests.support.released_oracle import affine, norm

Weights = dict[str, Tensor]


def ask(t: Weights, name: str, asking: Tensor, asked: Tensor, heads: int) -> Tensor:
    query = affine(t, f"{name}.query", norm(t, f"{name}.attention_norm", asking))
    key, value = affine(t, f"{name}.key", asked), affine(t, f"{name}.value", asked)
    size = query.shape[1] // heads
    rows = torch.empty_like(query)
    for head in range(heads):
        at = slice(head * size, (head + 1) * size)
        for i in range(len(asking)):
            share = torch.exp(key[:, at] @ query[i, at] / math.sqrt(size))
            rows[i, at] = share / share.sum() @ value[:, at]
    x = asking + affine(t, f"{name}.attention_out", rows)
    hidden = affine(t, f"{name}.expand", norm(t, f"{name}.mlp_norm", x)).clamp(min=0)
    return x + affine(t, f"{name}.contract", hidden)


def alone(t: Weights, stream: str, video: Tensor, heads: int) -> Tensor:
    x = affine(t, f"{stream}.project", video.double())
    return affine(t, f"{stream}.head", ask(t, f"{stream}.layer", x, x, heads))[:, 0]


def both(t: Weights, visual: Tensor, audio: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the features of pictures and of sound, [n, width] each, and the logits [n] of each."""
    v, a = affine(t, "stream.project", visual.double()), affine(t, "project_audio", audio.double())
    seen, heard = ask(t, "stream.layer", v, a, heads), ask(t, "stream.layer", a, v, heads)
    return seen, heard, affine(t, "stream.head", seen)[:, 0], affine(t, "stream.head", heard)[:, 0]


def bag(logits: list[Tensor], labels: list[int]) -> Tensor:
    probabilities = [torch.sigmoid(highest(x, x).mean()) for x in logits]
    return torch.stack(
        [-torch.log(p if label else 1 - p) for p, label in zip(probabilities, labels, strict=True)]
    ).mean()


def contrast(videos: list[tuple[Tensor, Tensor, Tensor, Tensor]], swapped: bool) -> dict[str, Tensor]:
    """Return four terms, not yet weighted by the round; `videos` holds what :func:`both` returns."""
    queries: dict[str, list[Tensor]] = {"visual": [], "audio": []}
    normal: dict[str, list[Tensor]] = {"visual": [], "audio": []}
    background: dict[str, list[Tensor]] = {"visual": [], "audio": []}
    for seen, heard, by_sight, by_sound in videos:
        total = by_sight + by_sound
        anomalous = highest(total, total).mean() > 0
        for name, features, ranking in (
            ("visual", heard if swapped else seen, by_sight),
            ("audio", seen if swapped else heard, by_sound),
        ):
            top = highest(ranking, features)
            if anomalous:
                queries[name] += [top.mean(dim=0)] * len(top)
            else:
                normal[name] += list(top)
            background[name] += list(highest(-ranking, features))
    terms = {}
    for asking, answering in (("audio", "visual"), ("visual", "audio")):
        for name, others in (("background", background), ("normal", normal)):
            values = []
            for query, positive in zip(queries[asking], queries[answering], strict=True):
                hit = math.exp(cosine(query, positive) / 0.1)
                misses = sum(math.exp(cosine(query, other) / 0.1) for other in others[answering])
                values.append(-math.log(hit / (hit + misses)))
            terms[f"{asking}_against_{name}"] = torch.tensor(sum(values) / len(values), dtype=torch.double)
    return terms


def highest(ranking: Tensor, features: Tensor) -> Tensor:
    return features[ranking.argsort(descending=True)[: len(ranking) // 16 + 1]]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))
