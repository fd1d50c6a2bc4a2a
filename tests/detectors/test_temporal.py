"""The temporal model, the audio convolutions and the fusions against loops without masks or batches."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from avadclip.detectors.parts.fusion import FUSIONS
from avadclip.detectors.parts.graphs import GraphBranch, distance_edges, similarity_edges
from avadclip.detectors.parts.temporal import TemporalModel, window_attention, window_mask
from avadclip.detectors.parts.temporal_convolutions import AudioModel
from avadclip.detectors.parts.transformer import TransformerLayer
from avadclip.detectors.student import UncertaintyHead
from tests.support.gradients import assert_same, leaf

D = 6


def gelu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-1.702 * x))


def around_one_direction(b: int, n: int) -> Tensor:
    """Return snippets whose cosines lie on both sides of the similarity threshold of 0.7."""
    return (leaf(b, 1, D, seed=3, scale=1.5) + leaf(b, n, D, seed=4)).detach().requires_grad_()


def attention_slow(block: TransformerLayer, x: Tensor, window: int) -> Tensor:
    """Apply a transformer layer to one video [n, d], query by query."""
    normed = block.attention_norm(x)
    query, key, value = (normed @ w.T + b for w, b in thirds(block.query_key_value))
    rows = []
    for i in range(len(x)):
        first = i // window * window
        neighbours = range(first, min(first + window, len(x)))
        scores = torch.stack([query[i] @ key[j] / math.sqrt(D) for j in neighbours])
        weights = torch.exp(scores) / torch.exp(scores).sum()
        rows.append(sum(weight * value[j] for weight, j in zip(weights, neighbours, strict=True)))
    x = x + block.attention_out(torch.stack(rows))
    return x + block.mlp.contract(gelu(block.mlp.expand(block.mlp_norm(x))))


def thirds(linear: nn.Linear) -> list[tuple[Tensor, Tensor]]:
    return list(zip(linear.weight.split(D), linear.bias.split(D), strict=True))


def convolution_slow(convolution: nn.Conv1d, x: Tensor, before: int) -> Tensor:
    """Convolve one video [n, d], padded with `before` zeros at its start and zeros at its end."""
    (dilation,) = convolution.dilation
    rows = []
    for i in range(len(x)):
        row = convolution.bias
        for tap in range(convolution.weight.shape[2]):
            j = i - before + tap * dilation
            if 0 <= j < len(x):
                row = row + convolution.weight[:, :, tap] @ x[j]
        rows.append(row)
    return torch.stack(rows)


def similarity_slow(x: Tensor) -> Tensor:
    n = len(x)
    rows = []
    for i in range(n):
        cosines = [(x[i] @ x[j]) / (x[i].norm() * x[j].norm()) for j in range(n)]
        kept = torch.stack([cosine if cosine > 0.7 else cosine * 0 for cosine in cosines])
        rows.append(torch.exp(kept) / torch.exp(kept).sum())
    return torch.stack(rows)


def graph_slow(graph: GraphBranch, x: Tensor, edges: Tensor) -> Tensor:
    n = len(x)
    first = torch.stack([sum(edges[i, j] * (x[j] @ graph.first) for j in range(n)) for i in range(n)])
    hidden = gelu(first + convolution_slow(graph.beside, x, before=2))
    second = torch.stack([sum(edges[i, j] * (hidden[j] @ graph.second) for j in range(n)) for i in range(n)])
    return gelu(second + hidden)


@pytest.mark.parametrize(("n", "window"), [(8, 4), (7, 4), (3, 4), (5, 1), (6, 6)])
def test_local_attention(n: int, window: int) -> None:
    block, x = TransformerLayer(D).double(), leaf(2, n, D)
    assert_same(
        lambda: block(x, partial(window_attention, allowed=window_mask(x, None, window), window=window)),
        lambda: torch.stack([attention_slow(block, video, window) for video in x]),
        [x, *block.parameters()],
    )


def test_similarity_graph_within_the_valid_length() -> None:
    x = around_one_direction(2, 6)
    valid = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])

    def slow() -> Tensor:
        short = torch.zeros(6, 6, dtype=torch.float64)
        short[:4, :4] = similarity_slow(x[1, :4])
        return torch.stack([similarity_slow(x[0]), short])

    expected = slow()
    assert (expected[0] < expected[0].max() / 1.5).any()  # some pairs are no edge, so the threshold has an effect
    assert_same(lambda: similarity_edges(x, valid), slow, [x])


def test_distance_graph() -> None:
    slow = torch.tensor([[math.exp(-abs(i - j) / math.e) for j in range(5)] for i in range(5)], dtype=torch.float64)
    torch.testing.assert_close(distance_edges(leaf(1, 5, D)), slow)


def test_graph_branch() -> None:
    graph, x, edges = GraphBranch(D, D // 2).double(), leaf(2, 5, D), leaf(2, 5, 5, seed=1)
    assert_same(
        lambda: graph(x, edges, None),
        lambda: torch.stack([graph_slow(graph, video, adjacency) for video, adjacency in zip(x, edges, strict=True)]),
        [x, edges, *graph.parameters()],
    )


@pytest.mark.parametrize("mask_padding", [True, False])
def test_temporal_model(mask_padding: bool) -> None:
    model = TemporalModel(D, 3, max_snippets=8, n_layers=2, window=4).double()
    x, lengths = around_one_direction(2, 8), [8, 5]
    valid = torch.arange(8) < torch.tensor(lengths)[:, None]

    def slow_video(snippets: Tensor, n: int) -> Tensor:
        # Without masking, the local transformer, the distance graph and the convolutions go on into the padding.
        within = n if mask_padding else len(snippets)
        y = snippets[:within] + model.positions[:within]
        for block in model.local:
            y = attention_slow(block, y, 4)
        edges = torch.zeros(within, within, dtype=torch.float64)
        edges[:n, :n] = similarity_slow(y[:n])
        distances = torch.tensor(
            [[math.exp(-abs(i - j) / math.e) for j in range(within)] for i in range(within)], dtype=torch.float64
        )
        both = [graph_slow(model.similarity_graph, y, edges), graph_slow(model.distance_graph, y, distances)]
        return model.linear(torch.cat(both, dim=1))[:n]

    assert_same(
        lambda: model(x, valid, valid if mask_padding else None)[valid],
        lambda: torch.cat([slow_video(video, n) for video, n in zip(x, lengths, strict=True)]),
        [x, *model.parameters()],
    )


@pytest.mark.parametrize("width_out", [D, 4])
def test_audio_model(width_out: int) -> None:
    model, x = AudioModel(D, width_out, n_levels=3, dropout=0.1).double().eval(), leaf(2, 9, D)

    def slow_video(snippets: Tensor) -> Tensor:
        for level, dilation in zip(model.levels, (1, 2, 4), strict=True):
            hidden = snippets
            for convolution in (level.first, level.second):
                hidden = convolution_slow(convolution, hidden, before=dilation).clamp(min=0)
            beside = (
                snippets if isinstance(level.shortcut, nn.Identity) else convolution_slow(level.shortcut, snippets, 0)
            )
            snippets = (hidden + beside).clamp(min=0)
        return snippets

    assert_same(lambda: model(x), lambda: torch.stack([slow_video(video) for video in x]), [x, *model.parameters()])


def test_uncertainty_head() -> None:
    head, x = UncertaintyHead(D).double(), leaf(2, 5, D)

    def slow_video(snippets: Tensor) -> Tensor:
        hidden = convolution_slow(head.neighbours, head.inner(snippets).clamp(min=0), before=1)
        return -(snippets + head.outer(hidden).clamp(min=0))

    assert_same(lambda: head(x, None), lambda: torch.stack([slow_video(v) for v in x]), [x, *head.parameters()])


def fuse_slow(name: str, fusion: nn.Module, visual: Tensor, audio: Tensor, heard: Tensor) -> Tensor:
    """Fuse one snippet after the other."""
    rows = []
    for v, a in zip(visual, audio, strict=True):
        both = torch.cat([v, a])
        if name == "adaptive":
            z = fusion.residual_in(both)
            residual = fusion.residual_out(z * 0.5 * (1 + torch.erf(z / math.sqrt(2))))
            rows.append(v + residual / (1 + torch.exp(-fusion.gate(both))))
        elif name == "add":
            rows.append(v + a)
        elif name == "concat_linear":
            rows.append(fusion.linear.weight @ both + fusion.linear.bias)
        else:
            keys, values = (audio[heard] @ w.T + b for w, b in halves(fusion.key_value))
            weights = torch.softmax(keys @ fusion.query(v) / math.sqrt(D), dim=0)
            rows.append(v + fusion.out(weights @ values))
    return torch.stack(rows)


def halves(linear: nn.Linear) -> list[tuple[Tensor, Tensor]]:
    return list(zip(linear.weight.split(D), linear.bias.split(D), strict=True))


@pytest.mark.parametrize("name", FUSIONS)
def test_fusion(name: str) -> None:
    fusion, visual, audio = FUSIONS[name](D).double(), leaf(2, 5, D), leaf(2, 5, D, seed=1)
    heard = torch.tensor([[True] * 5, [True, False, True, True, False]])
    assert_same(
        lambda: fusion(visual, audio, heard),
        lambda: torch.stack([fuse_slow(name, fusion, *video) for video in zip(visual, audio, heard, strict=True)]),
        [visual, audio, *fusion.parameters()],
    )
