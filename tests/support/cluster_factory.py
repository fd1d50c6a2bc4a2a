"""A real Ray cluster of two nodes on loopback, workers of which every deed is on record, and ways to die."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.cluster_utils import Cluster

from avadclip.config.datasets import Dataset
from avadclip.extraction.protocol import Pending, Reader
from avadclip.extraction.videos import VideoFrames
from avadclip.workers import Task
from tests.support import warm

ROOT = Path(__file__).parents[2]
# Where paths are short: those of Ray's sockets may be 107 characters long, and it takes 70 of them.
SHORT = os.environ.get("RAY_TMPDIR", "/tmp")
HELD_AT = 10  # videos that a process has begun
# Ray takes 127.0.0.1 for the address of the machine on its network; all of 127.x.x.x is loopback.
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "node_ip_address": "127.0.0.2"}


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """For Ray, until the block ends."""
    return tempfile.TemporaryDirectory(prefix="r", dir=SHORT)


@contextmanager
def cluster_of_two() -> Iterator[Cluster]:
    """Two nodes of one core each. Their processes are children of this one, and only they are ended."""
    with pytest.MonkeyPatch.context() as patch, short_folder() as folder:
        environment = {
            "RAY_TMPDIR": folder,  # of every process; a node's `temp_dir` would leave the cluster's address elsewhere
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",  # a token would be looked for in the home folder
            "RAY_worker_niceness": "0",  # 15 otherwise, which is to wait for every other test
            # What actors import: the code under test, and this file.
            "PYTHONPATH": str(ROOT),
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        cluster = Cluster()
        add_node(cluster, include_dashboard=False)
        add_node(cluster)
        yield cluster
        cluster.shutdown()


def add_node(cluster: Cluster, **options: Any) -> Any:
    """One more node, whose workers begin with their libraries imported; the first one is the head."""
    for _ in range(3):
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "executable", warm.executable())
                return cluster.add_node(**NODE, **options)
        except Exception as error:  # Ray raises just this after 30 s, which a busy machine may need
            if "timed out" not in str(error):
                raise
    raise AssertionError("no node of Ray starts within 30 s on this machine")


def kill_raylet(node: Any) -> None:
    """As if the machine were gone."""
    os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Crash:
    """A decode task that ends its process as a bad file ends a bad decoder."""

    def __call__(self) -> Iterator[Any]:
        os.kill(os.getpid(), signal.SIGSEGV)
        yield


class RecordingVisual(VideoFrames):
    """The visual modality that writes down which process begins which video; videos called ``crash...`` do.

    While the file `hold` exists, every process stops in the middle of its 10th video: whatever is done to it then hits
    a process at work, however fast the machine is.
    """

    def __init__(self, log: Path, dataset: Dataset) -> None:
        super().__init__(dataset)
        self._log, self._hold, self._n_begun = log, hold(log), 0

    def task(self, video: Pending, decoder: Reader) -> Task:
        """Written with one call, so that lines of several processes do not mix."""
        with self._log.open("a") as file:
            file.write(f"{os.getpid()} {decoder} {video.source.id}\n")
        self._n_begun += 1
        while self._n_begun >= HELD_AT and self._hold.exists():
            time.sleep(0.02)
        return Crash() if video.source.id.startswith("crash") else super().task(video, decoder)


@dataclass(frozen=True)
class Begun:
    """One line of the log."""

    pid: int
    decoder: str
    video_id: str


def hold(log: Path) -> Path:
    """While this file exists, processes that write into `log` stop in the middle of their 10th video."""
    return log.with_suffix(".hold")


def has_ended(pid: int) -> bool:
    """A zombie has, too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def read_log(log: Path) -> list[Begun]:
    """Everything that was begun, in order."""
    if not log.exists():
        return []
    return [
        Begun(int(pid), decoder, i) for pid, decoder, i in (line.split(" ", 2) for line in log.read_text().splitlines())
    ]


class Misbehaving:
    """A worker that does what its row says, without torch: starts in a second or two."""

    kind = "test"

    def run(self, row: str) -> tuple[str, int]:
        """``word argument``."""
        from avadclip.errors import FeatureError

        word = row.split()[0]
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "die_once":
            flag = Path(row.split()[1])
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if word == "raise":
            raise RuntimeError("the device is gone")
        if word == "ours":
            raise FeatureError("a file is damaged")
        return row, os.getpid()


def refuse_to_start() -> Any:
    """A worker that cannot be made."""
    from avadclip.errors import WeightsError

    raise WeightsError("no such file of weights")
