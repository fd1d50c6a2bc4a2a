"""What several test modules share because it takes long to start."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on loopback."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
    from tests.support.cluster_factory import cluster_of_two

    with cluster_of_two() as cluster:
        yield cluster
