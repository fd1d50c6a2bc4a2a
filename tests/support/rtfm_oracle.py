"""RTFM and CLIP-TSA's gate, snippet by snippet: written from the published facts, in float64.

A batch is a list of rows [n, F], one for each view of a video; the `views` rows of a video follow each other.
"""

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Rows = list[Tensor]


def weights_of(detector: torch.nn.Module) -> Weights:
    return {name: tensor.detach().double() for name, tensor in detector.state_dict().items()}


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return torch.stack([w[f"{name}.weight"] @ snippet + w[f"{name}.bias"] for snippet in x])


def convolved(w: Weights, name: str, x: Tensor, dilation: int = 1) -> Tensor:
    kernel, out = w[f"{name}.weight"], []
    for i in range(len(x)):
        total = w.get(f"{name}.bias", torch.zeros(len(kernel)).double()).clone()
        for tap in range(kernel.shape[2]):
            j = i + (tap - kernel.shape[2] // 2) * dilation
            if 0 <= j < len(x):
                total = total + kernel[:, :, tap] @ x[j]
        out.append(total)
    return torch.stack(out)


def normed(w: Weights, name: str, rows: Rows, training: bool) -> Rows:
    """Normalise by the statistics of all snippets in the batch or, outside training, by the running ones."""
    together = torch.cat(rows)
    mean = together.mean(dim=0) if training else w[f"{name}.running_mean"]
    variance = ((together - mean) ** 2).mean(dim=0) if training else w[f"{name}.running_var"]
    scale = w[f"{name}.weight"] / torch.sqrt(variance + 1e-5)
    return [(row - mean) * scale + w[f"{name}.bias"] for row in rows]


def non_local(w: Weights, name: str, rows: Rows, training: bool) -> Rows:
    attended = []
    for row in rows:
        query, key, value = (convolved(w, f"{name}.{part}", row) for part in ("query", "key", "value"))
        n = len(row)
        attended.append(torch.stack([sum((query[i] @ key[j]) * value[j] for j in range(n)) / n for i in range(n)]))
    out = normed(w, f"{name}.norm", [convolved(w, f"{name}.out", row) for row in attended], training)
    return [a + row for a, row in zip(out, rows, strict=True)]


def temporal(w: Weights, rows: Rows, training: bool) -> Rows:
    parts = []
    for level, dilation in enumerate((1, 2, 4)):
        name = f"temporal.pyramid.{level}"
        hidden = [convolved(w, f"{name}.convolution", row, dilation).clamp(min=0) for row in rows]
        parts.append(normed(w, f"{name}.norm", hidden, training))
    reduced = [convolved(w, "temporal.reduce", row).clamp(min=0) for row in rows]
    parts.append(non_local(w, "temporal.attention", reduced, training))
    fused = [convolved(w, "temporal.fuse", torch.cat(four, dim=1)).clamp(min=0) for four in zip(*parts, strict=True)]
    return [a + row for a, row in zip(normed(w, "temporal.norm", fused, training), rows, strict=True)]


def detect(w: Weights, rows: Rows, training: bool) -> tuple[Rows, Rows]:
    """Return features [n, F] and scores [n] of each row."""
    features = temporal(w, rows, training)
    hidden = [linear(w, "second", linear(w, "first", x).clamp(min=0)).clamp(min=0) for x in features]
    return features, [1 / (1 + torch.exp(-linear(w, "last", x)[:, 0])) for x in hidden]


def losses(w: Weights, rows: Rows, anomalous: list[bool], views: int, across: bool) -> dict[str, Tensor]:
    """Return every term in training mode; `anomalous` has one value for each video."""
    features, scores = detect(w, rows, training=True)
    videos = [range(first, first + views) for first in range(0, len(rows), views)]
    mean_scores = [torch.stack([scores[row] for row in video]).mean(dim=0) for video in videos]
    chosen = []
    for video in videos:
        magnitude = torch.stack([torch.stack([s.norm() for s in features[row]]) for row in video]).mean(dim=0)
        chosen.append(sorted(range(len(magnitude)), key=lambda i: -float(magnitude[i]))[:3])
    binary = torch.zeros(()).double()
    for score, top, is_anomalous in zip(mean_scores, chosen, anomalous, strict=True):
        p = sum(score[i] for i in top) / len(top)
        binary -= torch.log(p if is_anomalous else 1 - p) / len(videos)
    lengths = [
        [sum(features[row][i] for i in top).norm() / len(top) for row in video]
        for video, top in zip(videos, chosen, strict=True)
    ]
    pairs = zip(
        [length for length, is_anomalous in zip(lengths, anomalous, strict=True) if is_anomalous],
        [length for length, is_anomalous in zip(lengths, anomalous, strict=True) if not is_anomalous],
        strict=True,
    )
    distances = [(abs(100 - a) + b) ** 2 for of_a, of_b in pairs for a, b in zip(of_a, of_b, strict=True)]
    shown = [score for score, is_anomalous in zip(mean_scores, anomalous, strict=True) if is_anomalous]
    stretches = [torch.cat(shown)] if across else shown
    return {
        "binary": binary,
        "magnitude": sum(distances) / len(distances),
        "smooth": sum((s[i] - s[i + 1]) ** 2 for s in stretches for i in range(len(s) - 1)),
        "sparse": torch.sqrt(sum((s**2).sum() for s in shown)),
    }


def gate(w: Weights, row: Tensor, draws: Tensor, kept: float) -> Tensor:
    """Weight snippets [n, F] by how often each is among the int(kept * n) best under the noise `draws` [draws, n]."""
    hidden = linear(w, "gate.first", row).clamp(min=0)
    relevance = 1 / (1 + torch.exp(-linear(w, "gate.last", hidden)[:, 0]))
    k = max(1, int(kept * len(row)))
    counts = [0] * len(row)
    for draw in draws.double():
        order = sorted(range(len(row)), key=lambda i: -float(relevance[i] + 0.05 * draw[i]))
        for i in order[:k]:
            counts[i] += 1
    return torch.stack([snippet * (count / len(draws)) for snippet, count in zip(row, counts, strict=True)])
