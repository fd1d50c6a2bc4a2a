"""Batches, learning rates and optimisers by name."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from avadclip.detectors.settings import Bag, Optimizer, Recipe, Schedule
from avadclip.errors import ConfigError, TrainingError
from avadclip.training.batches import plan_round
from avadclip.training.data import Sample, TrainingSet
from avadclip.training.optimisation import make_optimizer, rate_factor, set_learning_rate


def training_set(n_normal: int, n_anomalous: int) -> TrainingSet:
    labels = np.array([[1, 0]] * n_normal + [[0, 1]] * n_anomalous, np.float32)
    samples = tuple(Sample(video, 4, (0,), 0) for video in range(len(labels)))
    return TrainingSet(samples, Bag(), labels, None, None, None)


def plan(n_normal: int, n_anomalous: int, seed: int = 0, **recipe: Any) -> list[list[int]]:
    return plan_round(training_set(n_normal, n_anomalous), Recipe(**recipe), np.random.default_rng(seed))


def test_mixed_takes_every_sample_once_and_keeps_the_last_batch() -> None:
    batches = plan(7, 6, batch_size=5)
    assert [len(batch) for batch in batches] == [5, 5, 3]
    assert sorted(i for batch in batches for i in batch) == list(range(13))
    assert batches == plan(7, 6, batch_size=5)
    assert batches != plan(7, 6, batch_size=5, seed=1)


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_steps_go_through_all_samples_before_any_comes_again(steps: int) -> None:
    batches = plan(7, 6, batch_size=5, steps_per_round=steps)
    assert len(batches) == steps
    counts = Counter(i for batch in batches for i in batch)
    assert max(counts.values()) - min(counts[i] for i in range(13)) <= 1


@pytest.mark.parametrize(("n_normal", "n_anomalous"), [(1, 1), (3, 2), (7, 6), (40, 3)])
@pytest.mark.parametrize(("batches", "of_a_pass"), [("mixed", lambda n, m: n + m), ("pairs", max)])
def test_a_pass_of_too_few_steps_goes_on_into_the_next(
    n_normal: int, n_anomalous: int, batches: Any, of_a_pass: Callable[[int, int], int]
) -> None:
    once = plan(n_normal, n_anomalous, batches=batches, batch_size=5)
    found = plan(n_normal, n_anomalous, batches=batches, batch_size=5, least_steps=4)
    size = 5 if batches == "mixed" else min(5, n_normal, n_anomalous)
    assert len(found) == max(4, math.ceil(of_a_pass(n_normal, n_anomalous) / size))
    assert found[: len(once)] == once  # where the videos suffice, nothing changes
    counts = Counter(i for batch in found for i in batch if i < n_normal)
    assert max(counts.values()) - min(counts[i] for i in range(n_normal)) <= 1


@pytest.mark.parametrize(("n_normal", "n_anomalous", "n_steps"), [(10, 10, 3), (4, 9, 3), (21, 6, 6), (2, 9, 5)])
def test_pairs_hold_as_many_of_each_sort_the_normal_ones_first(n_normal: int, n_anomalous: int, n_steps: int) -> None:
    batches = plan(n_normal, n_anomalous, batches="pairs", batch_size=4)
    size = min(4, n_normal, n_anomalous)
    assert len(batches) == n_steps
    for batch in batches:
        assert len(batch) == 2 * size
        assert all(i < n_normal for i in batch[:size])
        assert all(i >= n_normal for i in batch[size:])
    assert {i for batch in batches for i in batch} == set(range(n_normal + n_anomalous))


@pytest.mark.parametrize("sorts", [(0, 5), (5, 0)])
def test_pairs_need_both_sorts(sorts: tuple[int, int]) -> None:
    with pytest.raises(TrainingError, match="batches of pairs need both sorts, found"):
        plan(*sorts, batches="pairs")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(), [1, 1, 1, 1, 1]),
        (Schedule(kind="milestones", milestones=(2, 4), gamma=0.1), [1, 1, 0.1, 0.1, 0.01]),
        (Schedule(kind="constant", warm_up_rounds=3), [1 / 3, 2 / 3, 1, 1, 1]),
        (Schedule(kind="cosine"), [1, 0.904508, 0.654508, 0.345492, 0.095492]),
        (Schedule(kind="cosine", cosine_rounds=10), [1, 0.975528, 0.904508, 0.793893, 0.654508]),
        (Schedule(kind="cosine", warm_up_rounds=2), [0.5, 1, 0.853553, 0.5, 0.146447]),
    ],
)
def test_learning_rate_of_each_round(schedule: Schedule, expected: list[float]) -> None:
    assert [rate_factor(schedule, round_, 5) for round_ in range(1, 6)] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["adamw", "adam", "adagrad", "sgd"])
def test_groups_have_their_own_rate_and_decay(name: Any) -> None:
    body, head = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    settings = Optimizer(name=name, learning_rate=0.1, weight_decay=0.0, groups={"head": {"learning_rate": 0.4}})
    optimizer = make_optimizer({"body": [body], "head": [head]}, settings)
    recipe = Recipe(optimizer=settings, schedule=Schedule(kind="milestones", milestones=(1,), gamma=0.5))
    assert set_learning_rate(optimizer, recipe, 2) == pytest.approx(0.05)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.2])
    assert type(optimizer).__name__.lower() == name
    (body.sum() + head.sum()).backward()
    optimizer.step()
    assert (1 - body[0]).item() < (1 - head[0]).item()  # the larger rate moves further


def test_a_group_that_the_detector_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="no parameter group 'heads'; it has body"):
        make_optimizer({"body": [nn.Parameter(torch.ones(1))]}, Optimizer(groups={"heads": {"learning_rate": 0.1}}))
