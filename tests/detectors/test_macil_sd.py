"""MACIL-SD against a slow oracle, written from the published facts; its twin and its rounds."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from avadclip.detectors.protocol import Detector, Dimensions, Targets
from avadclip.detectors.registry import build, needs, settings_of
from avadclip.training.optimisation import make_optimizer
from tests.support import macil_sd_oracle as oracle
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

LENGTHS = [20, 33, 9, 17]
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1]])


def build_it(**values: object) -> Detector:
    settings = settings_of("macil_sd", {"width": 16, "mlp_width": 12, **values})
    torch.manual_seed(0)
    widths = {modality: WIDTHS[modality] for modality in needs("macil_sd", settings).modalities}
    return build("macil_sd", settings, Dimensions(widths, len(CLASSES), 33))


def double(detector: Detector) -> dict[str, torch.Tensor]:
    return {name: x.double() for name, x in detector.state_dict().items()}


@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_one_modality_by_hand(modality: str) -> None:
    detector = build_it(modalities=[modality], dropout=0.0).train()
    batch = random_batch(LENGTHS, 33)
    features = batch.visual if modality == "visual" else batch.audio * batch.audio_valid[:, :, None]
    output = detector(batch)
    found = detector.scores(output, batch).anomaly
    logits = [oracle.alone(double(detector), "stream", features[i, :n], heads=4) for i, n in enumerate(LENGTHS)]
    for i, n in enumerate(LENGTHS):
        assert_close(found[i, :n].double(), torch.sigmoid(logits[i]), rtol=0, atol=1e-6)  # float32 against float64
    terms = detector.losses(output, batch, Targets(LABELS))
    assert terms.keys() == {"binary"}
    assert_close(terms["binary"].double(), oracle.bag(logits, [0, 1, 0, 1]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("swapped", [False, True])
def test_both_modalities_by_hand(swapped: bool) -> None:
    detector = build_it(dropout=0.0, swapped_contrast=swapped).train()
    batch = random_batch(LENGTHS, 33)
    batch = replace(batch, audio_valid=batch.valid)  # silent snippets would all sound alike, and tie in the ranking
    with torch.no_grad():  # so that two videos look anomalous and two do not
        totals = [detector(batch).anomaly_logits[i, :n].topk(n // 16 + 1).values.mean() for i, n in enumerate(LENGTHS)]
        detector.stream.head.bias -= torch.stack(totals).median() / 2 + 1e-3
        detector.finished_rounds.fill_(6)
    audio = batch.audio * batch.audio_valid[:, :, None]
    weights = double(detector)
    videos = [oracle.both(weights, batch.visual[i, :n], audio[i, :n], heads=4) for i, n in enumerate(LENGTHS)]
    output = detector(batch)
    found = detector.scores(output, batch).anomaly
    for i, n in enumerate(LENGTHS):
        assert_close(found[i, :n].double(), torch.sigmoid(videos[i][2] + videos[i][3]), rtol=0, atol=1e-6)
    twin = [oracle.alone(weights, "twin", batch.visual[i, :n], heads=4) for i, n in enumerate(LENGTHS)]
    expected = {name: 6 / 15 * value for name, value in oracle.contrast(videos, swapped).items()}
    expected["binary"] = oracle.bag([by_sight + by_sound for _, _, by_sight, by_sound in videos], [0, 1, 0, 1])
    expected["twin"] = oracle.bag(twin, [0, 1, 0, 1])
    terms = detector.losses(output, batch, Targets(LABELS))
    assert terms.keys() == expected.keys() == settings_of("macil_sd", {}).recipe.loss_weights.keys()
    for name, value in expected.items():
        assert_close(terms[name].double(), value, rtol=1e-4, atol=0, msg=lambda text, name=name: f"{name}: {text}")


def test_contrast_needs_both_sorts_and_begins_after_the_first_round() -> None:
    detector = build_it().train()
    batch = random_batch(LENGTHS, 33)
    terms = detector.losses(detector(batch), batch, Targets(LABELS))
    assert terms["audio_against_normal"] == 0
    detector.after_round(1)
    with torch.no_grad():
        detector.stream.head.bias += 100.0
    terms = detector.losses(detector(batch), batch, Targets(LABELS))
    assert terms["audio_against_normal"] == 0  # everything looks anomalous


def test_after_a_round_the_twin_is_mixed_in_and_audio_stays() -> None:
    detector = build_it(recipe={"rounds": 4})
    before = {name: x.clone() for name, x in detector.state_dict().items()}
    detector.after_round(2)
    kept = 1 - 0.09 * 0.5 * (1 + math.cos(math.pi / 4))
    after = detector.state_dict()
    for name in ("project.weight", "layer.value.bias", "layer.mlp_norm.weight", "head.bias"):
        expected = kept * before[f"stream.{name}"] + (1 - kept) * before[f"twin.{name}"]
        assert_close(after[f"stream.{name}"], expected)
        assert torch.equal(after[f"twin.{name}"], before[f"twin.{name}"])
    assert torch.equal(after["project_audio.weight"], before["project_audio.weight"])
    assert not any(name.startswith("twin") for name in detector.inference_state())


def test_one_modality_is_trained_without_a_twin() -> None:
    detector = build_it(modalities=["visual"]).train()
    before = detector.stream.head.bias.clone()
    optimizer = make_optimizer(detector.parameter_groups(), detector.settings.recipe.optimizer)
    batch = random_batch(LENGTHS, 33)
    detector.losses(detector(batch), batch, Targets(LABELS))["binary"].backward()
    optimizer.step()
    detector.after_round(1)
    assert detector.stream.head.bias != before


def test_padding_takes_part_only_as_released() -> None:
    assert not build_it().padding_matters
    released = build_it(mask_padding=False).eval()
    batch = random_batch([9], 20)
    short = replace(batch, visual=batch.visual[:, :9], audio=batch.audio[:, :9], audio_valid=batch.audio_valid[:, :9])
    difference = released(batch).anomaly_logits[0, :9] - released(short).anomaly_logits[0]
    assert released.padding_matters
    assert difference.abs().max() > 1e-4


def test_published_recipe() -> None:
    recipe = settings_of("macil_sd", {}).recipe
    assert (recipe.batches, recipe.batch_size, recipe.rounds) == ("mixed", 128, 50)
    assert (recipe.bag.kind, recipe.bag.length) == ("pick", 200)
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate, recipe.optimizer.weight_decay) == ("adam", 4e-4, 0)
    assert recipe.optimizer.groups == {"twin": {"learning_rate": 8e-5}}
    assert (recipe.schedule.kind, recipe.schedule.cosine_rounds) == ("cosine", 60)
