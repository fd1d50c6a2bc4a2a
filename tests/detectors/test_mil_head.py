"""The plain head and its ensemble against slow oracles."""

import numpy as np
import pytest
import torch

from avadclip.detectors.mil_head import MilHead, MilHeadSettings, moving_mean
from avadclip.detectors.protocol import Batch, Dimensions, Targets

WIDTHS = {"visual": 6, "audio": 4}
LENGTHS = [20, 7, 1]


def batch_of(seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    n = max(LENGTHS)
    valid = torch.arange(n) < torch.tensor(LENGTHS)[:, None]
    heard = valid & (torch.rand(len(LENGTHS), n, generator=random) > 0.3)
    visual, audio = (torch.randn(len(LENGTHS), n, w, generator=random) for w in WIDTHS.values())
    return Batch(visual * valid[..., None], audio * valid[..., None], heard, torch.tensor(LENGTHS))


def head(**settings: object) -> MilHead:
    torch.manual_seed(1)
    return MilHead(MilHeadSettings.checked(settings), Dimensions(WIDTHS, 4, 32))


def test_moving_mean_is_the_mean_of_what_counts() -> None:
    batch = batch_of()
    assert batch.visual is not None
    assert batch.audio_valid is not None
    for width in (2, 3, 5, 41):
        found = moving_mean(batch.visual, batch.audio_valid, width)
        for row in range(len(LENGTHS)):
            for i in range(found.shape[1]):
                first = max(0, i - (width - 1) // 2)
                near = slice(first, i + width // 2 + 1)
                counted = batch.visual[row, near][batch.audio_valid[row, near]]
                expected = counted.mean(dim=0) if batch.audio_valid[row, i] else torch.zeros(6)
                assert torch.allclose(found[row, i], expected, atol=1e-5)  # float32 sums in another order


@pytest.mark.parametrize(
    ("wanted", "snippet_seconds", "expected"),
    [(0, 1.0, 1), (5, 1.0, 5), (5, 16 / 30, 9), (5, 16 / 25, 7), (5, 4 / 30, 37), (5, 2.0, 3), (5, 16.0, 1)],
)
def test_context_is_the_odd_number_of_snippets_nearest_to_its_seconds(
    wanted: float, snippet_seconds: float, expected: int
) -> None:
    settings = MilHeadSettings.checked({"context_seconds": wanted})
    detector = MilHead(settings, Dimensions(WIDTHS, 4, 32, snippet_seconds=snippet_seconds))
    assert detector.context == expected
    assert detector(batch_of()).confidences.shape == (3, 20, 1)
    # The odd numbers above and below are no nearer.
    assert all(abs(n * snippet_seconds - wanted) >= abs(expected * snippet_seconds - wanted) for n in (1, 3, 5, 7, 9))


@pytest.mark.parametrize("members", [1, 3])
def test_an_ensemble_is_the_mean_of_its_members_and_their_losses_are_added(members: int) -> None:
    detector, batch = head(members=members, hidden=5).eval(), batch_of()
    output = detector(batch)
    scores = detector.scores(output, batch)
    labels = torch.eye(4)[[2, 0, 1]]
    terms = detector.losses(output, batch, Targets(labels))
    assert batch.visual is not None
    assert batch.audio is not None
    assert batch.audio_valid is not None
    heads = detector.heads
    weight, bias = heads.hidden.weight.detach(), heads.hidden.bias.detach()
    total, said = 0.0, []
    for member in range(members):
        rows = slice(5 * member, 5 * member + 5)
        for video, n in enumerate(LENGTHS):
            confidences = []
            for i in range(n):
                seen = batch.visual[video, i]
                heard = batch.audio[video, i] * batch.audio_valid[video, i]
                joined = torch.cat([10 * x / x.norm().clamp(min=1e-12) for x in (seen, heard)])
                hidden = (weight[rows] @ joined + bias[rows]).clamp(min=0)
                logit = hidden @ heads.weight[member].detach() + heads.bias[member].detach()
                confidences.append(float(logit.sigmoid()))
            said.append((video, confidences))
            mean = np.mean(sorted(confidences)[-(n // 16 + 1) :])
            total -= np.log(mean if video != 1 else 1 - mean) / len(LENGTHS)
    assert terms["binary"].item() == pytest.approx(total, rel=1e-5)
    for video, n in enumerate(LENGTHS):
        expected = np.mean([confidences for which, confidences in said if which == video], axis=0)
        assert scores.anomaly[video, :n].detach().numpy() == pytest.approx(expected, rel=1e-5)
    assert (scores.uncertainty is None) == (members == 1)


def test_classes_are_judged_at_the_highest_snippets_and_shape_no_anomaly_score() -> None:
    detector, batch = head(members=2).eval(), batch_of()
    output = detector(batch)
    labels = torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    term = detector.losses(output, batch, Targets(labels))["classes"]
    confidence = output.confidences.mean(dim=-1)
    expected = 0.0
    for video, n, wanted in ((0, 20, [0.5, 0.0, 0.5]), (2, 1, [0.0, 1.0, 0.0])):
        best = confidence[video, :n].argsort(descending=True)[: n // 16 + 1]
        share = output.class_logits[video, best].detach().mean(dim=0).log_softmax(dim=0)
        expected -= float((torch.tensor(wanted) * share).sum()) / 2
    assert term.item() == pytest.approx(expected, rel=1e-5)
    term.backward()
    assert all(parameter.grad is None for parameter in detector.heads.parameters())


def test_class_probabilities_and_the_anomaly_score_agree() -> None:
    detector, batch = head(members=4, context_seconds=5).eval(), batch_of()
    scores = detector.scores(detector(batch), batch)
    assert scores.class_probabilities is not None
    assert torch.allclose(scores.class_probabilities.sum(dim=-1), torch.ones(3, 20))
    assert torch.allclose(1 - scores.class_probabilities[..., 0], scores.anomaly)


def test_features_of_any_length_are_scaled_alike() -> None:
    detector, batch = head(context_seconds=3).eval(), batch_of()
    assert batch.visual is not None
    louder = Batch(1000 * batch.visual, batch.audio, batch.audio_valid, batch.n_snippets)
    found, expected = (detector.scores(detector(given), given).anomaly for given in (louder, batch))
    assert torch.allclose(found, expected, atol=1e-6)  # float32


def test_a_teacher_that_hears_is_there_in_training_alone() -> None:
    detector, batch = head(modalities=["visual"], taught_by=["visual", "audio"], members=3), batch_of()
    labels = torch.eye(4)[[2, 0, 1]]
    output = detector.train()(batch)
    assert output.teacher_confidences is not None
    terms = detector.losses(output, batch, Targets(labels))
    said = output.teacher_confidences.detach().mean(dim=-1)
    expected = 0.0
    for video, n in enumerate(LENGTHS):
        for i in range(n):
            for own in output.confidences[video, i].detach():
                expected -= float(said[video, i] * own.log() + (1 - said[video, i]) * (1 - own).log()) / sum(LENGTHS)
    assert terms["taught"].item() == pytest.approx(expected, rel=1e-5)
    terms["taught"].backward(retain_graph=True)
    assert detector.teacher is not None
    assert all(parameter.grad is None for parameter in detector.teacher.parameters())  # the student teaches nobody
    assert detector.heads.hidden.weight.grad is not None
    terms["teacher"].backward()
    assert all(parameter.grad is not None for parameter in detector.teacher.parameters())

    assert MilHead.needs(detector.settings).modalities == ("visual",)
    assert MilHead.needs(detector.settings).privileged == ("visual", "audio")
    assert not any(name.startswith("teacher") for name in detector.inference_state())
    assert batch.visual is not None
    deaf = Batch(batch.visual, None, None, batch.n_snippets)
    assert detector.eval()(deaf).teacher_confidences is None
