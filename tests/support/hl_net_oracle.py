"""HL-Net, snippet by snippet: written from the published facts, in float64, without batches or masks."""

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def weights_of(detector: torch.nn.Module) -> Weights:
    return {name: tensor.detach().double() for name, tensor in detector.state_dict().items()}


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return w[f"{name}.weight"] @ x + w[f"{name}.bias"]


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def softmax(row: list[Tensor]) -> Tensor:
    powers = torch.exp(torch.stack(row))
    return powers / powers.sum()


def convolved(w: Weights, name: str, x: list[Tensor], i: int, before: int) -> Tensor:
    """Return output i of a convolution whose first tap lies `before` snippets earlier."""
    kernel = w[f"{name}.weight"]
    out = w[f"{name}.bias"].clone()
    for tap in range(kernel.shape[2]):
        j = i - before + tap
        if 0 <= j < len(x):
            out = out + kernel[:, :, tap] @ x[j]
    return out


def graph(w: Weights, name: str, x: list[Tensor], edges: list[Tensor]) -> list[Tensor]:
    n = len(x)
    hidden = [
        sum(edges[i][j] * (x[j] @ w[f"{name}.first"]) for j in range(n)) + convolved(w, f"{name}.beside", x, i, 2)
        for i in range(n)
    ]
    hidden = [row.clamp(min=0) for row in hidden]
    out = [sum(edges[i][j] * (hidden[j] @ w[f"{name}.second"]) for j in range(n)) + hidden[i] for i in range(n)]
    return [row.clamp(min=0) for row in out]


def logits(w: Weights, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of the graphs and the online logits of one video [n, F], [n] each."""
    n = len(features)
    x = [linear(w, "second", linear(w, "first", f).clamp(min=0)).clamp(min=0) for f in features]
    heard = [
        linear(w, "approximator.second", linear(w, "approximator.first", row).clamp(min=0)).clamp(min=0) for row in x
    ]
    online = torch.cat([convolved(w, "approximator.last", heard, i, 4) for i in range(n)])

    def cosine(i: int, j: int) -> Tensor:
        value = features[i] @ features[j] / (features[i].norm() * features[j].norm())
        return value if value > 0.7 else 0 * value

    def close(i: int, j: int) -> Tensor:
        closeness = 1 - abs(sigmoid(online[i]) - sigmoid(online[j]))
        return 1 / (1 + torch.exp(-(closeness - 0.5) / 0.1))

    edges = {
        "similarity_graph": [softmax([cosine(i, j) for j in range(n)]) for i in range(n)],
        "distance_graph": [torch.tensor([math.exp(-abs(i - j) / math.e) for j in range(n)]).double() for i in range(n)],
        "score_graph": [softmax([close(i, j) for j in range(n)]) for i in range(n)],
    }
    branches = [graph(w, name, x, rows) for name, rows in edges.items()]
    return torch.cat([linear(w, "classifier", torch.cat(rows)) for rows in zip(*branches, strict=True)]), online


def losses(w: Weights, videos: list[Tensor], anomalous: list[bool]) -> dict[str, Tensor]:
    """Return every term over these videos."""
    terms = {"binary": torch.zeros(()).double(), "binary_online": torch.zeros(()).double()}
    terms["approximation"] = torch.zeros(()).double()
    for features, is_anomalous in zip(videos, anomalous, strict=True):
        z, c = logits(w, features)
        for name, values in (("binary", z), ("binary_online", c)):
            p = sigmoid(values.sort(descending=True).values[: len(values) // 16 + 1].mean())
            terms[name] -= torch.log(p if is_anomalous else 1 - p) / len(videos)
        terms["approximation"] -= (sigmoid(z) * torch.log(sigmoid(c))).mean() / len(videos)
    return terms
