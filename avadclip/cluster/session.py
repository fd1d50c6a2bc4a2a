"""A connection to a Ray cluster, and Ray itself, which is an extra."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from avadclip.cluster.placement import Node
from avadclip.config.execution import Execution
from avadclip.errors import ClusterError

log = logging.getLogger(__name__)


def import_ray() -> Any:
    """Ray, untyped; :class:`ClusterError` says how to install it."""
    if find_spec("ray") is None:
        raise ClusterError(
            "execution.engine: `ray` was asked for, but Ray is not installed here; run `pip install '.[cluster]'` on"
            " every machine of the cluster, or write `engine: local`"
        )
    return import_module("ray")


@contextmanager
def connected(execution: Execution) -> Iterator[Any]:
    """Ray, connected to the cluster until the block ends; workers that were started in it end with it.

    Raises
    ------
    ClusterError : Ray is not installed, there is no cluster at this address, or it runs other versions.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # statistics are sent only if the user wants it
    ray = import_ray()
    own = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if execution.address == "local" else {}
    try:
        ray.init(execution.address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"execution.address: no Ray cluster at {execution.address!r} that this process can join"
            f" ({' '.join(str(error).split())}); start one with `ray start --head`, give its address as host:port, or"
            " write `local`"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def living_nodes(ray: Any) -> list[Node]:
    """The machines of the cluster, in a fixed order."""
    found = [
        Node(
            id=node["NodeID"],
            address=node["NodeManagerAddress"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    return sorted(found, key=lambda node: (node.address, node.id))
