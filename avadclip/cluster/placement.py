"""The places of workers, a pure function of the nodes and the section ``execution``."""

from collections.abc import Sequence
from dataclasses import dataclass

from avadclip.config.execution import Execution


@dataclass(frozen=True)
class Node:
    """A machine of the cluster that is alive, and its resources."""

    id: str
    address: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Place:
    """Room for one worker on one node. `threads`: of its encoder; None leaves the choice to torch, as locally."""

    node: Node
    index: int  # among the places of the node
    cpus: float
    gpus: float
    threads: int | None


def places(nodes: Sequence[Node], execution: Execution, may_use_gpu: bool) -> list[Place]:
    """Every place for a worker: the first of each node, then the second of each, and so on.

    If any node has a GPU, nodes without one are not used, because a CPU gives other last digits than a GPU.

    Parameters
    ----------
    nodes : those that are alive.
    may_use_gpu : False if the device is the CPU.
    """
    gpus = execution.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if may_use_gpu and any(node.gpus >= 1 for node in nodes) else 0.0
    found = [place for node in nodes for place in _of_node(node, execution.cpus_per_worker, gpus)]
    return sorted(found, key=lambda place: place.index)


def _of_node(node: Node, cpus_wanted: str | int, gpus: float) -> list[Place]:
    if isinstance(cpus_wanted, int):
        by_cpu = int(node.cpus // cpus_wanted)
        n_places = min(by_cpu, int(node.gpus / gpus)) if gpus else by_cpu
        cpus = float(cpus_wanted)
    else:
        n_places = int(node.gpus / gpus) if gpus else int(node.cpus >= 1)
        cpus = float(node.cpus // n_places) if n_places else 0.0
    threads = int(cpus_wanted) if isinstance(cpus_wanted, int) else None
    return [Place(node, index, cpus, gpus, threads) for index in range(n_places)]
