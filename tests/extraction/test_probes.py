"""Extraction does not probe again what `prepare` has probed, as long as the file has the same content."""

from pathlib import Path

import numpy as np
import pytest

from avadclip.datasets.probe_cache import ProbeCache, VideoFacts, recall_info
from avadclip.datasets.probing import Examination
from avadclip.errors import DatasetError
from avadclip.extraction import tasks
from avadclip.extraction.tasks import AudioTask, VisualTask
from avadclip.media.probe import probe
from avadclip.store import Source
from tests.support.media_factory import tone, write_video


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a b.mp4", n_frames=30, audio=tone(1.2))


@pytest.fixture
def probes(video: Path) -> Path:
    """The cache of probes that `prepare` keeps."""
    with ProbeCache.open(video.with_name("probes.sqlite")) as cache:
        cache.put(str(video), video.stat(), examine(video))
    return video.with_name("probes.sqlite")


def examine(video: Path) -> VideoFacts:
    (facts,) = Examination(str(video), probe, with_times=False)()
    return facts


def run(video: Path, facts: VideoFacts, probes: Path | None, info: str | None = None) -> list[np.ndarray]:
    """All arrays that workers send for both modalities."""
    source = Source("a", facts.content_hash, facts.n_frames, facts.frame_rate)
    visual = VisualTask(video, source, "pyav", 4, "first", None, "center", 32, 8, probes=probes, info=info)
    *chunks, times = [*visual(), *AudioTask(video, source, 4, 1.0, 8, probes=probes, info=info)()]
    arrays = [array for chunk in chunks for array in vars(chunk).values() if isinstance(array, np.ndarray)]
    return [*arrays, times.boundary_seconds]


def must_not_probe(path: Path) -> None:
    raise AssertionError(f"{path} is probed again")


@pytest.mark.parametrize("is_told", [False, True])
def test_what_is_known_is_not_probed_again_and_gives_the_same(
    video: Path, probes: Path, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    facts = examine(video)
    expected = run(video, facts, probes=None)
    monkeypatch.setattr(tasks, "probe", must_not_probe)
    moved = video.rename(video.parent.parent / video.name)  # what counts is its content, and its name
    found = run(moved, facts, probes=None, info=facts.info) if is_told else run(moved, facts, probes)
    assert len(found) == len(expected) > 4
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_has_changed_is_refused_and_not_taken_from_the_cache(video: Path, probes: Path) -> None:
    facts = examine(video)
    write_video(video, n_frames=29)
    with pytest.raises(DatasetError, match="changed since the manifest was written"):
        run(video, facts, probes)


@pytest.mark.parametrize("content", [None, b"", b"no database", "cut off"])
def test_without_a_cache_that_can_be_read_the_file_is_asked(video: Path, probes: Path, content: object) -> None:
    facts = examine(video)
    expected = run(video, facts, probes)
    if content is None:
        probes.unlink()
    else:
        probes.write_bytes(content if isinstance(content, bytes) else probes.read_bytes()[:5000])
    before = probes.read_bytes() if probes.exists() else None
    assert recall_info(probes, facts.content_hash, video.name) is None
    for ours, theirs in zip(run(video, facts, probes), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (probes.read_bytes() if probes.exists() else None) == before  # workers only read


def test_another_name_or_content_is_not_known(video: Path, probes: Path) -> None:
    content_hash = examine(video).content_hash
    assert recall_info(probes, content_hash, video.name) is not None
    assert recall_info(probes, content_hash, "a b.avi") is None
    assert recall_info(probes, "0" * 64, video.name) is None
