"""HL-Net against a slow oracle; its long videos, its switch for padding, and its recipe."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.parts import graphs
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Targets
from avadclip.detectors.registry import build, needs, settings_of
from avadclip.training.optimisation import make_optimizer, rate_factor
from tests.support import hl_net_oracle as oracle
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

SMALL = {"hidden": [10, 8], "approximator_hidden": [6, 4], "graph_width": 4, "dropout": 0.0}
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])


def build_it(**values: object) -> Detector:
    settings = settings_of("hl_net", {**SMALL, **values})
    torch.manual_seed(0)
    widths = {modality: WIDTHS[modality] for modality in needs("hl_net", settings).modalities}
    return build("hl_net", settings, Dimensions(widths, len(CLASSES), 32))


def videos_of(batch: Batch, modalities: list[str]) -> list[Tensor]:
    audio = batch.audio * batch.audio_valid[:, :, None]
    features = torch.cat([batch.visual, audio], dim=2) if len(modalities) == 2 else batch.visual
    return [video[:n].double() for video, n in zip(features, batch.n_snippets, strict=True)]


@pytest.mark.parametrize("modalities", [["visual"], ["visual", "audio"]])
def test_scores_and_losses_by_hand(modalities: list[str]) -> None:
    detector = build_it(modalities=modalities).train()
    batch = random_batch([18, 7, 1], 18)
    videos, weights = videos_of(batch, modalities), oracle.weights_of(detector)
    output = detector(batch)
    scores = detector.scores(output, batch).anomaly
    for found, online, video in zip(scores, output.online_logits, videos, strict=True):
        z, c = oracle.logits(weights, video)
        assert_close(found[: len(z)].double(), oracle.sigmoid(z), rtol=0, atol=1e-5)  # float32 against float64
        assert_close(online[: len(c)].double(), c, rtol=1e-5, atol=1e-5)
    found = detector.losses(output, batch, Targets(LABELS))
    expected = oracle.losses(weights, videos, [False, True, True])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(found[name].double(), value, rtol=1e-5, atol=1e-6)


def test_both_sides_of_the_similarity_threshold_are_seen() -> None:
    video = videos_of(random_batch([18], 18), ["visual"])[0]
    unit = video / video.norm(dim=1, keepdim=True)
    assert 0.5 < (unit @ unit.T > 0.7).double().mean() < 0.95


def test_a_long_video_is_scored_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = build_it().eval()
    batch = random_batch([18, 7], 18)
    whole = detector(batch)
    monkeypatch.setattr(graphs, "HELD", 5)
    monkeypatch.setattr(graphs, "ROWS", 4)
    by_rows = detector(batch)
    assert_close(by_rows.anomaly_logits[batch.valid], whole.anomaly_logits[batch.valid])


def test_released_padding_is_part_of_the_training_alone() -> None:
    detector = build_it(mask_padding=False)
    assert detector.padding_matters
    batch = random_batch([18, 7], 18)
    alone = replace(
        batch,
        visual=batch.visual[1:, :7],
        audio=batch.audio[1:, :7],
        audio_valid=batch.audio_valid[1:, :7],
        n_snippets=batch.n_snippets[1:],
    )
    masked = build_it(mask_padding=True)
    assert_close(masked(batch).anomaly_logits[1, :7], masked(alone).anomaly_logits[0])
    assert_close(detector(alone).anomaly_logits, masked(alone).anomaly_logits)
    assert (detector(batch).anomaly_logits[1, :7] - detector(alone).anomaly_logits[0]).abs().max() > 1e-3


def test_the_score_graph_teaches_the_approximator_nothing() -> None:
    detector = build_it()
    batch = random_batch([18, 7, 1], 18)
    detector.losses(detector(batch), batch, Targets(LABELS))["binary"].backward()
    assert all(parameter.grad is None for parameter in detector.approximator.parameters())
    assert detector.classifier.weight.grad is not None


def test_published_recipe() -> None:
    settings = settings_of("hl_net", {})
    recipe = settings.recipe
    assert (recipe.rounds, recipe.batches, recipe.batch_size) == (50, "mixed", 128)
    assert (recipe.bag.kind, recipe.bag.length) == ("pick", 200)
    assert recipe.loss_weights == {"binary": 1.0, "binary_online": 1.0, "approximation": 5.0}
    assert [rate_factor(recipe.schedule, round_, 50) for round_ in (1, 10, 11, 50)] == [1, 1, 0.1, 0.1]
    detector = build_it()
    groups = make_optimizer(detector.parameter_groups(), recipe.optimizer).param_groups
    assert [(group["lr"], group["weight_decay"], len(group["params"])) for group in groups] == [
        (1e-4, 0.0, 4 + 3 * 4 + 2),
        (5e-5, 0.0, 6),
    ]
    assert not needs("hl_net", settings).text_tower
