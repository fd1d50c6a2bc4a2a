"""Same parameters, same features, same machine type -> same bytes, however often a run was interrupted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils import deterministic


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """In the block, torch uses only deterministic algorithms, and raises if there is none."""
    # cuBLAS is deterministic only with a fixed workspace, which it reads from here when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    memory: Any = deterministic  # mypy does not see the attribute
    before = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    # Torch would fill every new array in case it is read before it is written: a tenth of a step on a CPU.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        memory.fill_uninitialized_memory = before[1]


def seed_round(seed: int, round_: int) -> np.random.Generator:
    """Start torch's random numbers (dropout) and those of the returned generator (order of samples) for one round.

    Round 0 is the initialisation. Every round starts from (seed, round), so no random state has to be saved for
    resuming.
    """
    for_torch, for_order = np.random.SeedSequence([seed, round_]).spawn(2)
    torch.manual_seed(int(for_torch.generate_state(1)[0]))
    return np.random.default_rng(for_order)
