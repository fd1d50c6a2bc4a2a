"""Which samples are in each batch of a round, which depends on the random generator alone."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

import numpy as np

from avadclip.detectors.protocol import LabelledBatch
from avadclip.detectors.settings import Recipe
from avadclip.errors import TrainingError
from avadclip.training.data import TrainingSet


def plan_round(data: TrainingSet, recipe: Recipe, random: np.random.Generator) -> list[list[int]]:
    """The samples of every batch of one round, given by index.

    ``mixed``: all samples in random order; the last batch of a pass may be smaller. ``pairs``: `batch_size` normal
    samples and then as many anomalous ones, drawn so that all samples of a sort are used before any of them is used
    again; a pass ends when all samples of the larger sort have been used. A pass of fewer than `least_steps` batches
    goes on into the next one until the round has so many.

    Raises
    ------
    TrainingError : the batches are pairs, but one sort is missing.
    """
    everything = range(len(data.samples))
    if recipe.batches == "mixed":
        passes = (_cut(random.permutation(len(everything)).tolist(), recipe.batch_size) for _ in _forever())
        return list(islice(chain.from_iterable(passes), recipe.n_steps(math.ceil(len(everything) / recipe.batch_size))))
    normal = [index for index in everything if data.is_normal(index)]
    anomalous = [index for index in everything if not data.is_normal(index)]
    if not normal or not anomalous:
        found = f"{len(normal)} normal and {len(anomalous)} anomalous samples"
        raise TrainingError(f"batches of pairs need both sorts, found {found}; use `batches: mixed`, or label more")
    size = min(recipe.batch_size, len(normal), len(anomalous))
    n_steps = recipe.n_steps(math.ceil(max(len(normal), len(anomalous)) / size))
    firsts, seconds = _endless(normal, random), _endless(anomalous, random)
    return [[*islice(firsts, size), *islice(seconds, size)] for _ in range(n_steps)]


def ahead(prepare: Callable[[Sequence[int]], LabelledBatch], plan: Sequence[Sequence[int]]) -> Iterator[LabelledBatch]:
    """``map(prepare, plan)``, where another thread prepares the next batch; at most two exist at a time."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(prepare, plan[0])
        for following in plan[1:]:
            current, coming = coming, thread.submit(prepare, following)
            yield current.result()
        yield coming.result()


def _cut(order: list[int], size: int) -> list[list[int]]:
    return [order[first : first + size] for first in range(0, len(order), size)]


def _endless(sort: Sequence[int], random: np.random.Generator) -> Iterator[int]:
    for _ in _forever():
        yield from random.permutation(sort).tolist()


def _forever() -> Iterator[None]:
    while True:
        yield None
