"""VadCLIP is the visual student without distillation and enhancement, with its own loss."""

import pytest
import torch
from torch.testing import assert_close

from avadclip.detectors.protocol import Detector, Targets
from avadclip.detectors.registry import build, settings_of
from tests.support.training_factory import dimensions, random_batch, text_tower


def pair(mask_padding: bool) -> tuple[Detector, Detector]:
    """VadCLIP and the student, with the student's weights in both."""
    common = {"local_window": 8, "mask_padding": mask_padding}
    torch.manual_seed(0)
    student = build(
        "student",
        settings_of("student", common | {"distillation": "none", "enhancement_layers": 0}),
        dimensions(),
        text_tower(),
    )
    vadclip = build("vadclip", settings_of("vadclip", common), dimensions(), text_tower())
    weights = student.state_dict()
    del weights["branches.focal_weights"]  # VadCLIP has no focal term
    vadclip.load_state_dict(weights)
    return vadclip, student


@pytest.mark.parametrize("mask_padding", [False, True])
def test_same_weights_same_scores(mask_padding: bool) -> None:
    vadclip, student = (detector.eval() for detector in pair(mask_padding))
    batch = random_batch([32, 9, 1], 32)
    for ours, theirs in zip(
        vars(vadclip.scores(vadclip(batch), batch)).values(),
        vars(student.scores(student(batch), batch)).values(),
        strict=True,
    ):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)


def test_its_loss_has_no_focal_term() -> None:
    vadclip, student = pair(mask_padding=False)
    batch = random_batch([32, 20, 9], 32)
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1]])
    found = vadclip.losses(vadclip(batch), batch, Targets(labels))
    expected = student.losses(student(batch), batch, Targets(labels))
    assert found.keys() == {"binary", "nce", "text"}
    for name in ("binary", "text"):
        assert_close(found[name], expected[name])
    class_logits = vadclip(batch).class_logits
    by_hand = []
    for video, n in enumerate([32, 20, 9]):
        k = n // 16 + 1
        top = torch.stack([class_logits[video, :n, c].sort(descending=True).values[:k].mean() for c in range(3)])
        wanted = labels[video] / labels[video].sum()
        by_hand.append(-(wanted * top.log_softmax(dim=0)).sum())
    assert_close(found["nce"], torch.stack(by_hand).mean())
