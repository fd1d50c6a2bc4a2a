"""A machine without a past for every test, what several test modules share, and how tests are dealt out."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import context
from typing import Any

import pytest

from tests.support import warm

IN_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ
LONGEST_FIRST = ("team", "graph", "cluster", "browser")  # folders

# Each module is compiled once, not by every process that a test starts, whatever the shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


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
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """The processes that share the tests begin with all libraries imported, as forks of one that has done so."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # there are as many processes as cores
    os.environ[warm.SOCKET] = warm.start()
    for spec in specs:
        spec.python = f"{warm.command(os.environ[warm.SOCKET])} python"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file share what is costly to make, and those of `tests/cluster` one cluster: one process each."""
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "cluster" if "/cluster/" in file else file

    return Sharing(config, log)


# Environment variables by which a person tells programs where to look and how to speak, of what the tests use.
PERSONAL = re.compile(
    r"(AVADCLIP|AWS|DVC|GIT|MPL|SSH|XDG)_?[A-Z0-9_]*|(https?|all|no)_proxy|COLUMNS|FORCE_COLOR|NO_COLOR|PY_COLORS"
    "|GITHUB_ACTIONS",
    re.IGNORECASE,
)


def pytest_configure(config: pytest.Config) -> None:
    """An empty home folder, before any library looks into it. What tests start inherits it."""
    home = tempfile.TemporaryDirectory(prefix="home", ignore_cleanup_errors=True)  # a daemon of DVC may still write
    patch = pytest.MonkeyPatch()
    config.add_cleanup(home.cleanup)
    config.add_cleanup(patch.undo)
    for name in filter(PERSONAL.fullmatch, list(os.environ)):
        patch.delenv(name)
    patch.setenv("HOME", home.name)
    patch.setenv("DVC_NO_ANALYTICS", "1")
    # What all users of a machine share is not in their homes.
    patch.setenv("DVC_SITE_CACHE_DIR", f"{home.name}/dvc")
    patch.setenv("DVC_SYSTEM_CONFIG_DIR", f"{home.name}/dvc")
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start as they do outside of the tests, not as forks of a process that has loaded their libraries."""
    monkeypatch.setitem(context._concrete_contexts, "spawn", context.SpawnContext())


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on loopback."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
    from tests.support.cluster_factory import cluster_of_two

    with cluster_of_two() as cluster:
        yield cluster
