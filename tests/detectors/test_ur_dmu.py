"""UR-DMU against a slow oracle, written from the published facts."""

import pytest
import torch
from torch.testing import assert_close

from avadclip.detectors.protocol import Detector, Dimensions, Targets
from avadclip.detectors.registry import build, needs, settings_of
from tests.support import ur_dmu_oracle as oracle
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

SMALL = {"width": 16, "heads": 2, "head_width": 5, "mlp_width": 12, "memory_size": 20, "head_hidden": 6}


def build_it(**values: object) -> Detector:
    settings = settings_of("ur_dmu", SMALL | values)
    torch.manual_seed(0)
    widths = {modality: WIDTHS[modality] for modality in needs("ur_dmu", settings).modalities}
    return build("ur_dmu", settings, Dimensions(widths, len(CLASSES), 32))


@pytest.mark.parametrize("modalities", [["visual"], ["visual", "audio"]])
def test_scores_by_hand(modalities: list[str]) -> None:
    detector = build_it(modalities=modalities).eval()
    batch = random_batch([20, 9, 1], 20)
    audio = batch.audio * batch.audio_valid[:, :, None]
    features = torch.cat([batch.visual, audio], dim=2) if len(modalities) == 2 else batch.visual
    weights = {name: x.double() for name, x in detector.state_dict().items()}
    with torch.no_grad():
        found = detector.scores(detector(batch), batch).anomaly
    for video, n in enumerate([20, 9, 1]):
        expected = oracle.scores(weights, features[video, :n], heads=2)
        assert_close(found[video, :n].double(), expected, rtol=0, atol=1e-6)  # float32 against float64


@pytest.mark.parametrize("kl_over", ["features", "time"])
def test_losses_by_hand(kl_over: str) -> None:
    detector = build_it(dropout=0.0, kl_over=kl_over).train()
    lengths = [20, 9, 20, 17]
    batch = random_batch(lengths, 20)
    labels = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]])
    torch.manual_seed(3)
    found = detector.losses(detector(batch), batch, Targets(labels))
    torch.manual_seed(3)
    noise = torch.randn(2, 20, SMALL["width"])
    videos = [batch.visual[video, :n] for video, n in enumerate(lengths)]
    weights = {name: x.double() for name, x in detector.state_dict().items()}
    expected = oracle.losses(weights, videos[:2], videos[2:], [noise[0], noise[1, :9]], heads=2, kl_over=kl_over)
    assert found.keys() == expected.keys() == settings_of("ur_dmu", {}).recipe.loss_weights.keys()
    for name, value in expected.items():
        assert_close(found[name].double(), value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("labels", [[1, 1], [0, 0]])
def test_a_batch_of_one_sort_has_finite_losses(labels: list[int]) -> None:
    detector = build_it().train()
    batch = random_batch([20, 9], 20)
    terms = detector.losses(detector(batch), batch, Targets(torch.eye(3)[[int(not label) for label in labels]]))
    assert all(term.isfinite() for term in terms.values())
    assert terms["triplet"] == 0
    assert terms["binary"] > 0


def test_published_recipe() -> None:
    recipe = settings_of("ur_dmu", {}).recipe
    assert (recipe.batches, recipe.batch_size) == ("pairs", 64)
    assert (recipe.bag.kind, recipe.bag.length) == ("resample", 200)
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate, recipe.optimizer.weight_decay) == (
        "adam",
        1e-4,
        5e-5,
    )
    assert recipe.rounds * (recipe.steps_per_round or 0) == 3_000
