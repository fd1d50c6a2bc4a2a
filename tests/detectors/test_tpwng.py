"""TPWNG against a slow oracle, written from the published facts: its transformer, its pseudo labels, its hinges."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors import tpwng
from avadclip.detectors.protocol import Detector, Dimensions, Targets
from avadclip.detectors.registry import build, settings_of
from tests.support.training_factory import CLASSES, EMBEDDING, TEXT_WIDTH, WIDTHS, random_batch, text_tower

LENGTHS = [20, 33, 9, 14]
LABELS = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]])
HEADS, REACH = 2, 8


def build_it(**values: object) -> Detector:
    torch.manual_seed(0)
    settings = settings_of("tpwng", {"layers": 2, "heads": HEADS, "reach": REACH, **values})
    sizes = Dimensions(dict(WIDTHS), len(CLASSES), 33, EMBEDDING, TEXT_WIDTH, 77)
    detector = build("tpwng", settings, sizes, text_tower())
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return detector.train()


def double(detector: Detector) -> dict[str, Tensor]:
    return {name: x.double() for name, x in detector.state_dict().items()}


def normed(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    scaled = (x - x.mean()) / torch.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def class_embeddings(weights: dict[str, Tensor]) -> Tensor:
    """Embed each name after 8 vectors, at the tower's full length, and apply the learned projection."""
    tower, rows = text_tower(), []
    for tokens in tower.token_ids:
        embedded = tower.token_embedding[tokens]
        line = torch.cat([embedded[:1], weights["prompts.context"].float()[1:9], embedded[1:-8]])
        at_end = tower.at_end(line[None], tokens.argmax()[None] + 8)[0]
        rows.append(at_end.double() @ weights["prompts.projection"])
    return torch.stack(rows)


def attended(weights: dict[str, Tensor], name: str, x: list[Tensor]) -> list[Tensor]:
    """Attend to the past, per snippet and head; weights shrink by how far a snippet lies beyond the span."""
    width, found = EMBEDDING // HEADS, []
    parts = [
        linear(weights, f"{name}.layer.query_key_value", normed(weights, f"{name}.layer.attention_norm", row))
        for row in x
    ]
    for i in range(len(x)):
        spans = REACH * torch.sigmoid(linear(weights, f"{name}.span", x[i]))
        answer = []
        for head in range(HEADS):
            query, key, value = (
                slice(p * EMBEDDING + head * width, p * EMBEDDING + (head + 1) * width) for p in range(3)
            )
            share = [
                min(max((REACH + spans[head] - (i - j)) / REACH, torch.tensor(0.0)), torch.tensor(1.0))
                * torch.exp(parts[i][query] @ parts[j][key] / math.sqrt(width))
                for j in range(i + 1)
            ]
            answer.append(sum(share[j] * parts[j][value] for j in range(i + 1)) / sum(share))
        found.append(torch.cat(answer))
    return found


def scored(weights: dict[str, Tensor], snippets: Tensor) -> Tensor:
    x = list(snippets)
    for number in range(2):
        name = f"layers.{number}"
        found = attended(weights, name, x)
        x = [row + linear(weights, f"{name}.layer.attention_out", one) for row, one in zip(x, found, strict=True)]
        hidden = [
            linear(weights, f"{name}.layer.mlp.expand", normed(weights, f"{name}.layer.mlp_norm", row)) for row in x
        ]
        hidden = [h / (1 + torch.exp(-1.702 * h)) for h in hidden]
        x = [row + linear(weights, f"{name}.layer.mlp.contract", h) for row, h in zip(x, hidden, strict=True)]
    logits = [linear(weights, "head.1", normed(weights, "head.0", row)) for row in x]
    return torch.sigmoid(torch.cat(logits))


def cosines(x: Tensor, direction: Tensor) -> Tensor:
    return x @ direction / x.norm(dim=1) / direction.norm()


def stretched(x: Tensor) -> Tensor:
    return (x - x.min()) / (x.max() - x.min())


