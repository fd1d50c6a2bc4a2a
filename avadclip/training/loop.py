"""The training loop, one for teacher, baselines and students."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from avadclip.config.training import Training
from avadclip.detectors.protocol import Detector
from avadclip.errors import TrainingError
from avadclip.progress import rate_progress
from avadclip.training.curves import Curves
from avadclip.training.data import LabelledBatch, TrainingSet
from avadclip.training.reproducibility import deterministic_algorithms, seed_epoch
from avadclip.training.resume import Best, Progress, copy_weights, load_state, save_state
from avadclip.training.selection import Judge
from avadclip.training.step import train_step

_log = logging.getLogger(__name__)


def fit(
    detector: Detector,
    data: TrainingSet,
    training: Training,
    run: Path,
    identity: str,
    judge: Judge | None = None,
    teacher: Detector | None = None,
) -> int:
    """Train a detector; it ends in evaluation mode with the weights of the chosen epoch, whose number is returned.

    Parameters
    ----------
    detector, teacher : on the same device; the teacher is frozen and in evaluation mode.
    run : folder for curves and for the state after each epoch; a state of the same `identity` is resumed.
    judge : scores an epoch, the highest is chosen; None chooses the last.

    Raises
    ------
    TrainingError : a loss or a gradient is not finite; names epoch, step and loss term.
    ConfigError : a loss term has no weight.
    """
    trainable = [parameter for parameter in detector.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, training.learning_rate, weight_decay=training.weight_decay, fused=True)
    progress = load_state(run, identity, detector, optimizer)
    with deterministic_algorithms(), Curves(run, progress.epoch) as curves:
        for epoch in range(progress.epoch + 1, training.epochs + 1):
            values = _train_epoch(detector, teacher, data, optimizer, training, epoch)
            detector.eval()
            best = progress.best
            if judge is not None:
                values["average_precision"] = score = judge(detector)
                if best is None or score > best.score:
                    best = Best(epoch, score, copy_weights(detector))
                if training.selection == "released_test_selected":
                    detector.load_state_dict(best.weights)  # the authors go on from the best epoch so far
            progress = Progress(epoch, best)
            curves.log(epoch, values)
            save_state(run, identity, progress, detector, optimizer)
            _log.info("epoch %d: %s", epoch, ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    detector.eval()
    if progress.best is not None:
        detector.load_state_dict(progress.best.weights)
    return progress.epoch if progress.best is None else progress.best.epoch


def learning_rate(training: Training, epoch: int) -> float:
    """In `epoch`, counted from 1: falls by `gamma` after every milestone."""
    return training.learning_rate * training.gamma ** sum(epoch > milestone for milestone in training.milestones)


def _train_epoch(
    detector: Detector,
    teacher: Detector | None,
    data: TrainingSet,
    optimizer: torch.optim.Optimizer,
    training: Training,
    epoch: int,
) -> dict[str, float]:
    """One pass over all samples; returns the mean of every loss term, the learning rate and the throughput."""
    random = seed_epoch(training.seed, epoch)
    rate = learning_rate(training, epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate
    detector.train()
    sums: dict[str, torch.Tensor] = {}
    started = time.perf_counter()
    n_samples = len(data.samples)
    with rate_progress() as bar:
        task = bar.add_task(f"epoch {epoch}/{training.epochs}", total=n_samples, unit="samples")
        for step, batch in enumerate(_batches(detector, teacher, data, training, random), start=1):
            try:
                terms = train_step(detector, teacher, batch, optimizer, training)
            except TrainingError as error:
                raise TrainingError(f"epoch {epoch}, step {step}: {error}") from None
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value * len(batch.labels)
            bar.advance(task, len(batch.labels))
    means = {f"loss/{name}": float(value) / n_samples for name, value in sums.items()}
    seconds = time.perf_counter() - started
    return means | {"learning_rate": rate, "samples_per_second": n_samples / seconds}


def _batches(
    detector: Detector, teacher: Detector | None, data: TrainingSet, training: Training, random: np.random.Generator
) -> Iterator[LabelledBatch]:
    """All samples once, in random order; a thread prepares the next batch while this one is computed."""
    order = random.permutation(len(data.samples)).tolist()
    device = next(detector.parameters()).device
    models = [detector] if teacher is None else [detector, teacher]

    def prepare(first: int) -> LabelledBatch:
        chosen = order[first : first + training.batch_size]
        longest = data.longest(chosen)
        return data.batch(chosen, max(model.n_positions(longest) for model in models)).to(device)

    return ahead(prepare, range(0, len(order), training.batch_size))


def ahead(prepare: Callable[[int], LabelledBatch], firsts: Sequence[int]) -> Iterator[LabelledBatch]:
    """``map(prepare, firsts)``, with the next item prepared in another thread; at most two exist at a time."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(prepare, firsts[0])
        for following in firsts[1:]:
            current, coming = coming, thread.submit(prepare, following)
            yield current.result()
        yield coming.result()
