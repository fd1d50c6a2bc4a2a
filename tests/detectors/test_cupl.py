"""CUPL against a slow oracle, written from the published facts and our reconstruction; its uncertainty and phases."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.cupl import mean_before, pseudo_labels
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Targets
from avadclip.detectors.registry import build, needs, settings_of
from tests.support.released_oracle import affine
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

LENGTHS = [33, 20, 7, 1]
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0]])
HEADS, DRAWS = 3, 4

Weights = dict[str, Tensor]


def build_it(**values: object) -> Detector:
    settings = settings_of("cupl", {"hidden": [10, 6], "heads": HEADS, "draws": DRAWS, **values})
    torch.manual_seed(0)
    widths = {modality: WIDTHS[modality] for modality in needs("cupl", settings).modalities}
    return build("cupl", settings, Dimensions(widths, len(CLASSES), 33))


def videos_of(batch: Batch) -> list[Tensor]:
    audio = batch.audio * batch.audio_valid[:, :, None]
    joined = torch.cat([batch.visual, audio], dim=2).double()
    return [video[:n] for video, n in zip(joined, LENGTHS, strict=True)]


def with_mean(video: Tensor) -> Tensor:
    rows = []
    for t in range(len(video)):
        before = video[max(0, t - 5) : t] if t > 0 else video[:1]
        rows.append(torch.cat([video[t], before.mean(dim=0)]))
    return torch.stack(rows)


def logits(w: Weights, head: int, video: Tensor, draw: int | None = None) -> Tensor:
    """Return the logits of one video, with what one draw of dropout keeps, or with everything."""
    name = f"heads.{head}"
    x = affine(w, f"{name}.first", with_mean(video)).clamp(min=0)
    x = affine(w, f"{name}.second", x if draw is None else x * w[f"{name}.kept_first"][draw])
    return affine(w, f"{name}.last", x if draw is None else x * w[f"{name}.kept_second"][draw])[:, 0]


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def of_heads(w: Weights, video: Tensor) -> Tensor:
    return torch.stack([logits(w, head, video) for head in range(HEADS)])


def variance(w: Weights, video: Tensor) -> Tensor:
    of_each = []
    for head in range(HEADS):
        drawn = torch.stack([sigmoid(logits(w, head, video, draw)) for draw in range(DRAWS)])
        of_each.append(((drawn - drawn.mean(dim=0)) ** 2).mean(dim=0))
    return torch.stack(of_each).mean(dim=0)


def double(detector: Detector) -> Weights:
    return {name: x.detach().double() for name, x in detector.state_dict().items()}


def cross_entropy(p: float, wanted: float) -> float:
    return -wanted * math.log(p) - (1 - wanted) * math.log(1 - p)


def test_scores_by_hand() -> None:
    detector = build_it().eval()
    batch = random_batch(LENGTHS, 33)
    scores = detector.scores(detector(batch), batch)
    assert scores.uncertainty is not None
    for row, video in enumerate(videos_of(batch)):
        n, weights = len(video), double(detector)
        expected = sigmoid(of_heads(weights, video)).mean(dim=0)
        assert_close(scores.anomaly[row, :n].double(), expected, rtol=0, atol=1e-6)  # float32 against float64
        assert_close(scores.uncertainty[row, :n].double(), variance(weights, video), rtol=1e-3, atol=1e-7)


def test_losses_of_the_first_phase_by_hand() -> None:
    detector = build_it(dropout=0.0).train()
    batch = random_batch(LENGTHS, 33)
    binary, cosines = [], []
    for row, video in enumerate(videos_of(batch)):
        found = of_heads(double(detector), video)
        for head in range(HEADS):
            highest = sigmoid(found[head]).sort(descending=True).values[: len(video) // 16 + 1]
            binary.append(cross_entropy(float(highest.mean()), float(row > 0)))
        for a, b in ((0, 1), (0, 2), (1, 2)):
            if row > 0:
                p, q = (torch.exp(found[head]) / torch.exp(found[head]).sum() for head in (a, b))
                cosines.append(float(p @ q / (p.norm() * q.norm())))
    terms = detector.losses(detector(batch), batch, Targets(LABELS))
    assert terms.keys() == {"binary", "diversity"}
    assert_close(terms["binary"].item(), sum(binary) / len(binary), rtol=1e-5, atol=0)
    assert_close(terms["diversity"].item(), sum(cosines) / len(cosines), rtol=1e-5, atol=0)


def test_pseudo_labels_by_hand() -> None:
    teacher = build_it().eval()
    batch = random_batch(LENGTHS, 33)
    detector = build_it(dropout=0.0).train()
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.mul_(1.5)
        said = teacher(batch)
    of_videos = []
    for row, video in enumerate(videos_of(batch)):
        n = len(video)
        mean = sigmoid(of_heads(double(teacher), video)).mean(dim=0)
        labels = (mean - mean.min()) / (mean.max() - mean.min()) if n > 1 else mean
        order = variance(double(teacher), video).argsort().tolist()
        certain = order[: math.ceil(0.5 * n)] if row > 0 else order
        own = sigmoid(of_heads(double(detector), video))
        wanted = labels if row > 0 else torch.zeros(n)
        errors = [cross_entropy(float(own[h, t]), float(wanted[t])) for t in certain for h in range(HEADS)]
        of_videos.append(sum(errors) / len(errors))
    terms = detector.losses(detector(batch), batch, Targets(LABELS, said))
    assert terms.keys() == {"binary", "pseudo"}
    assert_close(terms["pseudo"].item(), sum(of_videos) / len(of_videos), rtol=1e-5, atol=0)


def test_draws_are_of_the_dropout_and_always_the_same() -> None:
    first, again = (build_it(hidden=[512, 32], draws=50) for _ in range(2))
    for head, other in zip(first.heads, again.heads, strict=True):
        assert torch.equal(head.kept_first, other.kept_first)
        assert_close(head.kept_first.unique(), torch.tensor([0.0, 5.0]))
        assert (head.kept_first > 0).float().mean() == pytest.approx(0.2, abs=0.01)
    assert not torch.equal(first.heads[0].kept_first, first.heads[1].kept_first)


def test_mean_before_looks_back_alone() -> None:
    x = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, 6] += 1.0
    moved = (mean_before(changed, 5) - mean_before(x, 5)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.tolist() == [False] * 7 + [True, True]


def test_equal_confidences_stay_as_they_are() -> None:
    valid = torch.tensor([[True, True, True], [True, False, False]])
    confidence = torch.tensor([[0.3, 0.3, 0.3], [0.8, 0.0, 1.0]])
    assert_close(pseudo_labels(confidence, valid)[valid], confidence[valid])


def test_one_head_and_batches_of_one_sort() -> None:
    detector = build_it(heads=1).train()
    batch = random_batch(LENGTHS, 33)
    assert detector.losses(detector(batch), batch, Targets(LABELS))["diversity"] == 0
    normal = torch.eye(3)[[0, 0, 0, 0]]
    several = build_it().train()
    terms = several.losses(several(batch), batch, Targets(normal))
    assert terms["diversity"] == 0


def test_recipe() -> None:
    settings = settings_of("cupl", {})
    assert (settings.heads, settings.hidden, settings.dropout, settings.before) == (3, (512, 32), 0.8, 5)
    assert settings.recipe.phases == 3
    assert settings.recipe.loss_weights.keys() == {"binary", "diversity", "pseudo"}
