"""RTFM against a slow oracle: views, padding, choice of snippets, and its recipe."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.parts.magnitude import chosen_of
from avadclip.detectors.parts.multi_scale import MultiScaleNetwork
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Targets
from avadclip.detectors.registry import build, needs, settings_of
from tests.support import rtfm_oracle as oracle
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

N = 9
PLAIN = {"dropout": 0.0, "ignored": 0.0, "hidden": [10, 6]}


def build_it(**values: object) -> Detector:
    """Build a detector with an active non-local block and statistics unlike those of a new network."""
    settings = settings_of("rtfm", {**PLAIN, **values})
    widths = {modality: WIDTHS[modality] for modality in needs("rtfm", settings).modalities}
    torch.manual_seed(0)
    detector = build("rtfm", settings, Dimensions(widths, len(CLASSES), 32))
    with torch.no_grad():
        for tensor in (*detector.parameters(), *detector.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand_like(tensor))
    return detector


def rows_of(batch: Batch, modalities: list[str]) -> list[Tensor]:
    audio = batch.audio * batch.audio_valid[:, :, None]
    features = torch.cat([batch.visual, audio], dim=2) if len(modalities) == 2 else batch.visual
    return [row[:n].double() for row, n in zip(features, batch.n_snippets, strict=True)]


@pytest.mark.parametrize("modalities", [["visual"], ["visual", "audio"]])
def test_scores_by_hand(modalities: list[str]) -> None:
    detector = build_it(modalities=modalities).eval()
    batch = random_batch([N, 4, 1], N)  # padding influences nothing
    output = detector(batch)
    found = detector.scores(output, batch).anomaly
    features, expected = oracle.detect(oracle.weights_of(detector), rows_of(batch, modalities), training=False)
    for row, (wanted, wanted_features) in enumerate(zip(expected, features, strict=True)):
        assert_close(found[row, : len(wanted)].double(), wanted, rtol=0, atol=1e-5)  # float32 against float64
        assert_close(output.features[row, : len(wanted)].double(), wanted_features, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("views", [1, 2])
def test_losses_by_hand(views: int, across: bool) -> None:
    detector = build_it(smooth_across_videos=across).train()
    weights = oracle.weights_of(detector)
    batch = replace(random_batch([N] * 4 * views, N), n_views=views)
    labels = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).repeat_interleave(views, dim=0)
    found = detector.losses(detector(batch), batch, Targets(labels))
    expected = oracle.losses(weights, rows_of(batch, ["visual"]), [False, False, True, True], views, across)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(found[name].double(), value, rtol=1e-4, atol=1e-6)


def test_padding_is_not_in_the_statistics_of_training() -> None:
    detector = build_it().train()
    weights = oracle.weights_of(detector)
    batch = random_batch([N, 4], N)
    output = detector(batch)
    _, expected = oracle.detect(weights, rows_of(batch, ["visual"]), training=True)
    assert_close(output.anomaly_logits.sigmoid()[1, :4].double(), expected[1], rtol=0, atol=1e-5)


def test_the_longest_valid_snippets_are_chosen() -> None:
    magnitudes = torch.tensor([[1.0, 5, 3, 4, 9], [2, 1, 0, 7, 8], [0, 0, 0, 0, 0]])
    valid = torch.arange(5) < torch.tensor([4, 2, 5])[:, None]
    chosen = chosen_of(magnitudes, valid, 3)
    assert chosen[:2].tolist() == [[0, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    assert chosen[2].sum() == 3
    assert chosen_of(magnitudes, valid, 9).sum(dim=1).tolist() == [4, 2, 5]


def test_some_snippets_are_ignored_in_training_alone() -> None:
    batch, labels = random_batch([N] * 2, N), torch.eye(3)[[0, 1]]
    terms = {}
    for ignored in (0.0, 0.9):
        detector = build_it(ignored=ignored)
        for training in (True, False):
            output = detector.train(False)(batch)
            torch.manual_seed(1)
            terms[ignored, training] = detector.train(training).losses(output, batch, Targets(labels))["binary"]
    assert terms[0.0, True] == terms[0.0, False] == terms[0.9, False] != terms[0.9, True]


def test_a_batch_of_one_sort_has_no_magnitude_loss() -> None:
    detector = build_it()
    batch = random_batch([N, 4], N)
    terms = detector.losses(detector(batch), batch, Targets(torch.eye(3)[[1, 2]]))
    assert terms["magnitude"] == 0
    assert all(term.isfinite() for term in terms.values())


def test_at_first_the_non_local_block_adds_nothing() -> None:
    network, x = MultiScaleNetwork(8).eval(), random_batch([N], N).visual[:, :, :8]
    before = network(x, None)
    torch.nn.init.ones_(network.attention.query.weight)
    assert_close(network(x, None), before, rtol=0, atol=0)


def test_widths_follow_the_features() -> None:
    for width, head in ((2048, [512, 128]), (512, [128, 32])):
        detector = build("rtfm", settings_of("rtfm", {}), Dimensions({"visual": width}, len(CLASSES), 32))
        assert [detector.first.out_features, detector.second.out_features] == head
        assert detector.temporal.reduce.out_channels == width // 4


def test_published_recipe() -> None:
    recipe = settings_of("rtfm", {}).recipe
    assert (recipe.batches, recipe.batch_size, recipe.views) == ("pairs", 32, "together")
    assert (recipe.bag.kind, recipe.bag.length) == ("resample", 32)
    optimizer = recipe.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.weight_decay) == ("adam", 1e-3, 5e-3)
    assert recipe.rounds * (recipe.steps_per_round or 0) == 15_000
    assert recipe.loss_weights == {"binary": 1.0, "magnitude": 1e-4, "smooth": 8e-4, "sparse": 8e-3}
