"""A clean environment for all tests, fixtures of several test modules, and the distribution of tests to processes."""

import gc
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import context
from pathlib import Path
from typing import Any

import pytest

from tests.support import warm

IN_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ
LONGEST_FIRST = ("team", "graph", "cluster", "browser")  # names of folders

# Whatever the shell says, each module is compiled once, and not by every process that a test starts.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest tests first, so that no process is left alone with them at the end."""
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
    """Fork the processes that share the tests from one that has imported all libraries."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # there are as many processes as cores
    os.environ[warm.SOCKET] = warm.start()
    for spec in specs:
        spec.python = f"{warm.command(os.environ[warm.SOCKET])} python"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run each file in one process, and all of `tests/cluster` in one, because their tests share costly fixtures."""
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "cluster" if "/cluster/" in file else file

    return Sharing(config, log)


# Environment variables by which users tell the programs in the tests where to look and how to print.
PERSONAL = re.compile(
    r"(AVADCLIP|AWS|DVC|GIT|MPL|SSH|XDG)_?[A-Z0-9_]*|(https?|all|no)_proxy|COLUMNS|FORCE_COLOR|NO_COLOR|PY_COLORS"
    "|GITHUB_ACTIONS",
    re.IGNORECASE,
)


def pytest_configure(config: pytest.Config) -> None:
    """Set an empty home folder before any library looks into it. Processes that tests start inherit it."""
    home = tempfile.TemporaryDirectory(prefix="home", ignore_cleanup_errors=True)  # a daemon of DVC may still write
    patch = pytest.MonkeyPatch()
    config.add_cleanup(home.cleanup)
    config.add_cleanup(patch.undo)
    for name in filter(PERSONAL.fullmatch, list(os.environ)):
        patch.delenv(name)
    patch.setenv("HOME", home.name)
    patch.setenv("DVC_NO_ANALYTICS", "1")
    # Settings and caches that all users of a machine share are not in their homes.
    patch.setenv("DVC_SITE_CACHE_DIR", f"{home.name}/dvc")
    patch.setenv("DVC_SYSTEM_CONFIG_DIR", f"{home.name}/dvc")
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture(autouse=True)
def same_beginning() -> Iterator[None]:
    """Which tests share a process differs from run to run; a test that leaves its settings changed fails itself."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
    before = _settings_of_this_process()
    yield
    after = _settings_of_this_process()
    assert after == before


def _settings_of_this_process() -> dict[str, object]:
    return {
        "folder": Path.cwd(),
        "environment": {name: value for name, value in os.environ.items() if PERSONAL.fullmatch(name)},
        "log": logging.root.manager.disable,
        "log levels": {
            name: logger.level
            for name, logger in logging.root.manager.loggerDict.items()
            if name.startswith("avadclip") and isinstance(logger, logging.Logger) and logger.level
        },
        "garbage collection": gc.isenabled(),
    }


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers as outside the tests, not as forks of a process that has loaded their libraries."""
    monkeypatch.setitem(context._concrete_contexts, "spawn", context.SpawnContext())


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on loopback."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
    from tests.support.cluster_factory import cluster_of_two

    with cluster_of_two() as cluster:
        yield cluster
