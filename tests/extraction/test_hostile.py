"""Bad files and killed processes: good videos are extracted once, bad ones are named, and nothing hangs."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from ruamel.yaml import YAML

from avadclip import paths
from avadclip.extraction.run import extract
from tests.support import pages, warm
from tests.support.dvc_project import ROOT, run
from tests.support.media_factory import NOISE, tone, write_audio_only, write_video
from tests.support.project_factory import NAME, contents, load_params, prepare_here, save_params, write_project


def stage(root: Path, name: str) -> tuple[int, str]:
    """Exit status and output of a stage, run as DVC runs it."""
    code, printed = run(root, f"pipeline.{name}", NAME, PYTHONPATH=str(ROOT))
    assert "Traceback" not in printed
    return code, printed


def exclude_what_it_says(root: Path, message: str) -> list[str]:
    """Paste the proposed lines into params.yaml and return the ids."""
    lines = message.split(f"datasets.{NAME}.exclude:\n")[1]
    proposed = YAML(typ="safe").load(lines)
    params = load_params(root)
    params["datasets"][NAME]["exclude"].update(proposed)
    save_params(root, params)
    return list(proposed)


def write_hostile_videos(folder: Path) -> dict[str, bool]:
    """File name -> whether it can be used."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    whole = write_video(
        folder / "whole.mp4",
        n_frames=40,
        audio=tone(1.6),
        frame_fn=lambda i: noise[i],
        container_options={"movflags": "faststart"},
    ).read_bytes()
    write_video(folder / "tiny picture.mp4", n_frames=8, size=(16, 16))
    write_video(folder / "one frame.mp4", n_frames=1)
    (folder / "really a matroska.mp4").write_bytes(write_video(folder / "x.mkv", n_frames=12).read_bytes())
    (folder / "x.mkv").unlink()
    odd_names = ["v=S-7r__#1_label_B4-0-0.mp4", 'it\'s "quoted".mp4', "näive видео №1.mp4", "a: b, {c} [d].mp4"]
    for name in odd_names:
        write_video(folder / name, n_frames=6)
    (folder / "zero bytes.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is not a video\n" * 100)
    (folder / "header only.mp4").write_bytes(whole[:1500])
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "dangling.mp4").symlink_to("nowhere.mp4")
    write_audio_only(folder / "sound only.mp4", tone(1.0))
    good = ["whole.mp4", "tiny picture.mp4", "one frame.mp4", "really a matroska.mp4", *odd_names]
    return {path.name: path.name in good for path in folder.iterdir()}


@pytest.mark.slow
def test_good_files_are_extracted_and_bad_ones_named_until_they_are_excluded(tmp_path: Path) -> None:
    usable = write_hostile_videos(tmp_path / "videos")
    write_project(tmp_path, dict.fromkeys(usable, "normal"))
    bad = sorted(Path(name).stem for name, is_usable in usable.items() if not is_usable)

    code, refused = stage(tmp_path, "prepare")
    assert code == 1
    assert sorted(exclude_what_it_says(tmp_path, refused)) == bad
    for name in ("prepare", "extract_visual", "extract_audio"):
        code, printed = stage(tmp_path, name)
        assert code == 0, printed
    good = sorted(f"{Path(name).stem}.h5" for name, is_usable in usable.items() if is_usable)
    for modality in ("visual", "audio"):
        assert sorted(path.name for path in (tmp_path / paths.features(NAME, modality)).iterdir()) == good


