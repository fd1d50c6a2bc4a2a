"""A machine with little memory and an alarm clock, so that an attack that succeeds fails its test and nothing else."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

SPARE_BYTES = 600 << 20  # beyond what is mapped already
SECONDS = 600  # a busy machine takes its time


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """What would take gigabytes gets a MemoryError, which no reader may answer with."""
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + SPARE_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(autouse=True)
def little_time() -> Iterator[None]:
    """What waits for ever, or computes for ever, is ended."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not refused within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
