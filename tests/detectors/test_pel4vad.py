"""PEL4VAD against a slow oracle, written from the published facts."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from avadclip.detectors.protocol import Detector, Targets
from avadclip.detectors.registry import build, settings_of
from tests.support import pel4vad_oracle as oracle
from tests.support.training_factory import dimensions, random_batch, text_tower

SMALL = {"attention_width": 6, "window": 5, "score_width": 7}
LENGTHS = [20, 33, 9, 17]


def build_it(**values: object) -> Detector:
    torch.manual_seed(0)
    detector = build("pel4vad", settings_of("pel4vad", SMALL | values), dimensions(33), text_tower())
    with torch.no_grad():
        detector.attention.share.fill_(0.7)
    return detector


def double(detector: Detector) -> dict[str, torch.Tensor]:
    return {name: x.detach().double() for name, x in detector.state_dict().items()}


def test_losses_by_hand() -> None:
    detector = build_it(dropout=0.0).train()
    batch = random_batch(LENGTHS, 33)
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]])
    terms = detector.losses(detector(batch), batch, Targets(labels))
    videos = [batch.visual[i, :n] for i, n in enumerate(LENGTHS)]
    expected = oracle.losses(double(detector), videos, [0, 1, 2, 1], detector.class_embeddings, window=5)
    assert terms.keys() == expected.keys() == settings_of("pel4vad", {}).recipe.loss_weights.keys()
    for name, value in expected.items():
        assert_close(terms[name].double(), value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("smoothing", [1, 8])
def test_scores_by_hand(smoothing: int) -> None:
    detector = build_it(smoothing=smoothing).eval()
    batch = random_batch(LENGTHS, 33)
    with torch.no_grad():
        found = detector.scores(detector(batch), batch).anomaly
    for i, n in enumerate(LENGTHS):
        confidence, _ = oracle.forward(double(detector), batch.visual[i, :n], window=5)
        blocks = [confidence[t - t % smoothing : t - t % smoothing + smoothing].mean() for t in range(n)]
        assert_close(found[i, :n].double(), torch.stack(blocks), rtol=0, atol=1e-6)  # float32 against float64


def test_class_embeddings_are_those_of_the_names_alone() -> None:
    tower = text_tower()
    tokens = tower.token_embedding[tower.token_ids]
    expected = tower(tokens, tower.token_ids.argmax(dim=1))
    assert_close(build_it().class_embeddings, expected.detach())


def test_padding_takes_part_only_as_released() -> None:
    assert not build_it().padding_matters
    released = build_it(mask_padding=False).eval()
    batch = random_batch([9], 20)
    short = replace(batch, visual=batch.visual[:, :9])
    difference = released(batch).anomaly_logits[0, :9] - released(short).anomaly_logits[0]
    assert released.padding_matters
    assert difference.abs().max() > 1e-4


def test_power_norm_of_the_other_data_sets() -> None:
    batch = random_batch([20], 20)
    plain, normed = (build_it(power_norm=on).eval()(batch).anomaly_logits for on in (False, True))
    assert (plain - normed).abs().max() > 1e-4


def test_published_recipe() -> None:
    recipe = settings_of("pel4vad", {}).recipe
    assert (recipe.batches, recipe.batch_size, recipe.rounds) == ("mixed", 128, 50)
    assert (recipe.bag.kind, recipe.bag.length) == ("pick", 200)
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate, recipe.optimizer.weight_decay) == ("adam", 5e-4, 0)
    assert (recipe.schedule.kind, recipe.schedule.cosine_rounds) == ("cosine", 60)
