"""The training loop of both encoders: seeded order, AdamW, warm-up and cosine decay; and saving them."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from avadclip.errors import TrainingError
from avadclip.io import sha256_of, write_bytes
from avadclip.progress import rate_progress
from avadclip.training.reproducibility import seed_round

_log = logging.getLogger(__name__)

WARM_UP_SHARE = 0.1  # of the steps


@dataclass(frozen=True)
class Settings:
    """How an encoder is trained."""

    seed: int
    epochs: int
    batch_size: int
    learning_rate: float  # highest
    weight_decay: float = 0.05


def fit(model: nn.Module, n_samples: int, loss_of: Callable[[Tensor], Tensor], settings: Settings) -> None:
    """Train `model` in place; it ends in evaluation mode.

    Parameters
    ----------
    n_samples : each epoch uses all of them once in random order, except a last incomplete batch.
    loss_of : indices int64 [batch] -> scalar loss; draws random numbers from torch only, which are seeded here.

    Raises
    ------
    TrainingError : fewer samples than a batch, or a loss that is not finite; the message names epoch and step.
    """
    steps = n_samples // settings.batch_size
    if steps == 0:
        raise TrainingError(f"{n_samples} samples are less than one batch of {settings.batch_size}; lower `batch_size`")
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps * settings.epochs))
    with rate_progress() as bar:
        task = bar.add_task("training", total=steps * settings.epochs, unit="steps")
        for epoch in range(1, settings.epochs + 1):
            order = torch.from_numpy(seed_round(settings.seed, epoch).permutation(n_samples))
            model.train()
            total = 0.0
            for step in range(steps):
                loss = loss_of(order[step * settings.batch_size : (step + 1) * settings.batch_size])
                if not loss.isfinite():
                    raise TrainingError(f"epoch {epoch}, step {step + 1}: loss is not finite; lower `learning_rate`")
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                total += loss.item()
                bar.advance(task)
            _log.info("epoch %d: loss %.4f", epoch, total / steps)
    model.eval()


def save_half(model: nn.Module, path: Path) -> str:
    """Write a state dict as safetensors, floating-point tensors as float16; return the file's sha256."""
    tensors = model.state_dict()
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    write_bytes(path, save({name: tensor.contiguous() for name, tensor in halves.items()}))
    return sha256_of(path)


def rounded_to_half(model: nn.Module) -> None:
    """Round the parameters of a model as :func:`save_half` does."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())


def _rate(step: int, n_steps: int) -> float:
    """Share of the highest learning rate."""
    warm_up = max(1, round(WARM_UP_SHARE * n_steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, n_steps - warm_up)))
