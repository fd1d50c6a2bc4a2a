"""AVCL, as we have reconstructed it, against a slow oracle."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.protocol import Batch, Detector, Dimensions, Targets
from avadclip.detectors.registry import build, settings_of
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

LENGTHS = [20, 33, 9, 17]
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 1]])
WIDTH, HEADS = 16, 4


def build_it(**values: object) -> Detector:
    torch.manual_seed(0)
    settings = settings_of("avcl", {"width": WIDTH, "mlp_width": 12, "dropout": 0.0, **values})
    return build("avcl", settings, Dimensions(dict(WIDTHS), len(CLASSES), 33)).train()


def linear(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def asked(weights: dict[str, Tensor], name: str, asking: Tensor, answering: Tensor) -> Tensor:
    """Apply MACIL-SD's layer to one video [n, d], head by head."""

    def normed(which: str, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        scaled = centred / torch.sqrt((centred**2).mean(dim=1, keepdim=True) + 1e-5)
        return scaled * weights[f"{name}.{which}.weight"] + weights[f"{name}.{which}.bias"]

    query = linear(weights, f"{name}.query", normed("attention_norm", asking))
    key, value = (linear(weights, f"{name}.{part}", answering) for part in ("key", "value"))
    found = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        scores = torch.exp(query[:, part] @ key[:, part].T / math.sqrt(WIDTH // HEADS))
        found.append(scores / scores.sum(dim=1, keepdim=True) @ value[:, part])
    x = asking + linear(weights, f"{name}.attention_out", torch.cat(found, dim=1))
    hidden = torch.relu(linear(weights, f"{name}.expand", normed("mlp_norm", x)))
    return x + linear(weights, f"{name}.contract", hidden)


def logits_by_hand(weights: dict[str, Tensor], visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits of both modalities, of vision and of sound."""
    v, a = torch.relu(linear(weights, "project_visual", visual)), torch.relu(linear(weights, "project_audio", audio))
    joined = torch.cat([asked(weights, "layer", v, a), asked(weights, "layer", a, v)], dim=1)
    alone = (linear(weights, f"{m}.head", asked(weights, f"{m}.layer", x, x)) for m, x in (("visual", v), ("audio", a)))
    both, seen, heard = (x.squeeze(1) for x in (linear(weights, "head", joined), *alone))
    return both, seen, heard


def divergence(teaching: Tensor, learning: Tensor) -> Tensor:
    """Return the KL divergence over two outcomes, snippet by snippet."""
    p, q = torch.sigmoid(teaching), torch.sigmoid(learning)
    return p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))


def hard_by_hand(both: Tensor, seen: Tensor, audio: Tensor, audible: Tensor) -> Tensor | None:
    """Return the loss of one anomalous video: its 2k most ambiguous snippets, ranked by how much the sound changes."""
    n = len(both)
    score = torch.sigmoid(seen)
    middle = (score.max() + score.min()) / 2
    k = min(n // 16 + 1, n // 2)
    ambiguous = sorted(range(n), key=lambda t: abs(float(score[t] - middle)))[: 2 * k]
    change = []
    for t in range(n):
        neighbours = [j for j in (t - 1, t + 1) if 0 <= j < n and audible[t] and audible[j]]
        change.append(
            max((1 - torch.cosine_similarity(audio[t], audio[j], dim=0).item() for j in neighbours), default=0.0)
        )
    ranked = sorted(ambiguous, key=lambda t: -change[t])
    varied, steady = ranked[:k], ranked[k:]
    if sum(change[t] for t in varied) <= sum(change[t] for t in steady):
        return None
    probability = torch.sigmoid(both)
    return -(torch.log(probability[varied]).sum() + torch.log(1 - probability[steady]).sum()) / (2 * k)


def audible_of(batch: Batch) -> Tensor:
    assert batch.audio_valid is not None
    return batch.audio_valid


def test_scores_and_terms_by_hand() -> None:
    detector = build_it()
    weights = {name: x.double() for name, x in detector.state_dict().items()}
    batch = random_batch(LENGTHS, 33)
    assert batch.visual is not None
    assert batch.audio is not None
    batch.audio_valid[3] = False  # a video without sound
    audible = audible_of(batch)
    sound = batch.audio * audible[:, :, None]
    output = detector(batch)
    bags: dict[str, list[Tensor]] = {"binary": [], "visual": [], "audio": []}
    mutual, hard = [], []
    for v, n in enumerate(LENGTHS):
        logits = logits_by_hand(weights, batch.visual[v, :n].double(), sound[v, :n].double())
        both, seen, heard = logits
        found = detector.scores(output, batch).anomaly[v, :n].double()
        assert_close(found, torch.sigmoid(both), rtol=0, atol=1e-6)  # float32 against float64
        k = n // 16 + 1
        for name, one in zip(bags, logits, strict=True):
            score = torch.sigmoid(sum(sorted(one)[-k:]) / k)
            bags[name].append(-torch.log(1 - score if LABELS[v, 0] else score))
        from_sound = (divergence(both, heard) + divergence(heard, both))[audible[v, :n]].sum() / n
        mutual.append((divergence(both, seen) + divergence(seen, both)).mean() + from_sound)
        if not LABELS[v, 0]:
            hard.append(hard_by_hand(both, seen, sound[v, :n], audible[v, :n]))
    assert [one is None for one in hard] == [False, False, True]
    expected = {name: sum(values) / 4 for name, values in (bags | {"mutual": mutual}).items()}
    expected["hard"] = (hard[0] + hard[1]) / 2
    terms = detector.losses(output, batch, Targets(LABELS))
    assert terms.keys() == expected.keys() == settings_of("avcl", {}).recipe.loss_weights.keys()
    for name, value in expected.items():
        assert_close(terms[name].double(), value, rtol=1e-4, atol=0, msg=lambda text, name=name: f"{name}: {text}")


def test_hard_snippets_teach_both_modalities_and_no_other_branch() -> None:
    detector = build_it()
    batch = random_batch(LENGTHS, 33)
    detector.losses(detector(batch), batch, Targets(LABELS))["hard"].backward()
    with_gradient = {
        name.split(".")[0] for name, p in detector.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert with_gradient == {"project_visual", "project_audio", "layer", "head"}


@pytest.mark.parametrize("lengths", [[1, 2], [2, 1], [3, 3]])
@pytest.mark.parametrize("labels", [[[1.0, 0, 0]] * 2, [[0, 1.0, 0]] * 2])
@pytest.mark.parametrize("silent", [False, True])
def test_any_batch_has_finite_gradients(lengths: list[int], labels: list[list[float]], silent: bool) -> None:
    detector = build_it()
    batch = random_batch(lengths, 33)
    batch = replace(batch, audio_valid=batch.valid & (not silent))
    terms = detector.losses(detector(batch), batch, Targets(torch.tensor(labels)))
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)
    assert terms["hard"] == 0 or not silent


def test_branches_of_one_modality_are_for_training_alone() -> None:
    detector = build_it()
    assert not any(name.startswith(("visual.", "audio.")) for name in detector.inference_state())
    assert detector.eval()(random_batch(LENGTHS, 33)).visual_logits is None
