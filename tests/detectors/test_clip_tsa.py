"""CLIP-TSA's gate against a slow oracle; its gradient, its scores without randomness, and its recipe."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.parts.soft_top_k import SnippetGate, shares_of_top_k
from avadclip.detectors.protocol import Detector, Dimensions
from avadclip.detectors.registry import build, settings_of
from tests.support import rtfm_oracle as oracle
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

N = 9
PLAIN = {"dropout": 0.0, "ignored": 0.0, "hidden": [10, 6], "n_draws": 20}


def build_it(**values: object) -> Detector:
    settings = settings_of("clip_tsa", {**PLAIN, **values})
    torch.manual_seed(0)
    return build("clip_tsa", settings, Dimensions({"visual": WIDTHS["visual"]}, len(CLASSES), 32))


def test_scores_by_hand() -> None:
    detector = build_it().eval()
    batch = random_batch([N, 4, 1], N)
    weights = oracle.weights_of(detector)
    draws = detector.gate.draws(batch.n_snippets, N)
    rows = [
        oracle.gate(weights, row[:n].double(), drawn[:, :n], 0.9)
        for row, n, drawn in zip(batch.visual, batch.n_snippets.tolist(), draws, strict=True)
    ]
    _, expected = oracle.detect(weights, rows, training=False)
    found = detector.scores(detector(batch), batch).anomaly
    for row, wanted in zip(found, expected, strict=True):
        assert_close(row[: len(wanted)].double(), wanted, rtol=0, atol=1e-5)  # float32 against float64


def test_a_video_has_one_score_whatever_is_beside_it() -> None:
    detector = build_it().eval()
    batch = random_batch([N, 4], N)
    alone = replace(batch, visual=batch.visual[1:, :4], audio=None, audio_valid=None, n_snippets=batch.n_snippets[1:])
    torch.manual_seed(1)
    together = detector(batch).anomaly_logits[1, :4]
    torch.manual_seed(2)
    assert_close(detector(alone).anomaly_logits[0], together)


def test_training_draws_anew() -> None:
    gate = SnippetGate(4, kept=0.5, n_draws=30, noise=0.5, most=None)
    lengths = torch.tensor([N])
    assert not torch.equal(gate.draws(lengths, N), gate.draws(lengths, N))
    gate.eval()
    assert torch.equal(gate.draws(lengths, N), gate.draws(lengths, N))


@pytest.mark.parametrize(("kept", "most", "expected"), [(0.9, None, 8), (0.01, None, 1), (0.9, 3, 3)])
def test_how_many_are_let_through(kept: float, most: int | None, expected: int) -> None:
    gate = SnippetGate(4, kept=kept, n_draws=30, noise=0.5, most=most).eval()
    passed = gate(torch.ones(2, N, 4), torch.tensor([N, N]))
    assert_close(passed[:, :, 0].sum(dim=1), torch.full((2,), float(expected)))
    if most is not None:  # a limit in testing only
        assert gate.train()(torch.ones(1, N, 4), torch.tensor([N]))[0, :, 0].sum().item() == pytest.approx(8)


def test_gradient_by_loops() -> None:
    """The gradient is the sum over the draws of chosen x (draw . gradient), divided by draws x noise."""
    random = torch.Generator().manual_seed(0)
    scores = torch.rand(2, N, generator=random).requires_grad_()
    draws, gradient = torch.randn(2, 7, N, generator=random), torch.randn(2, N, generator=random)
    lengths, k = [N, 5], torch.tensor([6, 2])
    valid = torch.arange(N) < torch.tensor(lengths)[:, None]
    shares = shares_of_top_k(scores.masked_fill(~valid, -torch.inf), draws, 0.3, k)
    shares.backward(gradient * valid)
    for video, n in enumerate(lengths):
        expected = [0.0] * N
        for draw in draws[video]:
            disturbed = [float(scores.detach()[video, i] + 0.3 * draw[i]) for i in range(n)]
            along = sum(float(draw[i] * gradient[video, i]) for i in range(n))
            for i in sorted(range(n), key=lambda i: -disturbed[i])[: int(k[video])]:
                expected[i] += along / (7 * 0.3)
        assert_close(scores.grad[video], torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_gradient_is_that_of_the_probability() -> None:
    """Of two snippets, the first is best with probability Phi(difference / (noise sqrt 2))."""
    scores, noise, n_draws = torch.tensor([[0.55, 0.5]], requires_grad=True), 0.05, 200_000
    draws = torch.randn(1, n_draws, 2, generator=torch.Generator().manual_seed(0))
    share: Tensor = shares_of_top_k(scores, draws, noise, torch.tensor([1]))
    z = 0.05 / (noise * math.sqrt(2))
    # a standard deviation is 0.001 for the share, and about 0.05 for the gradient
    assert share[0, 0].item() == pytest.approx(0.5 * (1 + math.erf(z / math.sqrt(2))), abs=0.005)
    share[0, 0].backward()
    slope = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / (noise * math.sqrt(2))
    assert scores.grad[0].tolist() == pytest.approx([slope, -slope], abs=0.3)


def test_features_wider_than_512_can_be_reduced_as_released() -> None:
    detector = build_it(reduction=True).eval()
    assert detector.gate.first.in_features == detector.first.in_features == 512
    batch = random_batch([N], N)
    hidden = torch.relu(batch.visual @ detector.reduction[0].weight.T + detector.reduction[0].bias)
    reduced = torch.sigmoid(hidden @ detector.reduction[2].weight.T + detector.reduction[2].bias)
    expected = detector.temporal(detector.gate(reduced, batch.n_snippets), None)
    assert_close(detector(batch).features, expected)


def test_published_recipe() -> None:
    settings = settings_of("clip_tsa", {})
    recipe = settings.recipe
    assert (settings.kept, settings.n_draws, settings.noise) == (0.9, 100, 0.05)
    assert (recipe.batches, recipe.batch_size) == ("pairs", 16)
    assert (recipe.bag.kind, recipe.bag.length) == ("resample", 32)
    assert recipe.rounds * (recipe.steps_per_round or 0) == 4_000
    assert recipe.loss_weights == {"binary": 1.0, "magnitude": 1e-4, "smooth": 8e-4, "sparse": 8e-3}
