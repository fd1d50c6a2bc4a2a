"""The training loop, one for all detectors."""

import copy
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from avadclip.detectors.protocol import Detector, LabelledBatch
from avadclip.detectors.settings import Recipe
from avadclip.errors import TrainingError
from avadclip.progress import rate_progress
from avadclip.training.augmentation import augmented
from avadclip.training.averaging import average_rounds
from avadclip.training.batches import ahead, plan_round
from avadclip.training.curves import Curves
from avadclip.training.data import TrainingSet
from avadclip.training.optimisation import make_optimizer, set_learning_rate
from avadclip.training.reproducibility import deterministic_algorithms, seed_round
from avadclip.training.resume import Best, Progress, copy_weights, load_state, save_state
from avadclip.training.selection import RoundScore
from avadclip.training.step import train_step

_log = logging.getLogger(__name__)

Watch = Callable[[int, Detector], None]


def fit(
    detector: Detector,
    data: TrainingSet,
    seed: int,
    run: Path,
    identity: str,
    score: RoundScore | None = None,
    teacher: Detector | None = None,
    goes_on_from_best: bool = False,
    watch: Watch | None = None,
    n_rounds: int | None = None,
) -> int:
    """Train a detector, which ends in evaluation mode with the weights of the chosen round; return that round's number.

    Parameters
    ----------
    detector, teacher : on the same device; the teacher is frozen and in evaluation mode.
    run : folder for curves and for the state after each round; a state of the same `identity` is resumed.
    score : scores the detector after a round; the highest is chosen; None chooses the last round.
    goes_on_from_best : each round starts from the best one so far, as in the authors' code.
    watch : called with the detector, in evaluation mode, after each round, whose number counts from 1.
    n_rounds : number of rounds after which training stops; None: all of the recipe.

    Raises
    ------
    TrainingError : a loss or a gradient is not finite; names round, step and loss term.
    ConfigError : a loss term has no weight.
    """
    recipe = detector.settings.recipe
    optimizer = make_optimizer(detector.parameter_groups(), recipe.optimizer)
    predecessor = copy.deepcopy(detector).requires_grad_(False).eval() if recipe.phases > 1 else None
    progress = load_state(run, identity, detector, optimizer, predecessor)
    if progress.round == 0:
        detector.observe(data.all_samples(detector.n_positions, _device(detector)))
    with deterministic_algorithms(), Curves(run, progress.round) as curves:
        for finished in range(progress.round + 1, (n_rounds or recipe.phases * recipe.rounds) + 1):
            phase, round_ = divmod(finished - 1, recipe.rounds)
            if predecessor is not None and phase > 0 and round_ == 0:
                predecessor.load_state_dict(detector.state_dict())
            values = _train_round(detector, predecessor if phase > 0 else teacher, data, optimizer, seed, finished)
            detector.eval()
            sums = average_rounds(detector, progress.sums, round_ + 1)
            detector.after_round(finished)
            best = progress.best
            if score is not None:
                values["average_precision"] = found = score(detector)
                if best is None or found > best.score:
                    best = Best(finished, found, copy_weights(detector))
                if goes_on_from_best:
                    detector.load_state_dict(best.weights)
            if watch is not None:
                watch(finished, detector)
            progress = Progress(finished, best, sums)
            curves.log(finished, values)
            save_state(run, identity, progress, detector, optimizer, predecessor if phase > 0 else None)
            _log.info("round %d: %s", finished, ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    detector.eval()
    if progress.best is not None:
        detector.load_state_dict(progress.best.weights)
    return progress.round if progress.best is None else progress.best.round


def _train_round(
    detector: Detector,
    teacher: Detector | None,
    data: TrainingSet,
    optimizer: torch.optim.Optimizer,
    seed: int,
    finished: int,
) -> dict[str, float]:
    """Train one round; return the mean of every loss term over the samples, the learning rate and the throughput."""
    recipe: Recipe = detector.settings.recipe
    random = seed_round(seed, finished)
    rate = set_learning_rate(optimizer, recipe, (finished - 1) % recipe.rounds + 1)
    plan = plan_round(data, recipe, random)
    device, models = _device(detector), [detector, *([teacher] if teacher is not None else [])]

    def n_positions(longest: int) -> int:
        return max(model.n_positions(longest) for model in models)

    def prepare(chosen: Sequence[int]) -> LabelledBatch:
        batch = data.batch(chosen, n_positions, random)
        return augmented(batch, recipe.augment, detector.modalities, random).to(device)

    detector.train()
    sums: dict[str, torch.Tensor] = {}
    n_samples = sum(map(len, plan))
    started = time.perf_counter()
    with rate_progress() as bar:
        task = bar.add_task(f"round {finished}/{recipe.phases * recipe.rounds}", total=n_samples, unit="samples")
        for step, (chosen, batch) in enumerate(zip(plan, ahead(prepare, plan), strict=True), start=1):
            try:
                terms = train_step(detector, teacher, batch, optimizer)
            except TrainingError as error:
                raise TrainingError(f"round {finished}, step {step}: {error}") from None
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value * len(chosen)
            bar.advance(task, len(chosen))
    means = {f"loss/{name}": float(value) / n_samples for name, value in sums.items()}
    seconds = time.perf_counter() - started
    return means | {"learning_rate": rate, "samples_per_second": n_samples / seconds}


def _device(detector: Detector) -> torch.device:
    return next(detector.parameters()).device
