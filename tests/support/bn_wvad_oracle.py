"""BN-WVAD, computed slowly and plainly from its weights and the published facts: the oracle of the detector.

Float64, loops over videos and snippets. Nothing here comes from the library.
"""

import torch
from torch import Tensor

from tests.support.released_oracle import affine
from tests.support.ur_dmu_oracle import encode

Weights = dict[str, Tensor]


def head(t: Weights, x: Tensor, first_stats: tuple[Tensor, Tensor], second_stats: tuple[Tensor, Tensor]) -> Tensor:
    """Return sigmoids [m] of features [m, d]; each layer normalises with its statistics, a mean and a variance."""
    hidden = normalise(t, "first_norm", affine(t, "first", x), *first_stats).clamp(min=0)
    hidden = normalise(t, "second_norm", affine(t, "second", hidden), *second_stats).clamp(min=0)
    return torch.sigmoid(affine(t, "last", hidden))[:, 0]


def normalise(t: Weights, name: str, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return (x - mean) / torch.sqrt(variance + 1e-5) * t[f"{name}.weight"] + t[f"{name}.bias"]


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(dim=0), ((x - x.mean(dim=0)) ** 2).mean(dim=0)


def running(t: Weights, name: str) -> tuple[Tensor, Tensor]:
    return t[f"{name}.running_mean"], t[f"{name}.running_var"]


def distances(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return torch.stack(
        [torch.sqrt(sum((a - m) ** 2 / v for a, m, v in zip(row, mean, variance, strict=True))) for row in x]
    )


def scores(t: Weights, video: Tensor, heads: int) -> Tensor:
    """Return the scores in evaluation mode, which have no upper bound."""
    x = encode(t, video, heads)
    stats = running(t, "first_norm"), running(t, "second_norm")
    first = affine(t, "first", x)
    second = affine(t, "second", normalise(t, "first_norm", first, *stats[0]).clamp(min=0))
    return (distances(first, *stats[0]) + distances(second, *stats[1])) * head(t, x, *stats)


def losses(t: Weights, normal: list[Tensor], anomalous: list[Tensor], heads: int) -> tuple[dict[str, Tensor], Weights]:
    """Return the terms of a training step (with as many normal as anomalous videos) and the new running statistics."""
    encoded = [encode(t, video, heads) for video in [*normal, *anomalous]]
    x = torch.cat(encoded)
    first = affine(t, "first", x)
    second = affine(t, "second", normalise(t, "first_norm", first, *statistics(first)).clamp(min=0))
    sigmoids = head(t, x, statistics(first), statistics(second))
    after: Weights = {}
    terms = {}
    sizes = [len(video) for video in encoded]
    for name, values in (("first", first), ("second", second)):
        mean, variance = statistics(values)
        unbiased = variance * len(values) / (len(values) - 1)
        after[f"{name}_norm.running_mean"] = 0.9 * t[f"{name}_norm.running_mean"] + 0.1 * mean
        after[f"{name}_norm.running_var"] = 0.9 * t[f"{name}_norm.running_var"] + 0.1 * unbiased
        far = distances(values, *running(after, f"{name}_norm")).split(sizes)
        terms[f"{name}_triplet"] = triplet(list(far[: len(normal)]), list(far[len(normal) :]))
    lengths = [torch.sqrt((video**2).sum()) for video in sigmoids.split(sizes)[: len(normal)]]
    return terms | {"normal": torch.stack(lengths).mean()}, after


def triplet(normal: list[Tensor], anomalous: list[Tensor]) -> Tensor:
    everything = sorted((float(d), v, i) for v, video in enumerate(anomalous) for i, d in enumerate(video))[::-1]
    chosen = {(v, i) for _, v, i in everything[: int(0.4 * len(everything))]}
    for v, video in enumerate(anomalous):
        chosen |= {(v, int(i)) for i in video.argsort(descending=True)[: int(0.2 * len(video))]}
    far = [anomalous[v][i] for v, i in sorted(chosen)]
    descending = [video.sort(descending=True).values for video in normal]
    in_turns = [video[i] for i in range(max(map(len, descending))) for video in descending if i < len(video)]
    return torch.stack([torch.clamp(near - d + 1, min=0) for near, d in zip(in_turns, far, strict=False)]).mean()