@pytest.mark.slow
def test_a_bad_file_is_told_as_the_page_shows_it(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
    picture = {"codec": "mjpeg", "pixel_format": "yuvj420p"}  # each packet is a frame of its own
    for name in ("gate 01.mp4", "gate 02.mp4", "gate 03.mp4"):
        write_video(tmp_path / "videos" / name, n_frames=20, frame_fn=lambda index: noise[index], **picture)
    bad = tmp_path / "videos" / "gate 02.mp4"
    with av.open(str(bad)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = bad.read_bytes()
    for packet in packets[4:18]:
        content = content.replace(packet, bytes(len(packet)))
    bad.write_bytes(content)
    write_project(tmp_path, dict.fromkeys(["gate 01.mp4", "gate 02.mp4", "gate 03.mp4"], "normal"))
    assert stage(tmp_path, "prepare")[0] == 0
    (shown,) = pages.blocks("docs/extraction.md", "When files are bad")
    command, *lines = shown.replace("mine", NAME).splitlines()
    assert command == f"$ python -m pipeline.extract_visual {NAME}"
    code, printed = stage(tmp_path, "extract_visual")
    assert code == 1
    found = [without_numbers(line) for line in printed.splitlines()]
    assert [line for line in lines if without_numbers(line) not in found] == [], printed


def without_numbers(line: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "#", line)


@pytest.mark.slow
def test_flipped_bits_give_whole_features_or_a_named_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 copies of a good video, each damaged in 20 places behind its header, between two good ones."""
    videos = tmp_path / "videos"
    videos.mkdir()
    whole = NOISE.read_bytes()
    for name in ("a good one.mp4", "z good one.mp4"):
        (videos / name).write_bytes(whole)
    rng = random.Random(0)
    for copy in range(20):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[rng.randrange(4000, len(whole))] ^= 1 << rng.randrange(8)
        (videos / f"damaged {copy:02}.mp4").write_bytes(damaged)
    write_project(tmp_path, {path.name: "normal" for path in videos.iterdir()})
    monkeypatch.chdir(tmp_path)
    prepare_here()

    code, first = stage(tmp_path, "extract_visual")
    failed = exclude_what_it_says(tmp_path, first) if code else []
    assert code == (1 if failed else 0)
    assert all(video_id.startswith("damaged") for video_id in failed)
    prepare_here()
    code, second = stage(tmp_path, "extract_visual")
    assert code == 0, second
    assert f"{22 - len(failed)} cached, 0 encoded" in second  # nothing good was decoded twice
    for video_id in {path.stem for path in videos.iterdir()} - set(failed):
        assert (paths.features(NAME, "visual") / f"{video_id}.h5").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for n in range(8):
        write_video(videos / f"video {n}.mp4", n_frames=100 + n, audio=tone(4.0, frequency=200 + 50 * n))
    write_project(tmp_path, {path.name: "normal" for path in videos.iterdir()}, batch_size=2)
    monkeypatch.chdir(tmp_path)
    extract(NAME, modality, prepare_here())
    output = paths.features(NAME, modality)
    uninterrupted = contents(output)
    for folder in (output, Path(".cache")):
        subprocess.run(["rm", "-r", str(folder)], check=True)

    rng = random.Random(0)
    n_killed = 0
    while True:
        process, pid = begin(modality)
        # The first process dies before it has kept anything, the others some videos later, in the middle of one.
        enough = n_kept() + (rng.randrange(1, 4) if n_killed else 0)
        while process.poll() is None and n_kept() < enough:
            time.sleep(0.01)
        time.sleep(0.2 * rng.random())
        if process.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate()
        if process.returncode != 256 - signal.SIGKILL:
            break
        n_killed += 1
    assert process.returncode == 0, errors
    assert n_killed >= 1
    assert contents(output) == uninterrupted


def begin(modality: str) -> tuple[subprocess.Popen[str], int]:
    """Start stage ``extract`` in the working directory from a process that has imported its libraries.

    Returns
    -------
    The process that waits for the stage, and the id of the one to kill.
    """
    note = Path("pid")
    note.unlink(missing_ok=True)
    lines = (
        "import os, pathlib, runpy, sys",
        f"pathlib.Path({str(note)!r}).write_text(str(os.getpid()))",
        f"sys.argv[1:] = [{NAME!r}]",
        f"runpy.run_module('pipeline.extract_{modality}', run_name='__main__', alter_sys=True)",
    )
    process = subprocess.Popen(
        [*warm.command(warm.start()).split(), "python", "-c", "\n".join(lines)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = wait_for(lambda: note.exists() and note.read_text())
    assert pid, "it has not begun"
    return process, int(pid)


def n_kept() -> int:
    """Number of videos whose features are in the work cache."""
    return len(list(Path(".cache/features").glob("??/*.h5")))


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_extraction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "long.mp4", n_frames=2000, size=(16, 16))
    write_project(tmp_path, {"long.mp4": "normal"}, stride=1)
    monkeypatch.chdir(tmp_path)
    prepare_here()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.extract_visual", NAME], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    workers = wait_for(lambda: children_of(process.pid))
    time.sleep(2)  # so that it is decoding
    process.kill()
    process.wait()
    assert wait_for(lambda: not any(Path(f"/proc/{worker}/fd").exists() for worker in workers))


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(child) for child in re.findall(r"\d+", found)]


def wait_for(condition, seconds: float = 60):
    """The first true value of `condition`, or its last value after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return value
