"""Limits on memory and time that are the same on every machine."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_SECONDS = 300  # for a file of a few kilobytes from the fuzzer, on a busy machine
SPARE_BYTES = 600 << 20  # beyond what is mapped already


@contextmanager
def little_memory() -> Iterator[None]:
    """Code that asks for gigabytes gets a MemoryError, which no reader may let through."""
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + SPARE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
