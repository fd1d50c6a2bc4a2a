"""Probing a folder: rows of the manifest, failures, exclusion, the cache. Files hold what a fake probe is to return."""

import hashlib
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import av
import iscc_samples
import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML

from avadclip.config.datasets import Dataset
from avadclip.config.features import Extraction
from avadclip.datasets.model import Segment
from avadclip.datasets.prepare import Prepared, prepare
from avadclip.errors import DatasetError, MediaError
from avadclip.media.probe import probe
from tests.support.dataset_factory import make_dataset, write_files


@dataclass(frozen=True, eq=False)
class FakeVideo:
    """What :func:`fake_probe` returns."""

    n_frames: int
    frame_rate: float
    frame_seconds: NDArray[np.float64]
    end_seconds: float
    has_audio: bool


def fake_probe(path: Path) -> FakeVideo:
    """Read a "video": JSON with the times of its frames, or what should go wrong. Each call adds a line to a log."""
    with (path.parent / "calls.log").open("a") as log:
        log.write(f"{path.name}\n")
    match path.read_text().split(maxsplit=1):
        case ["bad", reason]:
            raise MediaError(reason)
        case ["crash"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["hang"]:
            time.sleep(600)
    seconds = np.array(json.loads(path.read_text()), dtype=np.float64)
    step = float(seconds[-1] - seconds[-2])
    return FakeVideo(len(seconds), 1 / step, seconds, float(seconds[-1]) + step, has_audio="quiet" not in path.name)


TEN_FRAMES = json.dumps([index / 10 for index in range(10)])
SLOW_LATER = json.dumps([0, 0.1, 0.2, 0.3, 1.0, 2.0])
GOOD = {"a.mp4": TEN_FRAMES, "vfr.mp4": SLOW_LATER, "quiet.mp4": TEN_FRAMES + " "}
TABLES = {
    "videos.csv": "video,labels,split\na,fighting,test\nvfr,fighting,test\nquiet,normal,train\n",
    "segments.csv": "video,label,start_seconds,end_seconds\na,fighting,0.2,0.4\nvfr,fighting,0.5,1.5\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_files(tmp_path / "videos", GOOD)
    write_files(tmp_path / "annotations", TABLES)
    return tmp_path


def list_more(root: Path, files: dict[str, str]) -> None:
    """Add normal training videos to the table."""
    write_files(root / "videos", files)
    table = root / "annotations" / "videos.csv"
    table.write_text(table.read_text() + "".join(f"{name},normal,train\n" for name in files))


def run(root: Path, dataset: Dataset | None = None, stall_seconds: float = 60.0) -> Prepared:
    settings = Extraction(workers=2, stall_seconds=stall_seconds, work_cache=str(root / "cache" / "features"))
    return prepare("demo", dataset or make_dataset("table", root), settings, fake_probe)


def calls(root: Path) -> list[str]:
    """Names of the files that were opened since the last call."""
    log = root / "videos" / "calls.log"
    names = sorted(log.read_text().split()) if log.exists() else []
    log.unlink(missing_ok=True)
    return names


@pytest.mark.slow
def test_rows_hold_what_the_files_say(root: Path) -> None:
    prepared = run(root)
    rows = {video.id: video for video in prepared.videos}
    assert list(rows) == ["a", "quiet", "vfr"]
    assert (rows["a"].n_frames, rows["a"].has_audio, rows["quiet"].has_audio) == (10, True, False)
    assert rows["vfr"].frame_rate == 1.0
    for video in prepared.videos:
        assert video.content_hash == hashlib.sha256(Path(video.path).read_bytes()).hexdigest()
    # 0.5 to 1.5 s: frame 3 is shown from 0.3 to 1.0 s, frame 4 from 1.0 to 2.0 s.
    assert prepared.segments == (Segment("a", "fighting", 2, 4), Segment("vfr", "fighting", 3, 5))


def test_the_real_probe_on_a_real_clip(tmp_path: Path) -> None:
    (clip,) = [path for path in iscc_samples.videos() if path.suffix == ".mkv"]
    (tmp_path / "videos").symlink_to(clip.parent)
    write_files(tmp_path / "annotations", {"videos.csv": f"video,labels,split\n{clip.name},normal,train\n"})
    settings = Extraction(workers=1, work_cache=str(tmp_path / "cache" / "features"))
    (video,) = prepare("demo", make_dataset("table", tmp_path), settings, probe).videos
    with av.open(str(clip)) as container:
        assert video.n_frames == sum(1 for _ in container.decode(video=0))
    assert video.has_audio
    assert video.path == f"{tmp_path}/videos/{clip.name}"


@pytest.mark.slow
def test_only_new_and_changed_files_are_opened_again(root: Path) -> None:
    first = run(root)
    assert calls(root) == sorted(GOOD)
    assert run(root) == first
    assert calls(root) == []

    list_more(root, {"new.mp4": TEN_FRAMES})
    (root / "videos" / "a.mp4").write_text(TEN_FRAMES + "\n")
    second = run(root)
    assert calls(root) == ["a.mp4", "new.mp4"]
    assert second.videos[0].content_hash != first.videos[0].content_hash


@pytest.mark.slow
def test_frame_times_are_read_when_segments_in_seconds_come_later(root: Path) -> None:
    segments = root / "annotations" / "segments.csv"
    in_seconds = segments.read_text()
    segments.write_text("video,label,start_frame,end_frame\na,fighting,2,4\n")
    run(root)
    calls(root)
    segments.write_text(in_seconds)
    assert run(root).segments[1] == Segment("vfr", "fighting", 3, 5)
    assert calls(root) == ["a.mp4", "vfr.mp4"]


@pytest.mark.slow
def test_a_damaged_cache_is_thrown_away_with_a_warning(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = run(root)
    calls(root)
    (cache,) = (root / "cache").glob("*.sqlite")
    cache.write_bytes(b"not a database" * 100)
    assert run(root) == first
    assert calls(root) == sorted(GOOD)
    assert "it is only a cache" in caplog.text
    assert run(root) == first
    assert calls(root) == []


def test_a_cache_that_cannot_be_opened_is_a_clear_error_and_stays(root: Path) -> None:
    (root / "cache" / "probes.sqlite").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"probes\.sqlite: unable to open"):
        run(root)
    assert (root / "cache" / "probes.sqlite").is_dir()


@pytest.mark.slow
def test_all_failures_are_collected_and_nothing_good_is_read_twice(root: Path) -> None:
    files = {
        "bad # 'é'.mp4": 'bad its header says: "moov" is missing',
        "crash.mp4": "crash",
        "short.mp4": TEN_FRAMES,
        "torn.mp4": "[0, 0.1",
    }
    list_more(root, files)
    segments = root / "annotations" / "segments.csv"
    videos = root / "annotations" / "videos.csv"
    videos.write_text(videos.read_text().replace("short.mp4,normal,train", "short.mp4,fighting,test"))
    segments.write_text(segments.read_text() + "short,fighting,0.5,30\n")
    with pytest.raises(DatasetError) as caught:
        run(root)
    calls(root)
    message = str(caught.value)
    assert message.startswith("4 videos of 'demo' cannot be used:")

    # The lines that the message ends with, pasted as they are, make the next run succeed.
    _, lines = message.split("under datasets.demo.exclude:\n")
    exclude = YAML(typ="safe").load(lines)
    assert exclude["bad # 'é'"] == 'its header says: "moov" is missing'
    assert "SIGKILL" in exclude["crash"]
    assert "0.5 s to 30.0 s, but the video has only 1.000 s" in exclude["short"]
    assert exclude["torn"].startswith("Expecting ',' delimiter")  # whatever a library raises is a reason
    prepared = run(root, make_dataset("table", root, exclude=exclude))
    assert calls(root) == []
    assert {video.id: video.excluded for video in prepared.videos if video.excluded} == exclude
    assert {video.n_frames for video in prepared.videos if video.excluded} == {0}
    assert {segment.id for segment in prepared.segments} == {"a", "vfr"}


@pytest.mark.slow
def test_masks_have_the_length_of_their_videos_within_a_second(tmp_path: Path) -> None:
    """Of ten frames in a second, as many may be missing or too many; a second is rounded up to whole frames."""
    lengths = {"same": 10, "longer": 20, "too_long": 22, "empty": 0}
    write_files(tmp_path / "videos", {f"{id_}.mp4": TEN_FRAMES for id_ in ("walk", *lengths)})
    write_files(tmp_path / "annotations", {"SH_Train.txt": "walk\n", "SH_Test.txt": "\n".join(lengths)})
    (tmp_path / "annotations" / "test_frame_mask").mkdir()
    for id_, length in lengths.items():
        np.save(tmp_path / "annotations" / "test_frame_mask" / f"{id_}.npy", np.arange(length) == 3)
    with pytest.raises(DatasetError, match="1 videos of 'demo' cannot be used") as caught:
        run(tmp_path, make_dataset("shanghaitech", tmp_path, ("normal", "anomaly")))
    assert "  too_long: its annotation is of 22 frames, but the video has 10: the video is cut" in str(caught.value)


@pytest.mark.slow
def test_a_probe_that_hangs_is_ended(root: Path) -> None:
    run(root)
    list_more(root, {"hang.mp4": "hang"})
    with pytest.raises(DatasetError, match=r"1 videos of 'demo' cannot be used:\n  hang: no progress for 1 s"):
        run(root, stall_seconds=1.0)


@pytest.mark.slow
def test_a_link_to_nothing_is_a_failure_of_that_video(root: Path) -> None:
    list_more(root, {"gone.mp4": TEN_FRAMES})
    (root / "videos" / "gone.mp4").unlink()
    (root / "videos" / "gone.mp4").symlink_to(root / "nowhere.mp4")
    with pytest.raises(DatasetError, match=r"1 videos of 'demo' cannot be used:\n  gone: .*No such file"):
        run(root)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["x,normal,train", "y,normal,test"], ["for training and for testing: x (train, normal), y (test, normal)"]),
        (["x,normal,train", "y,fighting,train"], ["contrary labels: x (train, normal), y (train, fighting)"]),
        (["x,normal,train", "y,fighting,test"], ["contrary labels: x ", "for training and for testing: x "]),
        (["x,normal,train", "y,normal,train"], []),
    ],
)
def test_the_same_bytes_under_two_names_are_told(
    root: Path, caplog: pytest.LogCaptureFixture, rows: list[str], told: list[str]
) -> None:
    write_files(root / "videos", dict.fromkeys(("x.mp4", "y.mp4"), SLOW_LATER + "  "))
    table = root / "annotations" / "videos.csv"
    table.write_text(table.read_text() + "".join(f"{row}\n" for row in rows))
    run(root)
    found = [message for message in caplog.messages if "byte for byte" in message]
    assert len(found) == len(told)
    assert all(part in message for part, message in zip(told, found, strict=True))
