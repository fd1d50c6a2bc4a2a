"""One training step: forward, named losses, backward, checks, update."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avadclip.detectors.parts import losses
from avadclip.detectors.protocol import Detector, LabelledBatch, Targets
from avadclip.detectors.settings import SEGMENTS
from avadclip.errors import ConfigError, TrainingError


def train_step(
    detector: Detector,
    teacher: Detector | None,
    data: LabelledBatch,
    optimizer: torch.optim.Optimizer,
) -> dict[str, Tensor]:
    """Update the detector with one batch on its device; return the unweighted loss terms, detached.

    Raises
    ------
    ConfigError : a loss term has no weight, or the detector cannot learn from segments.
    TrainingError : a loss term or a gradient is not finite; the detector is not updated.
    """
    recipe = detector.settings.recipe
    reduced = recipe.precision == "bfloat16"
    with torch.autocast(data.labels.device.type, torch.bfloat16, enabled=reduced):
        output = detector(data.batch)
        with torch.no_grad():
            taught = None if teacher is None else teacher(data.batch)
    terms = detector.losses(output, data.batch, Targets(data.labels, taught))
    if data.anomalous_share is not None:
        terms[SEGMENTS] = losses.segments(_confidences(detector, output, data), data.anomalous_share, data.batch.valid)
    check_losses(terms)
    optimizer.zero_grad()
    torch.autograd.backward(weighted_sum(terms, recipe.loss_weights))
    check_gradients(detector)
    if recipe.gradient_norm is not None:
        torch.nn.utils.clip_grad_norm_(detector.parameters(), recipe.gradient_norm)
    optimizer.step()
    return {name: value.detach() for name, value in terms.items()}


def _confidences(detector: Detector, output: Any, data: LabelledBatch) -> Tensor:
    found = detector.confidences(output, data.batch)
    if not found.requires_grad:
        raise ConfigError(
            f"recipe.loss_weights.{SEGMENTS}: {type(detector).__name__} cannot learn from segments, because in training"
            " no gradient comes through its `scores`; set the weight to 0, or override `confidences` in its file"
        )
    return found


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The loss. Weights of terms that this detector does not have are not used.

    Raises
    ------
    ConfigError : a loss term has no weight.
    """
    missing = terms.keys() - weights.keys()
    if missing:
        raise ConfigError(f"recipe.loss_weights: no weight for {', '.join(sorted(missing))}; add it to params.yaml")
    return torch.stack([weights[name] * value for name, value in terms.items()]).sum()


def check_losses(terms: Mapping[str, Tensor]) -> None:
    """Raise :class:`TrainingError` that names the loss terms that are not finite."""
    finite = torch.stack(list(terms.values())).isfinite().tolist()  # one transfer from the device
    if not all(finite):
        lost = ", ".join(name for name, ok in zip(terms, finite, strict=True) if not ok)
        raise TrainingError(f"loss {lost} is not finite; check the features, lower `learning_rate`, or use float32")


def check_gradients(detector: Detector) -> None:
    """Raise :class:`TrainingError` that names a parameter whose gradient is not finite."""
    gradients = {name: p.grad for name, p in detector.named_parameters() if p.grad is not None}
    if not torch.nn.utils.get_total_norm(gradients.values()).isfinite():
        lost = next((name for name, g in gradients.items() if not g.isfinite().all()), "the sum of all parameters")
        raise TrainingError(f"gradient of {lost} is not finite; lower `learning_rate`, or use float32")
