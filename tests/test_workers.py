"""Guarded workers: whatever a task does to its process, the other tasks are done and the failure is named."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from avadclip.extraction.warm_up import warm_up
from avadclip.workers import Failed, Finished, GuardedPool, Item, Task

pytestmark = pytest.mark.usefixtures("spawned")


@dataclass(frozen=True)
class Count:
    n: int

    def __call__(self) -> Iterator[int]:
        yield from range(self.n)


@dataclass(frozen=True)
class Misbehave:
    how: str

    def __call__(self) -> Iterator[str]:
        yield "something"
        if self.how == "raise":
            raise ValueError("bad file")
        if self.how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.how == "exit":
            os._exit(3)
        time.sleep(600)


def run(tasks: dict[str, Task], workers: int = 2) -> dict[str, list[object]]:
    """Run the tasks, and return every event by task; `None` stands for the end."""
    seen: dict[str, list[object]] = {key: [] for key in tasks}
    # A worker may need many seconds to start on a busy machine, which must not count as a hang.
    with GuardedPool(workers, stall_seconds=30) as pool:
        for key, task in tasks.items():
            pool.submit(key, task)
        for event in pool.events():
            match event:
                case Item(key, value):
                    seen[key].append(value)
                case Finished(key):
                    seen[key].append(None)
                case Failed(key):
                    seen[key].append(event)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_every_item_arrives_once_and_in_order(workers: int) -> None:
    seen = run({f"task {n}": Count(n) for n in range(6)}, workers)
    assert seen == {f"task {n}": [*range(n), None] for n in range(6)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error", "reason"),
    [
        ("raise", "ValueError", "bad file"),
        ("crash", "Crashed", "the process ended with signal SIGSEGV"),
        ("exit", "Crashed", "the process ended with exit code 3"),
        ("hang", "Stalled", "no progress for 30 s"),
    ],
)
def test_a_task_that_misbehaves_costs_only_itself(how: str, error: str, reason: str) -> None:
    seen = run({"before": Count(3), "bad": Misbehave(how), "after": Count(3), "last": Count(3)}, workers=1)
    assert seen.pop("bad") == ["something", Failed("bad", reason, error)]
    assert seen == {key: [0, 1, 2, None] for key in ("before", "after", "last")}


@pytest.mark.slow
def test_a_consumer_that_is_slow_is_no_reason_to_end_a_worker() -> None:
    with GuardedPool(1, stall_seconds=30) as pool:
        pool.submit("slow consumer", Count(1))
        events = []
        for event in pool.events():
            pool._stall_seconds = 1  # only from now on, when the worker has started
            events.append(event)
            time.sleep(2)
    assert events == [Item("slow consumer", 0), Finished("slow consumer")]


def test_a_task_may_be_submitted_while_events_are_read() -> None:
    with GuardedPool(2, stall_seconds=30) as pool:
        pool.submit("first", Misbehave("raise"))
        ended = []
        for event in pool.events():
            if isinstance(event, Failed):
                pool.submit("second", Count(1))
            if isinstance(event, Finished):
                ended.append(event.key)
    assert ended == ["second"]


def test_workers_end_with_the_pool() -> None:
    with GuardedPool(2, stall_seconds=30) as pool:
        for key in ("a", "b"):
            pool.submit(key, Misbehave("hang"))
        events = pool.events()
        assert {next(events).key, next(events).key} == {"a", "b"}
        processes = [worker.process for worker in pool._workers]
    assert [process.is_alive() for process in processes] == [False, False]


def what_is_loaded() -> Iterator[bool]:
    """A task: load the libraries for decoding, as before a first video, and say whether torch was loaded, too."""
    yield from warm_up(("visual", "audio"))
    yield "torch" in sys.modules


@pytest.mark.slow
def test_decoding_needs_no_torch() -> None:
    """Torch would take most of the time that a worker needs to start, and most of its memory."""
    seen = run({"": what_is_loaded})
    assert seen == {"": [None, False, None]}
