"""DeepMIL against a slow oracle, written from the published facts, and what it does not need."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.protocol import Dimensions, Targets
from avadclip.detectors.registry import build, needs, settings_of
from tests.support.training_factory import CLASSES, WIDTHS, random_batch


def build_it(**values: object) -> torch.nn.Module:
    settings = settings_of("deep_mil", {"hidden": [10, 4], **values})
    torch.manual_seed(0)
    widths = {modality: WIDTHS[modality] for modality in needs("deep_mil", settings).modalities}
    return build("deep_mil", settings, Dimensions(widths, len(CLASSES), 32))


def score_slow(detector: torch.nn.Module, snippet: Tensor) -> Tensor:
    """Score one segment of unit length with three layers; there is no activation after the second."""
    unit = snippet / snippet.norm()
    hidden = detector.second(torch.clamp(detector.first(unit), min=0))
    return 1 / (1 + torch.exp(-detector.last(hidden)[0]))


@pytest.mark.parametrize("modalities", [["visual"], ["visual", "audio"]])
def test_scores_and_losses_by_hand(modalities: list[str]) -> None:
    detector = build_it(modalities=modalities, dropout=0.0).train()
    lengths = [32, 32, 32, 32]
    batch = random_batch(lengths, 32)
    audio = batch.audio * batch.audio_valid[:, :, None]
    features = torch.cat([batch.visual, audio], dim=2) if len(modalities) == 2 else batch.visual
    labels = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    slow = torch.stack([torch.stack([score_slow(detector, s) for s in video]) for video in features])
    output = detector(batch)
    assert_close(detector.scores(output, batch).anomaly, slow)

    found = detector.losses(output, batch, Targets(labels))
    hinges = [sum(torch.clamp(1 - slow[j].max() + slow[i].max(), min=0) for j in (2, 3)) for i in (0, 1)]
    steps = [(slow[v, t] - slow[v, t + 1]) ** 2 for v in (2, 3) for t in range(31)]
    weights = [layer.weight for layer in (detector.first, detector.second, detector.last)]
    expected = {
        "rank": torch.stack(hinges).mean(),
        "sparse": slow[2:].sum(),
        "smooth": torch.stack(steps).sum(),
        "weights": sum((w**2).sum() for w in weights),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(found[name], value, rtol=1e-5, atol=1e-6)  # float32 sums in another order


def test_a_batch_of_one_sort_has_no_ranking_loss() -> None:
    detector = build_it()
    batch = random_batch([32, 9], 32)
    terms = detector.losses(detector(batch), batch, Targets(torch.eye(3)[[1, 2]]))
    assert terms["rank"] == 0
    assert terms["sparse"] > 0


def test_published_recipe() -> None:
    recipe = settings_of("deep_mil", {}).recipe
    assert (recipe.batches, recipe.batch_size) == ("pairs", 30)
    assert (recipe.bag.kind, recipe.bag.length) == ("resample", 32)
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate) == ("adagrad", 0.01)
    assert recipe.rounds * (recipe.steps_per_round or 0) == 20_000
    assert recipe.loss_weights == {"rank": 1.0, "sparse": 8e-5, "smooth": 8e-5, "weights": 1e-3}


def test_it_needs_no_text_tower_and_names_no_classes() -> None:
    wanted = needs("deep_mil", settings_of("deep_mil", {}))
    assert not wanted.text_tower
    assert not wanted.teacher
    detector = build_it().eval()
    batch = random_batch([9], 9)
    assert detector.scores(detector(batch), batch).class_probabilities is None


def test_glorot_initialisation() -> None:
    detector = build_it(hidden=[512, 32])
    for layer in (detector.first, detector.second):
        expected = (2 / (layer.in_features + layer.out_features)) ** 0.5
        # the standard deviation of as many draws as there are weights, at least 6,000, lies within 5 %
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert (layer.bias == 0).all()