def terms_by_hand(weights: dict[str, Tensor], videos: list[Tensor], scores: list[Tensor]) -> dict[str, Tensor]:
    classes = class_embeddings(weights)
    seen = []
    for video in videos[:2]:  # the normal ones
        likeness = torch.exp(cosines(video, classes[0]))
        seen.append(likeness @ video / likeness.sum())
    hidden = torch.relu(linear(weights, "guide.0", torch.cat([classes[0], (seen[0] + seen[1]) / 2])))
    texts = [classes[0] + linear(weights, "guide.2", hidden), classes[1], classes[2]]
    alike = [[cosines(video, text) for text in texts] for video in videos]
    normal = [max(0, 1 - alike[v][0].max() + max(alike[v][1].max(), alike[v][2].max())) for v in (0, 1)]
    # The third video is of class 1, the fourth of both, so that it has no other class to be kept from.
    own = [alike[2][1], torch.maximum(alike[3][1], alike[3][2])]
    other = alike[2][2].max()
    hinge = torch.relu
    terms = {
        "rank_normal": sum(normal) / 2,
        "rank_background": hinge(1 - alike[2][0].max() + other) / 2,
        "rank_own": hinge(1 - own[0].max() + other) / 2,
    }
    errors = [-torch.log(1 - scores[v]).mean() for v in (0, 1)]
    opposite, smooth, sparse = [], [], []
    for v, likeness in zip((2, 3), own, strict=True):
        abnormal, ordinary = stretched(likeness), stretched(alike[v][0])
        labels = stretched(0.2 * ordinary + 0.8 * (1 - abnormal)) < 0.35
        assert labels.any()
        assert not labels.all()
        errors.append(-torch.where(labels, torch.log(scores[v]), torch.log(1 - scores[v])).mean())
        opposite.append(abnormal @ ordinary / abnormal.norm() / ordinary.norm())
        smooth.append(sum((abnormal[t] - abnormal[t + 1]) ** 2 for t in range(len(abnormal) - 1)))
        sparse.append(abnormal.sum())
    means = {"pseudo": errors, "opposite": opposite, "smooth": smooth, "sparse": sparse}
    return terms | {name: sum(values) / len(values) for name, values in means.items()}


def test_scores_and_terms_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpwng, "QUERIES", 12)  # of 33: several stretches, the last one short
    detector = build_it()
    weights = double(detector)
    batch = random_batch(LENGTHS, 33)
    assert batch.visual is not None
    videos = [batch.visual[v, :n].double() @ weights["align.weight"].T for v, n in enumerate(LENGTHS)]
    scores = [scored(weights, video) for video in videos]
    output = detector(batch)
    for v, n in enumerate(LENGTHS):
        found = detector.scores(output, batch).anomaly[v, :n]
        assert_close(found.double(), scores[v], rtol=0, atol=1e-5)  # float32 against float64
    terms = detector.losses(output, batch, Targets(LABELS))
    expected = terms_by_hand(weights, videos, scores)
    assert terms.keys() == expected.keys() == settings_of("tpwng", {}).recipe.loss_weights.keys()
    for name, value in expected.items():
        assert_close(terms[name].double(), value, rtol=1e-4, atol=0, msg=lambda text, name=name: f"{name}: {text}")


def test_no_snippet_sees_the_future_or_beyond_twice_the_reach() -> None:
    detector = build_it(layers=1).eval()
    batch = random_batch([33], 33)
    assert batch.visual is not None
    batch.visual.requires_grad_(True)
    detector(batch).anomaly_logits[0, 25].backward()
    reached = (batch.visual.grad[0].abs().sum(dim=1) > 0).nonzero().flatten().tolist()
    assert max(reached) == 25
    assert 25 - 2 * REACH < min(reached) <= 25 - REACH


@pytest.mark.parametrize(
    "labels", [[[1.0, 0, 0]] * 2, [[0, 1.0, 0]] * 2, [[1.0, 0, 0], [0, 0, 1.0]], [[0, 1.0, 1.0], [1.0, 0, 0]]]
)
def test_any_batch_has_finite_gradients(labels: list[list[float]]) -> None:
    detector = build_it()
    batch = random_batch([1, 9], 33)
    terms = detector.losses(detector(batch), batch, Targets(torch.tensor(labels)))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)


def test_prompts_are_for_training_alone() -> None:
    names = build_it().inference_state()
    assert any(name.startswith("layers.") for name in names)
    assert not any(name.startswith(("prompts.", "guide.")) for name in names)


def test_published_settings() -> None:
    settings = settings_of("tpwng", {})
    assert (settings.prompt_vectors, settings.reach, settings.normal_share, settings.threshold) == (8, 256, 0.2, 0.35)
    weights = settings.recipe.loss_weights
    assert (weights["smooth"], weights["sparse"]) == (0.1, 0.01)
