"""FVAI against a slow oracle, written from the published facts and our reconstruction; its second network."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.parts.mutual import mutual
from avadclip.detectors.protocol import Detector, Dimensions, Targets
from avadclip.detectors.registry import build, settings_of
from tests.support.released_oracle import affine
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

LENGTHS = [33, 7, 1]
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1]])
WIDTH, FACTORS = 6, 3

Weights = dict[str, Tensor]


def build_it() -> Detector:
    settings = settings_of("fvai", {"width": WIDTH, "factors": FACTORS, "dropout": 0.0})
    torch.manual_seed(0)
    return build("fvai", settings, Dimensions(dict(WIDTHS), len(CLASSES), 33))


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def fused_logit(w: Weights, seen: Tensor, heard: Tensor) -> Tensor:
    """Return the fused logit of one snippet."""
    vision = affine(w, "project_visual", seen[None])[0].clamp(min=0)
    sound = affine(w, "project_audio", heard[None])[0].clamp(min=0)
    guided_vision = vision * sigmoid(affine(w, "guide_visual", sound[None])[0])
    guided_sound = sound * sigmoid(affine(w, "guide_audio", vision[None])[0])
    first = affine(w, "fusion.of_first", guided_vision[None])[0]
    second = affine(w, "fusion.of_second", guided_sound[None])[0]
    rooted = []
    for i in range(WIDTH):
        product = sum(float(first[i * FACTORS + j] * second[i * FACTORS + j]) for j in range(FACTORS))
        rooted.append(math.copysign(math.sqrt(abs(product) + 1e-6), product))
    length = math.sqrt(sum(x**2 for x in rooted))
    return affine(w, "head", torch.tensor([[x / length for x in rooted]]).double())[0, 0]


def peer_logits(w: Weights, video: Tensor) -> Tensor:
    """Return the logits of the second network for one video [n, visual width]."""
    x = affine(w, "peer.project", video).clamp(min=0)
    kernel, bias = w["peer.around.weight"], w["peer.around.bias"]
    rows = []
    for i in range(len(x)):
        row = bias.clone()
        for tap in range(5):
            if 0 <= i + tap - 2 < len(x):
                row = row + kernel[:, :, tap] @ x[i + tap - 2]
        rows.append(row.clamp(min=0))
    return affine(w, "peer.head", torch.stack(rows))[:, 0]


def divergence(taught: Tensor, learning: Tensor) -> float:
    """Return the KL divergence of the second from the first, over two outcomes."""
    p, q = float(sigmoid(taught)), float(sigmoid(learning))
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def test_scores_and_losses_by_hand() -> None:
    detector = build_it().train()
    batch = random_batch(LENGTHS, 33)
    weights = {name: x.double() for name, x in detector.state_dict().items()}
    output = detector(batch)
    scores = detector.scores(output, batch).anomaly
    expected = {"binary": 0.0, "peer": 0.0, "mutual": 0.0}
    for video, n in enumerate(LENGTHS):
        heard = (batch.audio * batch.audio_valid[:, :, None])[video, :n].double()
        seen = batch.visual[video, :n].double()
        fused = torch.stack([fused_logit(weights, seen[i], heard[i]) for i in range(n)])
        peer = peer_logits(weights, seen)
        assert_close(scores[video, :n].double(), sigmoid(fused), rtol=0, atol=1e-5)  # float32 against float64
        for name, logits in (("binary", fused), ("peer", peer)):
            p = float(sigmoid(logits.sort(descending=True).values[: n // 16 + 1].mean()))
            expected[name] -= math.log(1 - p if video == 0 else p) / len(LENGTHS)
        both = [divergence(a, b) + divergence(b, a) for a, b in zip(fused, peer, strict=True)]
        expected["mutual"] += sum(both) / n / len(LENGTHS)
    terms = detector.losses(output, batch, Targets(LABELS))
    assert terms.keys() == expected.keys() == detector.settings.recipe.loss_weights.keys()
    for name, value in expected.items():
        assert_close(terms[name].item(), value, rtol=1e-4, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}")


def test_each_network_takes_what_the_other_says_as_given() -> None:
    random = torch.Generator().manual_seed(0)
    own, other = (torch.randn(2, 5, generator=random, requires_grad=True) for _ in range(2))
    valid = torch.tensor([[True] * 5, [True, True, False, False, False]])
    mutual(own, other, valid).backward()
    assert own.grad is not None
    assert other.grad is not None
    # The gradient of KL(q || p) by the logit of p is p - q.
    weights = valid / valid.sum(dim=1, keepdim=True) / 2
    expected = (own.detach().sigmoid() - other.detach().sigmoid()) * weights
    assert_close(own.grad, expected)
    assert_close(other.grad, -expected)
    assert mutual(own, own, valid).item() == 0


def test_the_other_network_sees_no_sound_and_is_there_in_training_alone() -> None:
    detector = build_it().train()
    batch = random_batch(LENGTHS, 33)
    silent = replace(batch, audio=torch.zeros_like(batch.audio))
    assert torch.equal(detector(batch).peer_logits, detector(silent).peer_logits)
    assert (detector(batch).anomaly_logits - detector(silent).anomaly_logits).abs().max() > 1e-3
    assert not any(name.startswith("peer") for name in detector.inference_state())
    detector.eval()
    output = detector(batch)
    assert output.peer_logits is None
    assert detector.losses(output, batch, Targets(LABELS)).keys() == {"binary"}
