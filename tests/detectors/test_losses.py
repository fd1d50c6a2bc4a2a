"""Every loss term against loops over videos and snippets."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from avadclip.detectors.parts import losses
from avadclip.detectors.parts.branches import BranchOutput
from tests.support.gradients import assert_same, leaf

LENGTHS = [[1], [15], [16], [17, 5], [40, 1, 31, 33]]


def labels_of(n_videos: int, n_classes: int = 4) -> Tensor:
    """The first video is normal, the others have one or two anomaly classes."""
    labels = torch.zeros(n_videos, n_classes, dtype=torch.float64)
    labels[0, 0] = 1
    for video in range(1, n_videos):
        labels[video, 1 + video % 3] = 1
        labels[video, 1] = 1
    return labels


def top_k_mean_slow(values: Tensor) -> Tensor:
    k = len(values) // 16 + 1
    return torch.stack(sorted(values.unbind(), key=lambda value: value.item(), reverse=True)[:k]).mean()


def binary_slow(logits: Tensor, labels: Tensor, lengths: list[int]) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for video, n in enumerate(lengths):
        confidence = top_k_mean_slow(1 / (1 + torch.exp(-logits[video, :n])))
        total = total - torch.log(1 - confidence if labels[video, 0] == 1 else confidence)
    return total / len(lengths)


def align_slow(class_logits: Tensor, labels: Tensor, lengths: list[int], alpha: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for video, n in enumerate(lengths):
        scores = torch.stack([top_k_mean_slow(class_logits[video, :n, c]) for c in range(labels.shape[1])])
        p = torch.exp(scores) / torch.exp(scores).sum()
        y = labels[video] / labels[video].sum()
        cross_entropy = -sum(y[c] * torch.log(p[c]) for c in range(len(y)))
        p_y = sum(y[c] * p[c] for c in range(len(y)))
        alpha_y = sum(y[c] * alpha[c] for c in range(len(y)))
        total = total + (cross_entropy + alpha_y * (1 - p_y) ** 2 * cross_entropy) / 2
    return total / len(lengths)


@pytest.fixture(autouse=True)
def in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terms work in float32; here that would hide small mistakes."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_binary(lengths: list[int]) -> None:
    logits, labels = leaf(len(lengths), 40), labels_of(len(lengths))
    assert_same(
        lambda: losses.binary(logits, labels, torch.tensor(lengths)),
        lambda: binary_slow(logits, labels, lengths),
        [logits],
    )


@pytest.mark.parametrize("lengths", LENGTHS)
def test_binary_of_logits(lengths: list[int]) -> None:
    logits, labels = leaf(len(lengths), 40), labels_of(len(lengths))

    def slow() -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for video, n in enumerate(lengths):
            confidence = 1 / (1 + torch.exp(-top_k_mean_slow(logits[video, :n])))
            total = total - torch.log(1 - confidence if labels[video, 0] == 1 else confidence)
        return total / len(lengths)

    assert_same(lambda: losses.binary_of_logits(logits, labels, torch.tensor(lengths)), slow, [logits])


@pytest.mark.parametrize("lengths", LENGTHS)
def test_align(lengths: list[int]) -> None:
    logits, alpha, labels = leaf(len(lengths), 40, 4, scale=3), leaf(4, seed=1), labels_of(len(lengths))
    assert_same(
        lambda: losses.align(logits, labels, torch.tensor(lengths), alpha),
        lambda: align_slow(logits, labels, lengths, alpha),
        [logits, alpha],
    )


@pytest.mark.parametrize("lengths", LENGTHS)
def test_align_without_the_focal_loss_is_the_cross_entropy(lengths: list[int]) -> None:
    logits, labels = leaf(len(lengths), 40, 4, scale=3), labels_of(len(lengths))
    for fast in (losses.nce, lambda *of_videos: losses.align(*of_videos, None)):
        assert_same(
            lambda fast=fast: fast(logits, labels, torch.tensor(lengths)),
            lambda: 2 * align_slow(logits, labels, lengths, torch.zeros(4, dtype=torch.float64)),
            [logits],
        )


def test_text() -> None:
    embeddings = leaf(5, 8)

    def slow() -> Tensor:
        normal = embeddings[0]
        cosines = [(normal @ other) / (normal.norm() * other.norm()) for other in embeddings[1:]]
        return sum(abs(cosine) for cosine in cosines) / 4

    assert_same(lambda: losses.text(embeddings), slow, [embeddings])


def test_ukd_and_mse() -> None:
    teacher, student, theta = leaf(2, 3, 4), leaf(2, 3, 4, seed=1), leaf(2, 3, 4, seed=2)
    counted = torch.tensor([[True, True, False], [True, False, False]])
    places = [(0, 0), (0, 1), (1, 0)]

    def ukd_slow() -> Tensor:
        terms = [
            (teacher[b, n, i] - student[b, n, i]) ** 2 / (1e-6 + 2 * torch.exp(theta[b, n, i])) + theta[b, n, i]
            for b, n in places
            for i in range(4)
        ]
        return sum(terms) / len(terms)

    def mse_slow() -> Tensor:
        return sum((teacher[b, n, i] - student[b, n, i]) ** 2 for b, n in places for i in range(4)) / 12

    assert_same(lambda: losses.ukd(teacher, student, theta, counted), ukd_slow, [teacher, student, theta])
    assert_same(lambda: losses.mse(teacher, student, counted), mse_slow, [teacher, student])


def test_what_else_a_teacher_says() -> None:
    counted = torch.tensor([[True, True, False], [True, False, False]])
    places = [(0, 0), (0, 1), (1, 0)]
    outputs = [
        BranchOutput(leaf(2, 3, seed=seed), leaf(2, 3, 4, seed=seed + 1), leaf(2, 3, 5, seed=seed + 2), leaf(4, 5))
        for seed in (3, 6)
    ]
    teacher, student = outputs

    def scores_slow() -> Tensor:
        pairs = [(teacher.anomaly_logits[place].sigmoid(), student.anomaly_logits[place].sigmoid()) for place in places]
        return -sum(p * q.log() + (1 - p) * (1 - q).log() for p, q in pairs) / 3

    def map_slow() -> Tensor:
        pairs = [(teacher.class_logits[place].softmax(0), student.class_logits[place].softmax(0)) for place in places]
        return -sum((p * q.log()).sum() for p, q in pairs) / 3

    def relations_slow() -> Tensor:
        pairs = [((0, i), (0, j)) for i in (0, 1) for j in (0, 1)] + [((1, 0), (1, 0))]
        cosines = [[torch.cosine_similarity(of.features[a], of.features[b], dim=0) for of in outputs] for a, b in pairs]
        return sum((p - q) ** 2 for p, q in cosines) / 5

    said = [student.anomaly_logits]
    assert_same(lambda: losses.teacher_scores(teacher, student, counted), scores_slow, said)
    assert_same(lambda: losses.class_map(teacher, student, counted), map_slow, [student.class_logits])
    features = [teacher.features, student.features]
    assert_same(lambda: losses.relations(*features, counted), relations_slow, features)


@pytest.mark.parametrize(("counted", "loss"), [([False, False], 0), ([False, True], 1), ([True, True], 1)])
def test_a_loss_is_the_mean_over_what_is_counted(counted: list[bool], loss: float) -> None:
    features = leaf(1, 2, 4)
    assert losses.mse(features, features + 1, torch.tensor([counted])).item() == pytest.approx(loss)


def test_what_lies_beyond_a_video_counts_for_nothing() -> None:
    logits, labels = leaf(1, 40), labels_of(1)
    more = torch.cat([logits, torch.full((1, 7), 1e4, dtype=torch.float64)], dim=1)
    lengths = torch.tensor([40])
    assert losses.binary(more, labels, lengths) == losses.binary(logits, labels, lengths)


@pytest.mark.parametrize(("logit", "loss"), [(200.0, 100.0), (-200.0, 0.0)])
def test_a_hopeless_confidence_is_a_large_loss_and_not_an_infinite_one(logit: float, loss: float) -> None:
    found = losses.binary(torch.full((1, 3), logit), torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([3]))
    assert math.isclose(float(found), loss, abs_tol=1e-6)  # torch bounds the logarithm at -100


@pytest.mark.parametrize("n_confidences", [1, 3])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_segments(lengths: list[int], n_confidences: int) -> None:
    logits = leaf(len(lengths), 42, n_confidences)
    share = torch.rand(len(lengths), 42, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    share[1::2] = -1.0  # videos without segments
    share[0, 0] = 0.0  # a snippet that is known to be normal
    valid = torch.arange(42) < torch.tensor(lengths)[:, None]

    def slow() -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for video in range(0, len(lengths), 2):
            for snippet in range(lengths[video]):
                for logit in logits[video, snippet]:
                    p, wanted = 1 / (1 + torch.exp(-logit)), share[video, snippet]
                    total = total - (wanted * torch.log(p) + (1 - wanted) * torch.log(1 - p)) / lengths[video]
        return total / len(lengths)

    assert_same(lambda: losses.segments(logits.sigmoid(), share, valid), slow, [logits])


def test_terms_of_branches_have_names() -> None:
    output = BranchOutput(leaf(2, 9), leaf(2, 9, 4), leaf(2, 9, 5), leaf(4, 5))
    labels, lengths, alpha = labels_of(2), torch.tensor([9, 5]), leaf(4, seed=1)
    assert losses.of_branches(output, labels, lengths, alpha) == {
        "binary": losses.binary(output.anomaly_logits, labels, lengths),
        "align": losses.align(output.class_logits, labels, lengths, alpha),
        "text": losses.text(output.class_embeddings),
    }


@pytest.mark.parametrize("sorts", [[1], [0], [1, 0], [1, 1, 0], [0, 1, 0, 0, 1]])
def test_terms_of_deep_mil_and_rtfm(sorts: list[int]) -> None:
    """The videos have one, two, three ... snippets; their padding is higher than all of them."""
    is_anomalous, n = torch.tensor(sorts, dtype=torch.bool), len(sorts)
    valid = torch.arange(n + 2) <= torch.arange(n)[:, None]
    confidence = leaf(n, n + 2).detach().masked_fill(~valid, 9.0)
    videos = [row[: index + 1] for index, row in enumerate(confidence.tolist())]
    high, low = ([max(video) for video, is_ in zip(videos, sorts, strict=True) if is_ == sort] for sort in (1, 0))
    everything = [value for video in videos for value in video]
    expected = {
        "rank": sum(max(0.0, 1 - a + b) for a in high for b in low) / max(1, len(low)),
        "sparse": sum(everything),
        "sparse_norm": math.hypot(*everything),
        "smooth": sum((b - a) ** 2 for video in videos for a, b in pairwise(video)),
    }
    found = {
        "rank": losses.rank(confidence, is_anomalous, valid),
        "sparse": losses.sparse(confidence, valid),
        "sparse_norm": losses.sparse_norm(confidence, valid),
        "smooth": losses.smooth(confidence, valid),
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-12)
    lengths = leaf(n, 1).detach().abs()  # of the only view
    anomalous, normal = lengths[is_anomalous, 0].tolist(), lengths[~is_anomalous, 0].tolist()
    pairs = [(abs(5 - a) + b) ** 2 for a, b in zip(anomalous, normal, strict=False)]
    assert float(losses.magnitude(lengths, is_anomalous, 5.0)) == pytest.approx(sum(pairs) / max(1, len(pairs)))
