"""Worker processes that may crash or hang without ending the run, and that stream their results.

Executors of other packages return one result per task. A decoder has to send frames while it decodes, so that memory
does not grow with the length of a video and the encoder never waits for a whole file.
"""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from avadclip import pulse

Task = Callable[[], Iterator[Any]]  # picklable; runs in a worker


@dataclass(frozen=True)
class Item:
    """One thing that the task `key` yielded."""

    key: str
    value: Any


@dataclass(frozen=True)
class Finished:
    """The task `key` has yielded everything."""

    key: str


@dataclass(frozen=True)
class Failed:
    """The task `key` ended early: it raised (`error` is the exception's class name), crashed or hung."""

    key: str
    reason: str
    error: str


Event = Item | Finished | Failed

KILLED = "Killed"  # `error` of a worker that was killed from outside: by a person, or by the system when memory ran out

# How often a busy worker without a result gives a sign of life; a small part of any time limit in use.
_PULSE_SECONDS = 0.5


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    key: str | None = None
    last_seen: float = field(default_factory=time.monotonic)


class GuardedPool:
    """A few worker processes. Use it as a context manager: submit tasks, then iterate over :meth:`events`.

    Parameters
    ----------
    workers : number of processes, which are started when they are needed.
    stall_seconds : a worker that gives no sign of life for this long while it is waited for is killed, and its task
        fails. Every result is a sign of life, and so is every :func:`avadclip.pulse.beat` of its task, so that a large
        file does not count as a hang.
    """

    def __init__(self, workers: int, stall_seconds: float) -> None:
        self._context = multiprocessing.get_context("spawn")  # decoders and CUDA do not survive a fork
        self._limit = workers
        self._stall_seconds = stall_seconds
        self._queue: deque[tuple[str, Task]] = deque()
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in list(self._workers):
            self._end(worker)

    def submit(self, key: str, task: Task) -> None:
        """Queue a task; may be called while :meth:`events` is being iterated."""
        self._queue.append((key, task))

    def start(self) -> None:
        """Start the queued tasks now, without waiting for results; :meth:`events` does it, too."""
        self._hand_out()

    def events(self) -> Iterator[Event]:
        """What the workers send, as it arrives, until no task is queued or running.

        Workers run ahead until their pipe is full and then wait, so memory is bounded also if the consumer is slow.
        """
        while self._queue or any(worker.key is not None for worker in self._workers):
            self._hand_out()
            busy = [worker for worker in self._workers if worker.key is not None]
            ready = wait([worker.connection for worker in busy], timeout=min(1.0, self._stall_seconds))
            for worker in busy:
                if worker.connection in ready:
                    event = self._receive(worker)
                    self._hand_out()  # or the worker would be idle while the consumer handles the result
                    if event is not None:
                        yield event
                elif self._has_stalled(worker):
                    yield self._fail(worker, f"no progress for {self._stall_seconds:g} s", "Stalled")

    def _hand_out(self) -> None:
        idle = [worker for worker in self._workers if worker.key is None]
        while self._queue and (idle or len(self._workers) < self._limit):
            worker = idle.pop() if idle else self._start()
            key, task = self._queue.popleft()
            try:
                worker.connection.send(task)
            except (BrokenPipeError, ConnectionResetError):  # it was killed while it was idle
                self._end(worker)
                self._queue.appendleft((key, task))
                continue
            worker.key, worker.last_seen = key, time.monotonic()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()  # or the pipe would stay open when the worker ends
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _receive(self, worker: _Worker) -> Event | None:
        try:
            kind, payload = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            code = worker.process.exitcode
            return self._fail(
                worker,
                f"the process ended with {_exit_name(code)}",
                KILLED if code == -signal.SIGKILL else "Crashed",
            )
        worker.last_seen = time.monotonic()
        assert worker.key is not None
        key = worker.key
        if kind == "pulse":
            return None
        if kind == "item":
            return Item(key, payload)
        worker.key = None
        return Finished(key) if kind == "finished" else Failed(key, reason=payload[1], error=payload[0])

    def _has_stalled(self, worker: _Worker) -> bool:
        # The consumer may have been busy for a long time: what has arrived meanwhile counts as a sign of life.
        return time.monotonic() - worker.last_seen > self._stall_seconds and not worker.connection.poll()

    def _fail(self, worker: _Worker, reason: str, error: str) -> Failed:
        assert worker.key is not None
        self._end(worker)
        return Failed(worker.key, reason, error)

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)


def _serve(connection: Connection) -> None:
    """Body of a worker: take tasks and send what they yield, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    while True:
        try:
            task: Task = connection.recv()
            _run(task, connection)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _run(task: Task, connection: Connection) -> None:
    pulse.listen(_Pulse(connection))
    try:
        for item in task():
            connection.send(("item", item))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # whatever a library raises on a bad file ends that task, not the run
        connection.send(("failed", (type(error).__name__, str(error) or type(error).__name__)))
    else:
        connection.send(("finished", None))
    finally:
        pulse.listen(None)


class _Pulse:
    """Passes on beats, but not all of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._latest = time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._latest > _PULSE_SECONDS:
            self._latest = now
            self._connection.send(("pulse", None))


def _exit_name(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
