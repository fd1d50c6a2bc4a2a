"""BN-WVAD against a slow oracle, written from the published facts."""

import pytest
import torch
from torch.testing import assert_close

from avadclip.detectors.protocol import Detector, Dimensions, Targets
from avadclip.detectors.registry import build, settings_of
from tests.support import bn_wvad_oracle as oracle
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

SMALL = {"width": 16, "heads": 2, "head_width": 5, "mlp_width": 12, "head_widths": [6, 4]}
LENGTHS = [20, 11, 20, 15]
LABELS = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1]])


def build_it() -> Detector:
    torch.manual_seed(0)
    settings = settings_of("bn_wvad", SMALL)
    return build("bn_wvad", settings, Dimensions({"visual": WIDTHS["visual"]}, len(CLASSES), 32))


def double(detector: Detector) -> dict[str, torch.Tensor]:
    return {name: x.detach().double().clone() for name, x in detector.state_dict().items()}


def test_losses_statistics_and_scores_by_hand() -> None:
    detector = build_it().train()
    batch = random_batch(LENGTHS, 20)
    videos = [batch.visual[i, :n] for i, n in enumerate(LENGTHS)]
    expected, after = oracle.losses(double(detector), videos[:2], videos[2:], heads=2)
    terms = detector.losses(detector(batch), batch, Targets(LABELS))
    assert terms.keys() == expected.keys() == settings_of("bn_wvad", {}).recipe.loss_weights.keys()
    for name, value in expected.items():
        assert_close(terms[name].double(), value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
    for name, value in after.items():
        assert_close(detector.state_dict()[name].double(), value, rtol=1e-5, atol=1e-6)

    detector.eval()  # with those statistics
    with torch.no_grad():
        found = detector.scores(detector(batch), batch).anomaly
    for i, n in enumerate(LENGTHS):
        unbounded = oracle.scores(double(detector), videos[i], heads=2)
        assert_close(found[i, :n].double(), unbounded / (1 + unbounded), rtol=0, atol=1e-5)  # float32 against float64


@pytest.mark.parametrize("sort", [0, 1])
def test_a_batch_of_one_sort_has_finite_losses(sort: int) -> None:
    detector = build_it().train()
    batch = random_batch([20, 9], 20)
    terms = detector.losses(detector(batch), batch, Targets(torch.eye(3)[[sort, sort]]))
    assert all(term.isfinite() for term in terms.values())
    assert terms["first_triplet"] == 0


def test_published_recipe() -> None:
    recipe = settings_of("bn_wvad", {}).recipe
    assert (recipe.batches, recipe.batch_size, recipe.gradient_norm) == ("pairs", 64, 1.0)
    assert (recipe.bag.kind, recipe.bag.length) == ("resample", 200)
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate, recipe.optimizer.weight_decay) == (
        "adam",
        1e-4,
        5e-5,
    )
    assert recipe.rounds * (recipe.steps_per_round or 0) == 1_000
