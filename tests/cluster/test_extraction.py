"""Extraction on a real cluster of two nodes: whatever is killed, the result has the local engine's bytes."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")

from avadclip import config, paths
from avadclip.config import features
from avadclip.errors import ClusterError, ExtractionError
from avadclip.extraction import run
from avadclip.extraction.cluster import AHEAD
from avadclip.extraction.modalities import READERS
from tests.support.cluster_factory import HELD_AT, RecordingVisual, add_node, has_ended, hold, kill_raylet, read_log
from tests.support.media_factory import write_video
from tests.support.project_factory import NAME, contents, load_params, prepare_here, save_params, write_project

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
N_VIDEOS, WORKERS = 40, 2
N_THREADS = 1  # of each encoder: two actors and their decoders share two cores
HOSTILE = ("crash", "damaged")
IN_FLIGHT = WORKERS + AHEAD  # of one actor
OUTPUT = paths.features(NAME, "visual")
LOG = Path("begun.log")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared project of 40 videos: 38 good ones, a damaged one, and one that crashes its decoder."""
    root = tmp_path_factory.mktemp("project")
    videos = root / "videos"
    videos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    for n in range(N_VIDEOS - 1):
        name = f"video {n:02}.mp4" if n else "crash.mp4"
        write_video(videos / name, n_frames=14 - n % 7, frame_fn=lambda i, n=n: noise[(i + n) % 40])
    whole = write_video(
        videos / "damaged.mp4", n_frames=40, frame_fn=lambda i: noise[i], container_options={"movflags": "faststart"}
    )
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    write_project(root, {path.name: "normal" for path in videos.iterdir()})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        prepare_here()
    return root


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project without features; each video that is begun is logged."""
    monkeypatch.chdir(project)
    monkeypatch.setitem(READERS, features.Visual, partial(RecordingVisual, LOG.absolute()))
    yield project
    forget_everything()


def forget_everything() -> None:
    for folder in (Path("features"), Path(".cache")):
        shutil.rmtree(folder, ignore_errors=True)
    for file in (LOG, hold(LOG)):
        file.unlink(missing_ok=True)


def execute_on(cluster: Any, root: Path, **execution: Any) -> None:
    params = load_params(root)
    params["execution"] = {"engine": "ray", "address": cluster.address, "cpus_per_worker": N_THREADS, **execution}
    params["extraction"]["workers"] = WORKERS
    save_params(root, params)


def extracted() -> tuple[dict[str, bytes], str]:
    """Extract; return every byte of the good videos' features, and the message about the bad ones."""
    with pytest.raises(ExtractionError) as error:
        run.extract(NAME, "visual", config.load())
    return contents(OUTPUT), str(error.value)


@pytest.fixture(scope="module")
def by_local_engine(project: Path) -> tuple[dict[str, bytes], str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setitem(READERS, features.Visual, partial(RecordingVisual, LOG.absolute()))
        n_threads = torch.get_num_threads()
        torch.set_num_threads(N_THREADS)
        found = extracted()
        torch.set_num_threads(n_threads)
        forget_everything()
    assert len(found[0]) == N_VIDEOS - 2
    assert found[1].startswith(f"2 videos of {NAME!r} have no visual features")
    return found


class WhileAllAreBusy(threading.Thread):
    """Call `what`, which ends workers, while each is in the middle of a video; then let the others go on."""

    def __init__(self, what: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._what = what
        hold(LOG).touch()
        self.start()

    def run(self) -> None:
        while len(busy := self._busy()) < WORKERS:
            time.sleep(0.02)
        self._what()
        while not any(has_ended(pid) for pid in busy):
            time.sleep(0.02)
        hold(LOG).unlink()

    def _busy(self) -> list[int]:
        times = Counter(begun.pid for begun in read_log(LOG))
        return [pid for pid, n in times.items() if n >= HELD_AT]


def kill_an_actor() -> None:
    os.kill(read_log(LOG)[-1].pid, signal.SIGKILL)


def begun_too_often(n_deaths: int) -> None:
    """Check that only videos in flight in an actor that died were encoded again.

    Failures are not kept, so every new run tries the bad files again, with either engine.
    """
    times = Counter((begun.decoder, begun.video_id) for begun in read_log(LOG) if begun.video_id not in HOSTILE)
    again = {key: n - 1 for key, n in times.items() if n > 1}
    assert 0 < sum(again.values()) <= n_deaths * IN_FLIGHT
    assert {begun.video_id for begun in read_log(LOG)} == {path.stem for path in Path("videos").iterdir()}


def test_killed_actor(here: Path, cluster: Any, by_local_engine: Any) -> None:
    execute_on(cluster, here)
    killer = WhileAllAreBusy(kill_an_actor)
    assert extracted() == by_local_engine
    killer.join()
    begun_too_often(n_deaths=1)


def test_killed_raylet_and_features_that_are_sent(here: Path, cluster: Any, by_local_engine: Any) -> None:
    """There is no shared store, and the other node does the rest."""
    execute_on(cluster, here, store="driver")
    node = next(iter(cluster.worker_nodes))

    def lose_node() -> None:
        kill_raylet(node)
        cluster.remove_node(node, allow_graceful=False)

    killer = WhileAllAreBusy(lose_node)
    try:
        assert extracted() == by_local_engine
        killer.join()
    finally:
        add_node(cluster)
    begun_too_often(n_deaths=1)
    assert not list(Path(".cache").rglob("*.tmp"))


def test_killed_driver(here: Path, cluster: Any, by_local_engine: Any) -> None:
    execute_on(cluster, here)
    driver = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/cluster_driver.py"), str(LOG.absolute())],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    WhileAllAreBusy(driver.kill).join()
    assert driver.wait() == -signal.SIGKILL
    done = set(Path(".cache/features").glob("??/*.h5"))
    assert 0 < len(done) < N_VIDEOS - 2
    assert extracted() == by_local_engine
    begun_too_often(n_deaths=2)


def test_a_store_that_is_not_shared_is_noticed(here: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    execute_on(cluster, here)
    monkeypatch.setattr(Path, "touch", lambda path: None)  # makes no probe file, which a worker looks for
    with pytest.raises(ClusterError, match=r"not the folder that the driver sees.*execution.store: driver"):
        run.extract(NAME, "visual", config.load())
