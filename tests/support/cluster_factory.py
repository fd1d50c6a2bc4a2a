"""A real Ray cluster of two nodes on loopback, workers that log every video they begin, and ways to kill them."""

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
# A short path: the path of a socket may have 107 characters, and Ray needs 70 of them.
SHORT = os.environ.get("RAY_TMPDIR", "/tmp")
HELD_AT = 10  # number of videos that a process has begun
# Ray replaces 127.0.0.1 with the machine's address on its network; every 127.x.x.x is loopback.
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "node_ip_address": "127.0.0.2"}


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a temporary folder for Ray whose path is short."""
    return tempfile.TemporaryDirectory(prefix="r", dir=SHORT)


@contextmanager
def cluster_of_two() -> Iterator[Cluster]:
    """Start two nodes of one core each. Their processes are children of this one; no others are ended."""
    with pytest.MonkeyPatch.context() as patch, short_folder() as folder:
        environment = {
            "RAY_TMPDIR": folder,  # for every process; a node's `temp_dir` would put the cluster's address elsewhere
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",  # otherwise Ray looks for a token in the home folder
            "RAY_worker_niceness": "0",  # with the default of 15, workers wait for every other test
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
    """Add a node whose workers start with their libraries already imported; the first node is the head."""
    for _ in range(3):
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "executable", warm.executable())
                return cluster.add_node(**NODE, **options)
        except Exception as error:  # Ray raises no narrower error after 30 s, which a busy machine may need
            if "timed out" not in str(error):
                raise
    raise AssertionError("no node of Ray starts within 30 s on this machine")


def kill_raylet(node: Any) -> None:
    """Kill a node as if its machine had gone down."""
    os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Crash:
    """A decode task that crashes its process, as a bad file may crash a decoder."""

    def __call__(self) -> Iterator[Any]:
        os.kill(os.getpid(), signal.SIGSEGV)
        yield


class RecordingVisual(VideoFrames):
    """The visual modality, which logs which process begins which video; videos called ``crash...`` crash their process.

    While the file of :func:`hold` exists, every process pauses in the middle of its 10th video, so that a test meets
    it at work, however fast the machine is.
    """

    def __init__(self, log: Path, dataset: Dataset) -> None:
        super().__init__(dataset)
        self._log, self._hold, self._n_begun = log, hold(log), 0

    def task(self, video: Pending, decoder: Reader) -> Task:
        """Log the video with a single write, so that lines of several processes do not mix; return its task."""
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
    """Return a path; while it exists, processes that write into `log` pause in the middle of their 10th video."""
    return log.with_suffix(".hold")


def has_ended(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def read_log(log: Path) -> list[Begun]:
    """Read everything that was begun, in order."""
    if not log.exists():
        return []
    return [
        Begun(int(pid), decoder, i) for pid, decoder, i in (line.split(" ", 2) for line in log.read_text().splitlines())
    ]


class Misbehaving:
    """A worker that does what its row says; without torch it starts in a second or two."""

    kind = "test"

    def run(self, row: str) -> tuple[str, int]:
        """Do what a row of the form ``word argument`` says."""
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
    """Fail to make a worker."""
    from avadclip.errors import WeightsError

    raise WeightsError("no such file of weights")
