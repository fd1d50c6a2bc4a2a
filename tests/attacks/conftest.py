"""Limits on memory and time, so that an attack that succeeds fails its own test and nothing else."""

import faulthandler
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.attacks.limits import little_memory

SECONDS = 600  # a busy machine takes its time


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    with little_memory():
        yield


@pytest.fixture(autouse=True)
def little_time() -> Iterator[None]:
    """End a test that waits or computes for ever."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not refused within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    faulthandler.dump_traceback_later(SECONDS + 30, exit=True)  # a library in C does not react to the signal
    yield
    faulthandler.cancel_dump_traceback_later()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
