"""UR-DMU, computed slowly and plainly from its weights and the published facts: the oracle of the detector.

Float64, one video at a time, a loop for each position, head and memory vector. Nothing here comes from the library.
"""

import math

import torch
from torch import Tensor

from tests.support.released_oracle import affine, conv, norm

Weights = dict[str, Tensor]


def encode(t: Weights, snippets: Tensor, heads: int, prefix: str = "encoder") -> Tensor:
    """Encode snippets [n, input width] as [n, width]."""
    x = conv(t, f"{prefix}.embed", snippets.double(), before=1, after=1).relu()
    layer = 0
    while f"{prefix}.layers.{layer}.expand.weight" in t:
        name = f"{prefix}.layers.{layer}"
        x = x + look_around(t, name, norm(t, f"{name}.attention_norm", x), heads)
        hidden = affine(t, f"{name}.expand", norm(t, f"{name}.mlp_norm", x))
        hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + affine(t, f"{name}.contract", hidden)
        layer += 1
    return x


def look_around(t: Weights, name: str, x: Tensor, heads: int) -> Tensor:
    n = len(x)
    query, key, value, beside = (x @ t[f"{name}.query_key_values.weight"].T).chunk(4, dim=1)
    size = query.shape[1] // heads
    near = [[math.exp(-abs(i - j) / math.e) for j in range(n)] for i in range(n)]
    near = [[near[i][j] / sum(near[k][j] for k in range(n)) for j in range(n)] for i in range(n)]
    rows = []
    for i in range(n):
        parts = []
        for head in range(heads):
            at = slice(head * size, (head + 1) * size)
            share = torch.exp(key[:, at] @ query[i, at] / math.sqrt(size))
            parts.append(share / share.sum() @ value[:, at])
            parts.append(sum(near[i][j] * beside[j, at] for j in range(n)))
        rows.append(torch.cat(parts))
    return affine(t, f"{name}.attention_out", torch.stack(rows))


def recall(t: Weights, memory: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return how well each position matches a memory [n], and the memory's answers [n, width]."""
    vectors = t[f"{memory}.vectors"]
    matches, answers = [], []
    for position in x:
        match = torch.stack([torch.sigmoid(position @ vector / math.sqrt(len(position))) for vector in vectors])
        matches.append(match.sort(descending=True).values[: len(vectors) // 16 + 1].mean())
        answers.append(sum(m * vector for m, vector in zip(match, vectors, strict=True)))
    return torch.stack(matches), torch.stack(answers)


def head(t: Weights, x: Tensor, remembered: Tensor) -> Tensor:
    hidden = affine(t, "head.0", torch.cat([x, remembered], dim=1)).relu()
    return torch.sigmoid(affine(t, "head.2", hidden))[:, 0]


def scores(t: Weights, video: Tensor, heads: int) -> Tensor:
    x = encode(t, video, heads)
    normal, anomalous = recall(t, "normal_memory", x)[1], recall(t, "anomaly_memory", x)[1]
    return head(t, x, affine(t, "mean", normal) + affine(t, "mean", anomalous))


def losses(
    t: Weights, normal: list[Tensor], anomalous: list[Tensor], noise: list[Tensor], heads: int, kl_over: str
) -> dict[str, Tensor]:
    """Return every term of as many normal as anomalous videos of any length; `noise` [n, width] for each normal one."""
    bag, terms, divergences = [], {"normal_recalled": [], "normal_not_anomalous": []}, []
    anchors, anchor_lengths = [], []
    for video, epsilon in zip(normal, noise, strict=True):
        x = encode(t, video, heads)
        (match, answer), (other_match, other_answer) = recall(t, "normal_memory", x), recall(t, "anomaly_memory", x)
        mean, log_variance = affine(t, "mean", answer), affine(t, "log_variance", answer)
        drawn = mean + epsilon * torch.sqrt(torch.exp(log_variance))
        bag.append(-torch.log(1 - top(head(t, x, drawn + affine(t, "mean", other_answer))).mean()))
        terms["normal_recalled"] += list(-torch.log(match))
        terms["normal_not_anomalous"] += list(-torch.log(1 - other_match))
        divergences.append(-0.5 * (1 + log_variance - mean**2 - torch.exp(log_variance)))
        chosen = match.argsort(descending=True)[: len(x) // 16 + 1]
        anchors.append(direction(x[chosen].mean(dim=0)))
        anchor_lengths.append(drawn[chosen].mean(dim=0).norm())
    found, missed, triplets, distances = [], [], [], []
    for video, anchor, length in zip(anomalous, anchors, anchor_lengths, strict=True):
        x = encode(t, video, heads)
        (match, answer), (other_match, other_answer) = recall(t, "anomaly_memory", x), recall(t, "normal_memory", x)
        remembered = affine(t, "mean", answer) + affine(t, "mean", other_answer)
        bag.append(-torch.log(top(head(t, x, remembered)).mean()))
        found.append(-torch.log(top(match).mean()))
        missed.append(-torch.log(top(1 - other_match).mean()))
        k = len(x) // 16 + 1
        positive = direction(x[other_match.argsort(descending=True)[:k]].mean(dim=0))
        chosen = match.argsort(descending=True)[:k]
        negative = direction(x[chosen].mean(dim=0))
        apart = (anchor - positive + 1e-6).norm() - (anchor - negative + 1e-6).norm()
        triplets.append(torch.clamp(apart + 1, min=0))
        answered = affine(t, "mean", answer)[chosen].mean(dim=0)
        distances.append(torch.clamp(100 - answered.norm() + length, min=0))
    if kl_over == "features":  # summed over features, averaged over snippets
        kl = torch.cat([part.sum(dim=1) for part in divergences]).mean()
    else:
        kl = torch.stack([part.sum(dim=0).mean() for part in divergences]).mean()
    lists = {**terms, "binary": bag, "anomaly_recalled": found, "anomaly_not_normal": missed}
    lists |= {"triplet": triplets, "distance": distances}
    return {name: torch.stack(values).mean() for name, values in lists.items()} | {"kl": kl}


def top(values: Tensor) -> Tensor:
    return values.sort(descending=True).values[: len(values) // 16 + 1]


def direction(x: Tensor) -> Tensor:
    return x / x.norm()
