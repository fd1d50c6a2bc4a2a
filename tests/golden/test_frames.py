"""Decoders still give the sampled frames and windows of sound whose checksums are kept."""

import json
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.golden import checksums
from tests.golden.clips import CLIPS, FOLDER

REMEDY = "what was extracted before differs from this: change the recipe, then `python -m tests.golden --write`"
GOLDEN = checksums.read()
LIBAVUTIL = next(Path(f"{av.__path__[0]}.libs").glob("libavutil-*"), None)  # as bundled with PyAV's wheels
# A frame whose means are 16, 32, ..., and a window of silence.
LINES = {"frame": f"{'0' * 16} {bytes(range(16, 208, 16)).hex()}", "sound": f"{'0' * 16} {bytes(8).hex()}"}


@pytest.mark.parametrize("name", CLIPS)
def test_decoders_give_what_they_gave(name: str) -> None:
    now = {"libc": checksums.libc(), "clips": {name: checksums.measure_clip(FOLDER / name)}}
    before = {"libc": GOLDEN["libc"], "clips": {name: GOLDEN["clips"][name]}}
    assert list(checksums.differences(before, now)) == [], f"{REMEDY} (made with {GOLDEN['versions']})"


def test_every_clip_is_in_the_file_and_on_the_disk() -> None:
    assert list(GOLDEN["clips"]) == list(CLIPS)
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(CLIPS)


def one_clip(frame: str, sound: str) -> checksums.Golden:
    return {"libc": "", "clips": {"a.mp4": {"shown": "1 frame", "pyav": [frame], "sound": [sound]}}}


@pytest.mark.parametrize("is_exact", [True, False])
@pytest.mark.parametrize("kind", ["frame", "sound"])
@pytest.mark.parametrize(("levels", "is_found_coarsely"), [(0, False), (1, False), (4, True)])
def test_what_differs_is_told(is_exact: bool, kind: str, levels: int, is_found_coarsely: bool) -> None:
    means = bytearray.fromhex(LINES[kind].split()[1])
    means[-1] += levels
    changed = LINES | {kind: f"{'1' * 16} {means.hex()}"}
    found = list(checksums.differences(one_clip(**LINES), one_clip(**changed), is_exact=is_exact))
    assert len(found) == (is_exact or is_found_coarsely)
    assert all(f"differ by up to {levels} levels" in line for line in found)


def test_a_frame_that_is_missing_and_a_clip_that_is_gone_are_told() -> None:
    before, now = one_clip(**LINES), one_clip(**LINES)
    now["clips"]["a.mp4"] |= {"shown": "2 frames", "pyav": []}
    now["clips"]["b.mp4"] = {}
    assert list(checksums.differences(before, now, is_exact=False)) == [
        "a.mp4: shown: 1 frame -> 2 frames",
        "a.mp4: pyav: 1 -> 0",
        "b.mp4: is new",
    ]


@pytest.mark.slow
@pytest.mark.skipif(
    not checksums.has_vector_units(), reason="FFmpeg's scalar code is the only one here, or another one"
)
@pytest.mark.skipif(LIBAVUTIL is None, reason="PyAV uses FFmpeg's libraries of the system: it is not from a wheel")
def test_scalar_code_is_within_the_tolerance_of_other_machines() -> None:
    program = (
        f"import ctypes; ctypes.CDLL({str(LIBAVUTIL)!r}).av_force_cpu_flags(0); import json, sys\n"
        "from tests.golden import checksums; json.dump(checksums.measure(), sys.stdout)"
    )
    scalar = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    now = json.loads(scalar.stdout)
    assert list(checksums.differences(GOLDEN, now, is_exact=False)) == []
    assert list(checksums.differences(GOLDEN, now, is_exact=True)), "the flags were not taken: this compared nothing"
