"""Optimisers and learning rates by name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from avadclip.detectors.settings import Optimizer, Recipe, Schedule
from avadclip.errors import ConfigError


def make_optimizer(groups: Mapping[str, Sequence[nn.Parameter]], settings: Optimizer) -> torch.optim.Optimizer:
    """An optimiser of torch over the parameter groups of a detector; each group keeps its full rate as `base_rate`.

    Raises
    ------
    ConfigError : `settings.groups` names a group that the detector does not have.
    """
    if unknown := sorted(settings.groups.keys() - groups.keys()):
        raise ConfigError(
            f"recipe.optimizer.groups: this detector has no parameter group {unknown[0]!r}; it has {', '.join(groups)}"
        )
    described: list[dict[str, Any]] = []
    for name, parameters in groups.items():
        own = settings.groups.get(name, {})
        rate = own.get("learning_rate", settings.learning_rate)
        decay = own.get("weight_decay", settings.weight_decay)
        described.append({"params": list(parameters), "lr": rate, "base_rate": rate, "weight_decay": decay})
    match settings.name:
        case "adamw":
            return torch.optim.AdamW(described, settings.learning_rate, fused=True)
        case "adam":
            return torch.optim.Adam(described, settings.learning_rate, fused=True)
        case "adagrad":
            return torch.optim.Adagrad(described, settings.learning_rate)
        case "sgd":
            return torch.optim.SGD(described, settings.learning_rate, momentum=settings.momentum)


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, round_: int) -> float:
    """Set every group's rate for a round, counted from 1; return that of the first group."""
    factor = rate_factor(recipe.schedule, round_, recipe.rounds)
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
    return float(optimizer.param_groups[0]["lr"])


def rate_factor(schedule: Schedule, round_: int, n_rounds: int) -> float:
    """The factor of the full rate in a round, counted from 1 in each phase."""
    if round_ < schedule.warm_up_rounds:
        return round_ / schedule.warm_up_rounds
    match schedule.kind:
        case "constant":
            return 1.0
        case "milestones":
            fallen: float = schedule.gamma ** sum(round_ > milestone for milestone in schedule.milestones)
            return fallen
        case "cosine":  # from 1 in the first round after the warm-up to almost 0 in the last
            first = max(1, schedule.warm_up_rounds)
            return 0.5 * (1 + math.cos(math.pi * (round_ - first) / ((schedule.cosine_rounds or n_rounds) - first + 1)))
