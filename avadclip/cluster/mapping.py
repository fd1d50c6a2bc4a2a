"""A map over independent rows on the actors of a Ray cluster, which may die at any time."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from avadclip.cluster.host import Host, Worker
from avadclip.cluster.placement import Place, places
from avadclip.cluster.session import living_nodes
from avadclip.config.execution import Execution
from avadclip.errors import AvadclipError, ClusterError

log = logging.getLogger(__name__)

LOOK_AROUND_SECONDS = 5.0  # time between searches for nodes that have joined or left
PATIENCE_SECONDS = 60.0  # without any place for a worker
FAILED_STARTS = 3  # in a row, after which a place is given up
DEATHS_IN_A_ROW = 20  # without a finished row: then the rows are not the cause


@dataclass(frozen=True)
class Row:
    """One item of work: `value` is pickled to a worker, `key` identifies it here."""

    key: str
    value: Any


@dataclass(frozen=True)
class Done:
    """A worker returned `result` for the row `key`."""

    key: str
    result: Any


@dataclass(frozen=True)
class Lost:
    """The row `key` was tried as often as allowed, and its worker died each time."""

    key: str
    reason: str


@dataclass
class _Try:
    row: Row
    n_deaths: int = 0  # of workers, while this row was with them


@dataclass
class _Slot:
    """A place with an actor. It is given rows when `starting` has returned."""

    place: Place
    actor: Any
    starting: Any  # a reference; None once the actor is ready
    n_failed_starts: int
    in_flight: dict[Any, _Try] = field(default_factory=dict)


def map_rows(
    ray: Any,
    rows: Iterable[Row],
    make_worker: Callable[[], Worker],
    execution: Execution,
    *,
    root: str,
    in_flight_per_worker: int,
    is_concurrent: bool,
    may_use_gpu: bool,
) -> Iterator[Done | Lost]:
    """Give every row to a worker; yield results when they are ready.

    A row whose worker dies is given to another worker, from then on alone, so that no other row is blamed for it.
    `rows` is read only as fast as workers take them, so the memory of this process does not grow with their number.

    Parameters
    ----------
    ray : from :func:`avadclip.cluster.session.connected`.
    make_worker : makes what runs in an actor; pickled.
    root : the folder that workers work in, on every node.
    in_flight_per_worker : rows that one worker has at a time ...
    is_concurrent : ... each in a thread of its own, or one after the other.
    may_use_gpu : see :func:`avadclip.cluster.placement.places`.

    Raises
    ------
    AvadclipError : a worker cannot be made, or a row raised one.
    ClusterError : there is no place for a worker, or workers die whatever they are given.
    """
    mapping = _Mapping(ray, rows, make_worker, execution, root, in_flight_per_worker, is_concurrent, may_use_gpu)
    try:
        yield from mapping.results()
    finally:
        mapping.end()


class _Mapping:
    def __init__(
        self,
        ray: Any,
        rows: Iterable[Row],
        make_worker: Callable[[], Worker],
        execution: Execution,
        root: str,
        in_flight_per_worker: int,
        is_concurrent: bool,
        may_use_gpu: bool,
    ) -> None:
        self._ray, self._execution = ray, execution
        self._fresh = iter(rows)
        self._suspects: deque[_Try] = deque()  # rows during which a worker died: each is tried alone
        self._pickled_make = ray.cloudpickle.dumps(make_worker)
        self._root, self._limit, self._may_use_gpu = root, in_flight_per_worker, may_use_gpu
        self._n_threads = in_flight_per_worker if is_concurrent else 1
        self._slots: dict[tuple[str, int], _Slot] = {}
        self._given_up: dict[tuple[str, int], str] = {}
        self._kinds: set[str] = set()
        self._n_deaths_in_a_row = 0
        self._looked_around = -LOOK_AROUND_SECONDS
        self._had_a_ready_slot = time.monotonic()
        self._next = next(self._fresh, None)

    def results(self) -> Iterator[Done | Lost]:
        while self._next is not None or self._suspects or any(slot.in_flight for slot in self._slots.values()):
            self._look_around()
            for slot in self._slots.values():
                self._hand_out(slot)
            for slot, reference in self._ready():
                if reference is slot.starting:
                    self._started(slot)
                elif reference in slot.in_flight:  # else the slot has died meanwhile
                    yield from self._finished(slot, reference)

    def end(self) -> None:
        for slot in self._slots.values():
            self._ray.kill(slot.actor)
        self._slots.clear()

    def _look_around(self) -> None:
        """Start workers on nodes with free places."""
        now = time.monotonic()
        if any(slot.starting is None for slot in self._slots.values()):
            self._had_a_ready_slot = now
        if now - self._looked_around < LOOK_AROUND_SECONDS:
            return
        self._looked_around = now
        offered = places(living_nodes(self._ray), self._execution, self._may_use_gpu)
        limit = self._execution.workers if isinstance(self._execution.workers, int) else len(offered)
        for place in offered:
            key = (place.node.id, place.index)
            if len(self._slots) < limit and key not in self._slots and key not in self._given_up:
                self._slots[key] = self._place(place, n_failed_starts=0)
        waited = now - self._had_a_ready_slot
        if not self._slots and (self._given_up or waited > PATIENCE_SECONDS):
            raise ClusterError(self._no_place())
        if waited > PATIENCE_SECONDS:
            log.warning("no worker has been running for %.0f s; %s", waited, self._needs())
            self._had_a_ready_slot = now

    def _place(self, place: Place, n_failed_starts: int) -> _Slot:
        ray = self._ray
        actor = (
            ray.remote(Host)
            .options(
                num_cpus=place.cpus,
                num_gpus=place.gpus,
                max_concurrency=self._n_threads,
                scheduling_strategy=ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                    place.node.id, soft=False
                ),
            )
            .remote(self._pickled_make, self._root, place.threads)
        )
        return _Slot(place, actor, actor.start.remote(), n_failed_starts)

    def _hand_out(self, slot: _Slot) -> None:
        if slot.starting is not None:
            return
        if self._suspects and not slot.in_flight:
            self._send(slot, self._suspects.popleft())
        if any(attempt.n_deaths for attempt in slot.in_flight.values()):
            return  # a suspect stays alone
        while self._next is not None and len(slot.in_flight) < self._limit:
            row, self._next = self._next, next(self._fresh, None)
            self._send(slot, _Try(row))

    def _send(self, slot: _Slot, attempt: _Try) -> None:
        slot.in_flight[slot.actor.run.remote(attempt.row.value)] = attempt

    def _ready(self) -> list[tuple[_Slot, Any]]:
        owners = {slot.starting: slot for slot in self._slots.values() if slot.starting is not None}
        owners |= {reference: slot for slot in self._slots.values() for reference in slot.in_flight}
        if not owners:
            time.sleep(0.5)  # every node is gone; one may join
            return []
        references = list(owners)
        ready, waiting = self._ray.wait(references, num_returns=1, timeout=1.0)
        if ready and waiting:
            ready += self._ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]
        return [(owners[reference], reference) for reference in ready]

    def _started(self, slot: _Slot) -> None:
        try:
            kind = self._get(slot.starting)
        except _WorkerDied as death:
            self._replace(slot, f"did not start: {death}", slot.n_failed_starts + 1)
            return
        slot.starting, slot.n_failed_starts = None, 0
        self._kinds.add(kind)
        log.info("worker on %s: %s", slot.place.node.address, kind)
        if len(self._kinds) > 1:
            log.warning("workers of different kinds; last digits may differ: %s", "; ".join(sorted(self._kinds)))

    def _finished(self, slot: _Slot, reference: Any) -> Iterator[Done | Lost]:
        try:
            result = self._get(reference)
        except _WorkerDied as death:
            yield from self._died(slot, str(death))
            return
        self._n_deaths_in_a_row = 0
        yield Done(slot.in_flight.pop(reference).row.key, result)

    def _get(self, reference: Any) -> Any:
        """The result; errors of this project are raised as they are, all others as the death of the worker."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, AvadclipError):
                raise error.cause from None
            raise _WorkerDied(f"{type(error.cause).__name__}: {error.cause}") from error
        except errors.RayError as error:
            raise _WorkerDied(_first_line(error)) from error

    def _died(self, slot: _Slot, reason: str) -> Iterator[Lost]:
        alone = len(slot.in_flight) == 1
        for attempt in slot.in_flight.values():
            attempt.n_deaths += 1
            if alone and attempt.n_deaths > self._execution.retries:
                yield Lost(attempt.row.key, f"its worker died {attempt.n_deaths} times: {reason}")
            else:
                self._suspects.append(attempt)
        self._n_deaths_in_a_row += 1
        if self._n_deaths_in_a_row >= DEATHS_IN_A_ROW:
            raise ClusterError(
                f"{self._n_deaths_in_a_row} workers died in a row, the last one on {slot.place.node.address}: {reason};"
                " finished results are kept; see Ray's logs on that machine, then run the same command again"
            )
        self._replace(slot, f"died with {len(slot.in_flight)} rows: {reason}", n_failed_starts=0)

    def _replace(self, slot: _Slot, why: str, n_failed_starts: int) -> None:
        """Start another actor at the same place, if its node is still alive."""
        key = (slot.place.node.id, slot.place.index)
        log.warning("worker on %s %s", slot.place.node.address, why)
        self._ray.kill(slot.actor)
        slot.in_flight.clear()
        del self._slots[key]
        if n_failed_starts >= FAILED_STARTS:
            self._given_up[key] = f"{slot.place.node.address} {why}"
        elif any(node.id == slot.place.node.id for node in living_nodes(self._ray)):
            self._slots[key] = self._place(slot.place, n_failed_starts)

    def _needs(self) -> str:
        execution = self._execution
        nodes = ", ".join(f"{n.address}: {n.cpus:g} CPUs, {n.gpus:g} GPUs" for n in living_nodes(self._ray))
        return (
            f"a worker takes {execution.cpus_per_worker} CPUs and {execution.gpus_per_worker} GPUs (section `execution`"
            f" of params.yaml), and the cluster has {nodes or 'no node'}; others may be using it"
        )

    def _no_place(self) -> str:
        if self._given_up:
            reasons = "; ".join(sorted(set(self._given_up.values())))
            return f"no worker starts on any node: {reasons}; see Ray's logs there"
        return f"no place for a worker: {self._needs()}"


class _WorkerDied(Exception):  # noqa: N818
    """An actor ended, or raised an error that is not of this project."""


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
