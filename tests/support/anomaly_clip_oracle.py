"""AnomalyCLIP, computed slowly and plainly from its weights and the published facts: the oracle of the detector.

Float64, one video at a time, loops over the grid of segments and snippets. Nothing here comes from the library.
"""

import math

import torch
from torch import Tensor

from tests.support.released_oracle import affine, norm

Weights = dict[str, Tensor]
Grid = Tensor  # [segments, snippets, ...]


def grids(video: Tensor, segments: int, snippets: int) -> list[Grid]:
    """Make a grid for each pass, which takes a part of each block of the video; the video is repeated to fill them."""
    n_passes = math.ceil(len(video) / (segments * snippets))
    found = []
    for turn in range(n_passes):
        rows = [
            [video[((segment * n_passes + turn) * snippets + i) % len(video)] for i in range(snippets)]
            for segment in range(segments)
        ]
        found.append(torch.stack([torch.stack(row) for row in rows]))
    return found


def directions(t: Weights, embeddings: Tensor) -> Tensor:
    """Return unit vectors [C - 1, d] that point away from the mean of normal features."""
    away = embeddings.double() - mean(t)
    return torch.stack([row / row.norm() for row in away])


def mean(t: Weights) -> Tensor:
    return t["normal_mean"] @ t["align.weight"].T


def relative(t: Weights, grid: Grid) -> Grid:
    return grid.double() @ t["align.weight"].T - mean(t)


def logits(t: Weights, x: Grid, heads: int) -> Grid:
    """Return logits [segments, snippets] of features relative to the mean."""
    x = affine(t, "project", x) + t["encoder.segment_positions"] + t["encoder.snippet_positions"]
    name = "encoder.layers.0"
    first = second = x
    first = first + along(t, f"{name}.along_segments", second.transpose(0, 1), heads).transpose(0, 1)
    second = second + along(t, f"{name}.along_snippets", first, heads)
    first = first + around(t, f"{name}.around_first", second)
    second = second + around(t, f"{name}.around_second", first)
    return affine(t, "head.1", norm_last(t, "head.0", (first + second) / 2))[..., 0]


def along(t: Weights, name: str, rows: Tensor, heads: int) -> Tensor:
    """Attention within each row of [rows, n, d]."""
    found = []
    for row in rows:
        x = norm(t, f"{name}.norm", row)
        query = x @ t[f"{name}.query.weight"].T
        key, value = (x @ t[f"{name}.key_value.weight"].T).chunk(2, dim=1)
        size = query.shape[1] // heads
        mixed = torch.empty_like(query)
        for head in range(heads):
            at = slice(head * size, (head + 1) * size)
            for i in range(len(x)):
                share = torch.exp(key[:, at] @ query[i, at] / math.sqrt(size))
                mixed[i, at] = share / share.sum() @ value[:, at]
        found.append(affine(t, f"{name}.out", mixed))
    return torch.stack(found)


def around(t: Weights, name: str, grid: Grid) -> Grid:
    hidden = convolve(t, f"{name}.expand", norm_last(t, f"{name}.norm", grid))
    return convolve(t, f"{name}.contract", torch.where(hidden > 0, hidden, 0.01 * hidden))


def convolve(t: Weights, name: str, grid: Grid) -> Grid:
    weight, rows = t[f"{name}.weight"], []
    for i in range(len(grid)):
        for j in range(grid.shape[1]):
            found = t[f"{name}.bias"].clone()
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    if 0 <= i + di < len(grid) and 0 <= j + dj < grid.shape[1]:
                        found = found + weight[:, :, di + 1, dj + 1] @ grid[i + di, j + dj]
            rows.append(found)
    return torch.stack(rows).view(*grid.shape[:2], -1)


def norm_last(t: Weights, name: str, grid: Grid) -> Grid:
    return torch.stack([norm(t, name, row) for row in grid])


def normalised(similar: list[Grid]) -> list[Grid]:
    """Normalise each class over all positions of all videos."""
    everything = torch.cat([x.reshape(-1, x.shape[-1]) for x in similar])
    centre, spread = everything.mean(dim=0), everything.var(dim=0, unbiased=False)
    return [(x - centre) / torch.sqrt(spread + 1e-5) for x in similar]


def losses(confidence: list[Grid], similar: list[Grid], classes: list[int], k: int) -> dict[str, Tensor]:
    """Return each term for one grid a video, unmasked; `similar` [segments, snippets, C - 1]; class 0 is normal."""
    lists: dict[str, list[Tensor]] = {
        name: []
        for name in (
            *("direction_anomalous", "direction_normal", "highest_anomalous", "lowest_anomalous", "highest_normal"),
            *("sparse", "smooth"),
        )
    }
    for p, s, label in zip(confidence, similar, classes, strict=True):
        if not label:
            lists["direction_normal"] += list(s.amax(dim=2).flatten())
            for segment in s.sum(dim=(1, 2)).argsort(descending=True)[:k]:
                lists["highest_normal"] += list(-torch.log(1 - p[segment]))
            continue
        own = s[:, :, label - 1]
        share = torch.exp(own) / torch.exp(s).sum(dim=2)
        ranked = own.sum(dim=1).argsort(descending=True)
        for segment in ranked[:k]:
            lists["direction_anomalous"] += list(-own[segment])
            lists["highest_anomalous"] += list(-torch.log(p[segment] * share[segment]))
        for segment in ranked[-k:]:
            lists["lowest_anomalous"] += list(-torch.log(1 - p[segment]))
        lists["sparse"] += list(p.flatten())
        lists["smooth"].append(sum((a - b) ** 2 for a, b in zip(p.flatten()[1:], p.flatten()[:-1], strict=True)))
    found = {name: torch.stack(values).mean() for name, values in lists.items()}
    return found | {"smooth": torch.stack(lists["smooth"]).sum()}
