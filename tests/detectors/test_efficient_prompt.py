"""The detector of Ju et al. against a slow oracle, written from the published facts."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.protocol import Detector, Targets
from avadclip.detectors.registry import build, settings_of
from tests.support.training_factory import CLASSES, EMBEDDING, dimensions, random_batch, text_tower

LENGTHS = [20, 33, 9]
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1]])


def build_it(**values: object) -> Detector:
    torch.manual_seed(0)
    detector = build("efficient_prompt", settings_of("efficient_prompt", values), dimensions(33), text_tower())
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return detector.train()


def class_embeddings(weights: dict[str, Tensor]) -> Tensor:
    """Embed each class by itself, at full length: SOT, 16 vectors, name, 16 vectors, EOT, padding."""
    tower = text_tower()
    rows = []
    for tokens in tower.token_ids:
        end = int(tokens.argmax())
        embedded = tower.token_embedding[tokens]
        context = weights["prompts.context"].float()
        line = [embedded[0], *context[1:17], *embedded[1:end], *context[16 + end : 32 + end], embedded[end]]
        line += [embedded[-1]] * (77 - len(line))
        rows.append(tower(torch.stack(line)[None], torch.tensor([end + 32]))[0])
    return torch.stack(rows).double()


def normed(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean()
    scaled = centred / torch.sqrt((centred**2).mean() + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def in_context(weights: dict[str, Tensor], video: Tensor, layers: int, heads: int) -> Tensor:
    """Apply the temporal layers to one video [n, d], snippet by snippet and head by head."""
    x = [weights["align.weight"] @ row + position for row, position in zip(video, weights["positions"], strict=False)]
    for number in range(layers):
        name = f"layers.{number}"
        parts = [
            linear(weights, f"{name}.query_key_value", normed(weights, f"{name}.attention_norm", row)) for row in x
        ]
        found = []
        for asking in parts:
            answer = []
            for head in range(heads):
                width = EMBEDDING // heads
                query, key, value = (
                    slice(p * EMBEDDING + head * width, p * EMBEDDING + (head + 1) * width) for p in range(3)
                )
                scores = torch.stack([asking[query] @ asked[key] / math.sqrt(width) for asked in parts])
                weight = torch.exp(scores) / torch.exp(scores).sum()
                answer.append(sum(w * asked[value] for w, asked in zip(weight, parts, strict=True)))
            found.append(torch.cat(answer))
        x = [row + linear(weights, f"{name}.attention_out", one) for row, one in zip(x, found, strict=True)]
        hidden = [linear(weights, f"{name}.mlp.expand", normed(weights, f"{name}.mlp_norm", row)) for row in x]
        hidden = [h / (1 + torch.exp(-1.702 * h)) for h in hidden]
        x = [row + linear(weights, f"{name}.mlp.contract", h) for row, h in zip(x, hidden, strict=True)]
    return torch.stack(x)


@pytest.mark.parametrize(("layers", "heads"), [(1, 8), (2, 4)])
def test_by_hand(layers: int, heads: int) -> None:
    detector = build_it(layers=layers, heads=heads)
    weights = {name: x.double() for name, x in detector.state_dict().items()}
    batch = random_batch(LENGTHS, 33)
    assert batch.visual is not None
    output = detector(batch)
    found = detector.scores(output, batch)
    embeddings = class_embeddings(weights)
    losses = []
    for video, n in enumerate(LENGTHS):
        x = in_context(weights, batch.visual[video, :n].double(), layers, heads)
        cosines = x @ embeddings.T / x.norm(dim=1)[:, None] / embeddings.norm(dim=1)
        probabilities = torch.exp(cosines / 0.07) / torch.exp(cosines / 0.07).sum(dim=1, keepdim=True)
        # Float32 against float64, through exp(10).
        assert_close(found.class_probabilities[video, :n].double(), probabilities, rtol=0, atol=1e-4)
        assert_close(found.anomaly[video, :n].double(), 1 - probabilities[:, 0], rtol=0, atol=1e-4)
        k = n // 16 + 1
        top = torch.stack([sum(sorted(cosines[:, c] / 0.07)[-k:]) / k for c in range(len(CLASSES))])
        own = [c for c in range(len(CLASSES)) if LABELS[video, c]]
        losses.append(-sum(top[c] - torch.log(torch.exp(top).sum()) for c in own) / len(own))
    terms = detector.losses(output, batch, Targets(LABELS))
    assert terms.keys() == settings_of("efficient_prompt", {}).recipe.loss_weights.keys()
    assert_close(terms["nce"].double(), sum(losses) / 3, rtol=1e-4, atol=0)


def test_published_recipe() -> None:
    settings = settings_of("efficient_prompt", {})
    optimizer = settings.recipe.optimizer
    assert (settings.recipe.batch_size, optimizer.name) == (64, "adamw")
    assert (optimizer.learning_rate, optimizer.weight_decay) == (1e-4, 0.01)
