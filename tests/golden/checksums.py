"""Checksums of what the decoders give for the golden clips, and how they differ from earlier ones."""

import hashlib
import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip.errors import MediaError
from avadclip.extraction.recipe import DISTRIBUTIONS
from avadclip.io import sha256_of
from avadclip.media.audio import decode_windows
from avadclip.media.decord_reader import decord_available
from avadclip.media.frames import Decoder, decode_frames
from avadclip.media.probe import VideoInfo, probe
from avadclip.media.timeline import boundary_seconds, sample_indices
from tests.golden.clips import CLIPS, FOLDER

FILE = Path(__file__).with_name("frames.json")
STRIDE = 4  # frames
WINDOW_SECONDS = 0.32
# Tolerances where checksums cannot be compared: between FFmpeg's scalar and vector code, RGB values differ by at most
# 3 levels and by 1.3 on average, and samples of sound by 1e-6.
PICTURE_LEVELS = 3  # of a mean over a quarter of the picture
SOUND_LEVELS = 1  # of the root mean square over a quarter of the window, 65535 being full scale

Golden = dict[str, Any]


def decoders() -> list[Decoder]:
    """The decoders of this machine whose pictures are kept; torchcodec gives PyAV's pictures or refuses."""
    return ["pyav", "decord"] if decord_available() else ["pyav"]


def measure() -> Golden:
    """Everything that belongs in ``frames.json``, measured with the decoders of this machine."""
    return {
        "versions": {decoder: version(DISTRIBUTIONS[decoder]) for decoder in decoders()},
        "libc": libc(),
        "clips": {name: measure_clip(FOLDER / name) for name in CLIPS},
    }


def measure_clip(path: Path) -> Golden:
    """One clip: checksums of the file, of the frames by each decoder and of the sound, and its times."""
    info = probe(path)
    return {
        "sha256": sha256_of(path)[:16],
        "shown": f"{info.n_frames} frames, {info.width} x {info.height}, turned by {info.rotation} degrees",
        "seconds": [round(float(seconds), 6) for seconds in boundary_seconds(info, STRIDE)],
        **{decoder: _frames(path, info, decoder) for decoder in decoders()},
        "sound": _sound(path, info),
    }


def differences(before: Golden, now: Golden, *, is_exact: bool | None = None) -> Iterator[str]:
    """One line for each difference between two results; a decoder that only one of them used is left out.

    Parameters
    ----------
    is_exact : whether to compare checksums, or else the coarse means beside them; None: as this machine allows.
    """
    exact_pictures = has_vector_units() if is_exact is None else is_exact
    exact_sound = exact_pictures and (before["libc"] == now["libc"] if is_exact is None else is_exact)
    for name in sorted({*before["clips"], *now["clips"]}):
        ours, theirs = now["clips"].get(name), before["clips"].get(name)
        if ours is None or theirs is None:
            yield f"{name}: {'is new' if theirs is None else 'is gone'}"
            continue
        for key in [key for key in ours if key in theirs]:
            if key in ("pyav", "decord", "sound") and isinstance(ours[key], list) and isinstance(theirs[key], list):
                levels, is_same = (SOUND_LEVELS, exact_sound) if key == "sound" else (PICTURE_LEVELS, exact_pictures)
                yield from _lines(f"{name}: {key}", theirs[key], ours[key], levels, is_same)
            elif ours[key] != theirs[key]:
                yield f"{name}: {key}: {theirs[key]} -> {ours[key]}"


def read() -> Golden:
    """The content of ``frames.json``."""
    golden: Golden = json.loads(FILE.read_text(encoding="utf-8"))
    return golden


def to_text(golden: Golden) -> str:
    """The text of ``frames.json``: one line for each frame and each window of sound, so that git shows what differs."""
    return json.dumps(golden, indent=1) + "\n"


def has_vector_units() -> bool:
    """Whether FFmpeg uses AVX2 and FMA here, as every x86-64 machine since 2015 does."""
    cpuinfo = Path("/proc/cpuinfo")
    found = set(cpuinfo.read_text(encoding="utf-8").split()) if cpuinfo.exists() else set()
    return platform.machine() == "x86_64" and {"avx2", "fma"} <= found


def libc() -> str:
    """The C library, whose sines and powers are the basis of audio decoders."""
    return " ".join(platform.libc_ver())


def _frames(path: Path, info: VideoInfo, decoder: Decoder) -> list[str] | str:
    try:
        batches = list(decode_frames(path, info, sample_indices(info.n_frames, STRIDE, "middle"), decoder, n_threads=1))
    except MediaError:
        return "refused"  # decord's messages contain the time of day and contents of memory
    return [_line(rgb, _quarters(rgb).round().astype(np.uint8).tobytes()) for batch in batches for rgb in batch.rgb]


def _sound(path: Path, info: VideoInfo) -> list[str] | str:
    if not info.has_audio:
        return "none"
    boundaries = boundary_seconds(info, STRIDE)
    windows = decode_windows(path, (boundaries[:-1] + boundaries[1:]) / 2, WINDOW_SECONDS, sound=info.sound)
    return [_line(window.samples, _loudness(window.samples)) for window in windows]


def _line(values: NDArray[Any], coarse: bytes) -> str:
    return f"{hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]} {coarse.hex()}"


def _quarters(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour of each quarter of a picture, [2, 2, 3]."""
    rows, columns = np.array_split(rgb.astype(np.float64), 2), 2
    return np.array([[part.mean((0, 1)) for part in np.array_split(row, columns, axis=1)] for row in rows])


def _loudness(samples: NDArray[np.float32]) -> bytes:
    """Root mean square of each quarter of a window, two bytes each."""
    parts = np.array_split(samples.astype(np.float64), 4)
    return np.array([round(min(np.sqrt((part**2).mean()), 1) * 65535) for part in parts], dtype=">u2").tobytes()


def _lines(what: str, before: list[str], now: list[str], levels: int, is_exact: bool) -> Iterator[str]:
    if len(before) != len(now):
        yield f"{what}: {len(before)} -> {len(now)}"
        return
    for place, (theirs, ours) in enumerate(zip(before, now, strict=True)):
        off = int(np.abs(_levels(theirs, what) - _levels(ours, what)).max())
        if theirs.split()[0] != ours.split()[0] and (is_exact or off > levels):
            yield f"{what} {place}: {theirs} -> {ours} (means differ by up to {off} levels)"


def _levels(line: str, what: str) -> NDArray[np.int64]:
    kind = ">u2" if what.endswith("sound") else np.uint8
    return np.frombuffer(bytes.fromhex(line.split()[1]), dtype=kind).astype(np.int64)
