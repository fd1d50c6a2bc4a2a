"""Large and slow files: slow work is not taken for a hang, and memory does not grow with the length of a video."""

import gc
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from avadclip import pulse
from avadclip.errors import MediaError
from avadclip.io import sha256_of
from avadclip.media import decord_reader
from avadclip.media.audio import decode_windows
from avadclip.media.decord_reader import decord_available
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe
from avadclip.workers import Failed, Finished, GuardedPool, Item
from tests.support.media_factory import write_video
from tests.support.odd_media_factory import write_clip

needs_decord = pytest.mark.skipif(not decord_available(), reason="decord has no wheel for this machine")

STALL_SECONDS = 6.0  # a worker needs some seconds to start on a busy machine


@dataclass(frozen=True)
class Slow:
    """A task that works three times as long as a worker may be silent, and shows that it works or not."""

    shows_it: bool

    def __call__(self) -> Iterator[str]:
        yield "begun"
        for _ in range(36):
            time.sleep(STALL_SECONDS / 12)
            if self.shows_it:
                pulse.beat()
        yield "done"


@pytest.mark.slow
@pytest.mark.parametrize("shows_it", [True, False])
def test_work_that_shows_is_no_hang(shows_it):
    with GuardedPool(1, STALL_SECONDS) as pool:
        pool.submit("slow", Slow(shows_it))
        events = list(pool.events())
    if shows_it:
        assert events == [Item("slow", "begun"), Item("slow", "done"), Finished("slow")]
    else:
        assert isinstance(events[-1], Failed)
        assert events[-1].error == "Stalled"


def test_whatever_is_done_with_a_file_shows(tmp_path):
    path = write_clip(tmp_path / "a.mkv", 2.0)
    (tmp_path / "large").write_bytes(bytes(5 << 20))
    beats: list[None] = []
    pulse.listen(lambda: beats.append(None))
    try:

        def shown(work) -> int:
            beats.clear()
            work()
            return len(beats)

        assert shown(lambda: sha256_of(tmp_path / "large", pulse.beat)) == 5
        info = probe(path)
        assert shown(lambda: probe(path)) >= info.n_frames
        assert shown(lambda: list(decode_frames(path, info, np.arange(0, 50, 10), "pyav"))) >= 40
        assert shown(lambda: list(decode_windows(path, np.array([1.0]), 1.0, sound=info.sound))) >= 30
        if decord_available():
            assert shown(lambda: list(decode_frames(path, info, np.arange(0, 50, 10), "decord"))) >= 5
    finally:
        pulse.listen(None)


def test_the_hash_is_that_of_the_whole_file(tmp_path):
    content = np.random.default_rng(3).bytes((3 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


@needs_decord
def test_decord_leaves_many_large_frames_to_pyav(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", n_frames=4)
    info, indices = probe(path), np.arange(4)
    monkeypatch.setattr(decord_reader, "_MAX_RGB_BYTES", 4 * 64 * 48 * 3)
    assert sum(len(batch.rgb) for batch in decode_frames(path, info, indices, "decord")) == 4
    monkeypatch.setattr(decord_reader, "_MAX_RGB_BYTES", 4 * 64 * 48 * 3 - 1)
    with pytest.raises(MediaError, match="which decord would keep; use PyAV"):
        list(decode_frames(path, info, indices, "decord"))


@dataclass(frozen=True)
class Held:
    """A task that gives the peak of memory (MiB) while frames are slowly taken from a video."""

    path: Path

    def __call__(self) -> Iterator[float]:
        info = probe(self.path)
        frames = decode_frames(self.path, info, np.arange(0, info.n_frames, 16), "decord")
        next(frames)
        peak = 0.0
        for _ in range(40):
            time.sleep(0.2)
            peak = max(peak, psutil.Process().memory_info().rss / 2**20)
        yield peak


@dataclass(frozen=True)
class Reopened:
    """A task that gives the memory (MiB) after every 200 openings of a video."""

    path: Path

    def __call__(self) -> Iterator[float]:
        info = probe(self.path)
        for _ in range(5):
            for _ in range(200):
                list(decode_frames(self.path, info, np.arange(0, info.n_frames, 4), "decord"))
            gc.collect()
            yield psutil.Process().memory_info().rss / 2**20


def in_a_worker(task) -> list[float]:
    with GuardedPool(1, 120.0) as pool:
        pool.submit("a", task)
        return [event.value for event in pool.events() if isinstance(event, Item)]


@pytest.mark.slow
@needs_decord
@pytest.mark.usefixtures("spawned")
def test_a_slow_encoder_does_not_fill_the_memory(tmp_path):
    # As many frames as decord may be given: it decodes all of them before anybody asks.
    n_frames = decord_reader._MAX_RGB_BYTES // (1920 * 1080 * 3)
    path = write_video(
        tmp_path / "a.mp4",
        n_frames=n_frames,
        size=(1920, 1080),
        frame_fn=lambda index: np.full((1080, 1920, 3), 16 + index, dtype=np.uint8),
        options={"preset": "ultrafast"},
    )
    (held,) = in_a_worker(Held(path))
    assert held < 600


@pytest.mark.slow
@needs_decord
def test_memory_is_flat_over_a_thousand_openings(tmp_path):
    held = in_a_worker(Reopened(write_video(tmp_path / "a.mp4", n_frames=8, size=(128, 96))))
    assert held[-1] - held[1] < 20  # MiB, for allocators; leaking one of the two frames of each opening would be 21
