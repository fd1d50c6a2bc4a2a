"""Switches of the paper's detectors against memorising videos: off by default, and each does what it says."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from avadclip.detectors.parts.branches import BranchDetector, BranchOutput
from avadclip.detectors.parts.pretraining import pretrain
from avadclip.detectors.protocol import Detector, LabelledBatch, Targets
from avadclip.detectors.registry import build, settings_of
from avadclip.training.optimisation import make_optimizer
from tests.support.training_factory import dimensions, random_batch, text_tower

KINDS: dict[str, dict[str, Any]] = {
    "audio_visual": {"audio_dropout": 0.0},  # so that nothing is random but what a test switches on
    "student": {"distillation": "none", "local_window": 8},
    "vadclip": {"local_window": 8},
}
BATCH = random_batch([32, 20, 9, 1], 32)
SKIP = {"temporal.skip.weight", "temporal.skip.bias", "temporal.gate"}

# Switch, its values for off and on, the weights that it adds, and those that it removes.
SWITCHES: list[tuple[str, Any, Any, set[str], set[str]]] = [
    ("feature_norm", None, 3.0, set(), set()),
    ("feature_dropout", 0.0, 0.5, set(), set()),
    ("temperature", 0.07, 1.0, set(), set()),
    ("freeze_prompts", False, True, set(), set()),
    ("positions", True, False, set(), {"temporal.positions"}),
    ("skip", False, True, SKIP, set()),
]


def detector_of(kind: str, **switches: Any) -> Detector:
    torch.manual_seed(1)
    values = KINDS[kind] | {"mask_padding": True} | switches
    return build(kind, settings_of(kind, values), dimensions(), text_tower())


def output_of(detector: Detector, **changes: Tensor) -> BranchOutput:
    torch.manual_seed(2)
    with torch.no_grad():
        output = detector(replace(BATCH, **changes))
    assert isinstance(output, BranchOutput)
    return output


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "off", "on", "added", "taken"), SWITCHES)
def test_a_switch_is_off_by_default_and_changes_no_other_weights(
    kind: str, name: str, off: Any, on: Any, added: set[str], taken: set[str]
) -> None:
    released, switched = detector_of(kind), detector_of(kind, **{name: on})
    assert getattr(released.settings, name) == off
    assert switched.state_dict().keys() - released.state_dict().keys() == added
    assert released.state_dict().keys() - switched.state_dict().keys() == taken
    trained = output_of(switched.train())
    as_released = torch.equal(output_of(released.train()).class_logits, trained.class_logits)
    assert as_released == (name == "freeze_prompts")  # that one shows only in training steps


@pytest.mark.parametrize("kind", KINDS)
def test_feature_norm_forgets_lengths(kind: str) -> None:
    assert BATCH.visual is not None
    assert BATCH.audio is not None
    longer = {"visual": 7 * BATCH.visual, "audio": 0.3 * BATCH.audio}
    for norm, same in ((3.0, True), (None, False)):
        detector = detector_of(kind, feature_norm=norm).eval()
        expected, found = output_of(detector), output_of(detector, **longer)
        assert torch.allclose(expected.features, found.features, rtol=1e-4, atol=1e-5) == same  # float32
    detector = detector_of(kind, feature_norm=3.0)
    lengths = detector.snippets(BATCH, "visual").norm(dim=2)
    assert_close(lengths, 3.0 * BATCH.valid)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_random_in_training_alone_and_spares_what_a_student_learns(kind: str) -> None:
    released, switched = detector_of(kind), detector_of(kind, feature_dropout=0.5)
    for detector in (released, switched):
        detector.train()
    expected, found = output_of(released), output_of(switched)
    assert torch.equal(expected.features, found.features)
    assert not torch.equal(expected.anomaly_logits, found.anomaly_logits)
    assert not torch.equal(expected.class_logits, found.class_logits)
    expected, found = output_of(released.eval()), output_of(switched.eval())
    assert torch.equal(expected.anomaly_logits, found.anomaly_logits)
    assert torch.equal(expected.class_logits, found.class_logits)


@pytest.mark.parametrize("kind", KINDS)
def test_without_positions_is_as_if_they_were_zero(kind: str) -> None:
    switched, with_zeros = detector_of(kind, positions=False).eval(), detector_of(kind).eval()
    with_zeros.load_state_dict(switched.state_dict(), strict=False)
    torch.nn.init.zeros_(with_zeros.temporal.positions)
    assert torch.equal(output_of(switched).anomaly_logits, output_of(with_zeros).anomaly_logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_temperature_divides_the_alignment_map(kind: str, temperature: float) -> None:
    released, switched = detector_of(kind).eval(), detector_of(kind, temperature=temperature).eval()
    assert_close(0.07 / temperature * output_of(released).class_logits, output_of(switched).class_logits)


def test_at_first_the_skip_path_looks_at_single_snippets_and_then_at_their_context() -> None:
    detector = detector_of("audio_visual", modalities=["visual"], fusion="none", av_prompt="none", skip=True).eval()
    assert BATCH.visual is not None
    others = BATCH.visual.clone()
    others[:, 1:] += 1.0
    for gate, alone in ((0.0, True), (0.5, False)):
        torch.nn.init.constant_(detector.temporal.gate, gate)
        expected, found = output_of(detector), output_of(detector, visual=others)
        assert torch.equal(expected.anomaly_logits[:3, 0], found.anomaly_logits[:3, 0]) == alone
        assert torch.equal(expected.class_logits[:3, 0], found.class_logits[:3, 0]) == alone


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("switch", "moved"), [({"freeze_prompts": True}, False), ({}, True), ({"skip": True}, True)])
def test_a_step_opens_the_gate_and_moves_prompts_unless_they_are_frozen(
    kind: str, switch: dict[str, Any], moved: bool
) -> None:
    detector = detector_of(kind, **switch).train()
    before = {name: p.detach().clone() for name, p in detector.named_parameters()}
    optimizer = make_optimizer(detector.parameter_groups(), detector.settings.recipe.optimizer)
    terms = detector.losses(detector(BATCH), BATCH, Targets(torch.eye(3)[[0, 1, 2, 0]]))
    torch.stack(list(terms.values())).sum().backward()
    optimizer.step()
    changed = {name for name, p in detector.named_parameters() if not torch.equal(p, before[name])}
    assert ("branches.prompts.context" in changed) == moved
    assert ("temporal.gate" in changed) == ("skip" in switch)
    assert "branches.classifier.weight" in changed


def test_without_the_focal_loss_the_detector_is_otherwise_the_same() -> None:
    released, switched = detector_of("audio_visual"), detector_of("audio_visual", focal=False)
    assert released.state_dict().keys() - switched.state_dict().keys() == {"branches.focal_weights"}
    expected, found = output_of(released.eval()), output_of(switched.eval())
    assert torch.equal(expected.class_logits, found.class_logits)
    targets = Targets(torch.eye(3)[[0, 1, 2, 0]])
    terms, without = released.losses(expected, BATCH, targets), switched.losses(found, BATCH, targets)
    assert {name for name in terms if not torch.equal(terms[name], without[name])} == {"align"}


@pytest.mark.parametrize("kind", KINDS)
def test_pretraining_learns_to_restore_hidden_snippets_and_touches_nothing_else(kind: str) -> None:
    """Snippets of one video are much alike, so that neighbours help to restore them."""
    assert BATCH.visual is not None
    rows = [slice(0, 1), slice(1, 2)]
    samples = [
        LabelledBatch(
            replace(
                BATCH,
                visual=BATCH.visual[row],
                audio=None if BATCH.audio is None else BATCH.audio[row],
                audio_valid=None if BATCH.audio_valid is None else BATCH.audio_valid[row],
                n_snippets=BATCH.n_snippets[row],
            ),
            torch.zeros(1, 3),
        )
        for row in rows
    ]
    detector, released = detector_of(kind, pretraining_rounds=2), detector_of(kind)
    assert all(torch.equal(a, b) for a, b in zip(detector.parameters(), released.parameters(), strict=True))
    detector.observe(iter(samples))
    released.observe(iter(samples))
    changed = {name for name, x in detector.state_dict().items() if not torch.equal(x, released.state_dict()[name])}
    assert changed
    assert all(name.startswith("temporal.") for name in changed)
    videos = [3 * x.batch.visual[:, : int(x.batch.n_snippets)] for x in samples if x.batch.visual is not None]
    torch.manual_seed(3)
    errors = []
    for rounds in (1, 60):
        fresh = detector_of(kind)
        assert isinstance(fresh, BranchDetector)
        errors.append(pretrain(fresh.temporal, videos, rounds))
    assert errors[1] < 0.8 * errors[0]
    assert errors[0] > 0.5  # of features with a root mean square of 1
    assert "pretraining_rounds" not in released.settings.model_dump(mode="json")
