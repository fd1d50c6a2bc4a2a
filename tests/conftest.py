"""What several test modules share because it takes long to start, and how tests are dealt out to processes."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

IN_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ
LONGEST_FIRST = ("team", "graph", "cluster", "browser")  # folders

if IN_PARALLEL:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # there are as many processes as cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no process is left alone with it at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        if folder in LONGEST_FIRST:
            return LONGEST_FIRST.index(folder)
        return len(LONGEST_FIRST) + (item.path not in slow)

    if IN_PARALLEL:
        items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file share what is costly to make, and those of `tests/cluster` one cluster: one process each."""
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "cluster" if "/cluster/" in file else file

    return Sharing(config, log)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on loopback."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
    from tests.support.cluster_factory import cluster_of_two

    with cluster_of_two() as cluster:
        yield cluster
