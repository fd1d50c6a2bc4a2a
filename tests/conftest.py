"""What several test modules share because it takes long to start, and how tests are dealt out to processes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
IN_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ

if IN_PARALLEL:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # there are as many processes as cores


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one file share what is costly to make, so they stay in one process; what is slow begins first."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(TESTS).with_suffix("").as_posix()))
    if IN_PARALLEL:
        slow = {item.path for item in items if any(map(item.get_closest_marker, ("slow", "browser", "cluster")))}
        items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on loopback."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
    from tests.support.cluster_factory import cluster_of_two

    with cluster_of_two() as cluster:
        yield cluster
