"""Windows of sound equal slices of a full decode and are in step with the pictures."""

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import iscc_samples
import numpy as np
import pytest

from avadclip.errors import MediaError
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe
from avadclip.media.timeline import boundary_seconds, sample_indices
from tests.support.media_factory import SAMPLE_RATE, tone, write_audio_only, write_video

ISCC = Path(iscc_samples.__file__).parent / "files" / "video"
CONTAINERS = ["3gp", "asf", "avi", "f4v", "flv", "m4v", "mkv", "mov", "mp4", "mpg", "ogg", "rm", "vob", "webm", "wmv"]


def fully_decoded(path: Path) -> tuple[float, np.ndarray]:
    """Start in seconds, and all samples as 16 kHz mono."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    start = frames[0].time
    for frame in frames:
        frame.pts = None
    pieces = [out.to_ndarray()[0] for frame in [*frames, None] for out in resampler.resample(frame)]
    return start, np.concatenate(pieces)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_windows_of_real_files_are_slices_of_a_full_decode(suffix):
    path = ISCC / f"demo.{suffix}"
    start_seconds, sound = fully_decoded(path)
    centres = np.arange(-1.0, 62.0, 0.64)
    windows = list(decode_windows(path, centres, 1.0))
    first = round(start_seconds * SAMPLE_RATE)
    padded = np.concatenate([np.zeros(2 * SAMPLE_RATE + first), sound, np.zeros(5 * SAMPLE_RATE)])
    covered = np.concatenate([np.zeros(2 * SAMPLE_RATE + first), np.ones(len(sound)), np.zeros(5 * SAMPLE_RATE)])
    assert len(windows) == len(centres)
    for centre, window in zip(centres, windows, strict=True):
        begin = round((centre - 0.5 + 2.0) * SAMPLE_RATE)
        # The same resampler on the same frames: the same numbers.
        np.testing.assert_allclose(window.samples, padded[begin : begin + SAMPLE_RATE], atol=1e-6)
        assert window.coverage == pytest.approx(covered[begin : begin + SAMPLE_RATE].mean(), abs=1e-4)


def click_track(path: Path, *, is_variable: bool, audio_offset_seconds: float) -> tuple[Path, float]:
    """A black video with a flash in frames 88..91 and a beep of 40 ms in its middle, and when the beep begins."""
    steps = np.full(200, 1 / 25)
    if is_variable:
        steps = np.random.default_rng(5).choice([1 / 50, 1 / 25, 2 / 25], size=200)
    times = np.cumsum(steps) - steps[0]
    beep_seconds = float(times[88] + times[91] + steps[91]) / 2 - 0.02
    sound = np.zeros(round((times[-1] + 1.5) * SAMPLE_RATE), dtype=np.float32)
    first = round((beep_seconds - audio_offset_seconds) * SAMPLE_RATE)
    sound[first : first + 640] = tone(0.04, 1_000.0)
    write_video(
        path,
        n_frames=200,
        frame_seconds=times.tolist(),
        frame_fn=lambda index: np.full((48, 64, 3), 255 * (88 <= index < 92), dtype=np.uint8),
        audio=sound,
        audio_offset_seconds=audio_offset_seconds,
    )
    return path, beep_seconds


@pytest.mark.slow
@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("audio_offset_seconds", [0.0, 0.5, -0.5])
@pytest.mark.parametrize("is_variable", [False, True], ids=["constant", "variable"])
def test_flash_and_beep_fall_into_the_same_snippet(tmp_path, container, audio_offset_seconds, is_variable):
    path, _ = click_track(
        tmp_path / f"click.{container}", is_variable=is_variable, audio_offset_seconds=audio_offset_seconds
    )
    info = probe(path)
    # A taper makes the window that is centred on the beep the loudest of those that contain it.
    taper = np.hanning(SAMPLE_RATE)
    for stride in (4, 16):
        indices = sample_indices(info.n_frames, stride, "middle")
        brightness = [rgb.mean() for batch in decode_frames(path, info, indices, "pyav") for rgb in batch.rgb]
        boundaries = boundary_seconds(info, stride)
        centres = (boundaries[:-1] + boundaries[1:]) / 2
        loudness = [np.square(window.samples * taper).sum() for window in decode_windows(path, centres, 1.0)]
        assert np.argmax(brightness) == np.argmax(loudness) == 88 // stride


@pytest.mark.slow
@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("audio_offset_seconds", [0.0, 0.5, -0.5])
def test_the_beep_is_found_where_it_was_put(tmp_path, container, audio_offset_seconds):
    path, beep_seconds = click_track(
        tmp_path / f"click.{container}", is_variable=False, audio_offset_seconds=audio_offset_seconds
    )
    # Matroska has no negative times: its muxer shifts picture and sound together.
    centre_seconds = probe(path).frame_seconds[0] + beep_seconds
    (window,) = decode_windows(path, np.array([centre_seconds]), 1.0)
    onset = np.flatnonzero(np.abs(window.samples) > 0.1)[0]
    # AAC smears an onset over part of its window of 64 ms; Matroska rounds times to 1 ms.
    assert onset / SAMPLE_RATE == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("offset_seconds", "audio_seconds", "expected"),
    [
        (0.0, 4.0, [0.5, 1.0, 1.0, 1.0]),
        (1.0, 4.0, [0.0, 0.5, 1.0, 1.0]),
        (0.0, 1.25, [0.5, 0.75, 0.0, 0.0]),
        (10.0, 1.0, [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_coverage_is_the_share_of_the_window_that_has_sound(tmp_path, offset_seconds, audio_seconds, expected):
    path = write_video(
        tmp_path / "late.mkv",
        n_frames=100,
        audio=tone(audio_seconds),
        audio_offset_seconds=offset_seconds,
        audio_codec="pcm_s16le",
    )
    windows = list(decode_windows(path, np.arange(4.0), 1.0))
    assert [window.coverage for window in windows] == pytest.approx(expected, abs=0.002)  # Matroska rounds to 1 ms
    for window in windows:
        assert (np.abs(window.samples) > 0).mean() == pytest.approx(window.coverage, abs=0.03)  # a sine's own zeros


def write_blocks(path: Path, starts_seconds: list[float], block_seconds: float) -> Path:
    """Sound in uncompressed blocks, each with a time of its own."""
    n_samples = round(block_seconds * SAMPLE_RATE)
    sound = (tone(block_seconds * len(starts_seconds)) * 32_767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for number, seconds in enumerate(starts_seconds):
            samples = sound[None, number * n_samples : (number + 1) * n_samples]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
            frame.pts = round(seconds * SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_jitter_of_stamps_cuts_no_holes(tmp_path):
    rng = np.random.default_rng(3)
    starts = [max(0.0, 0.1 * number + float(rng.uniform(-0.02, 0.02))) for number in range(30)]
    starts[0] = 0.0
    path = write_blocks(tmp_path / "jitter.mkv", starts, 0.1)
    windows = list(decode_windows(path, np.arange(0.5, 2.6, 1.0), 1.0))
    assert [window.coverage for window in windows] == [1.0, 1.0, 1.0]
    found = np.concatenate([window.samples for window in windows])
    np.testing.assert_allclose(found, tone(3.0), atol=1e-4)  # 16-bit samples


def test_holes_are_silent_and_overlaps_are_trimmed(tmp_path):
    # Blocks of 0.5 s: a hole of 0.5 s after the second one, and the fourth begins 0.25 s before the third has ended.
    path = write_blocks(tmp_path / "holes.mkv", [0.0, 0.5, 1.5, 1.75], 0.5)
    windows = list(decode_windows(path, np.array([0.5, 1.25, 1.75, 2.25]), 0.5))
    assert [window.coverage for window in windows] == pytest.approx([1.0, 0.0, 1.0, 0.5], abs=0.005)
    assert not windows[1].samples.any()


def test_damaged_packets_become_an_error_when_they_are_many(tmp_path):
    whole = write_video(tmp_path / "whole.mp4", n_frames=250, audio=tone(10.0) + 0.01 * noise(10.0))
    content = whole.read_bytes()
    with av.open(str(whole)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    for n_damaged, is_tolerated in ((5, True), (60, False)):
        damaged = content
        for packet in packets[20 : 20 + n_damaged]:
            damaged = damaged.replace(packet, b"\xff" * len(packet))
        path = tmp_path / f"{n_damaged}.mp4"
        path.write_bytes(damaged)
        if is_tolerated:
            assert len(list(decode_windows(path, np.arange(10.0), 1.0))) == 10
        else:
            with pytest.raises(MediaError, match="s of sound cannot be decoded"):
                list(decode_windows(path, np.arange(10.0), 1.0))


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32)


def test_a_video_without_sound_is_an_error(tmp_path):
    path = write_video(tmp_path / "mute.mp4", n_frames=5)
    with pytest.raises(MediaError, match="expected an audio stream"):
        list(decode_windows(path, np.array([0.0]), 1.0))


@pytest.mark.parametrize("centres", [[1.0, 0.5], [0.0, np.nan], [[0.0, 1.0]]], ids=str)
def test_centres_must_ascend(tmp_path, centres):
    with pytest.raises(ValueError, match="centres_seconds must"):
        decode_windows(tmp_path / "any.mp4", np.array(centres), 1.0)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_track(tmp_path):
    def peak_bytes(seconds: int) -> int:
        path = write_audio_only(tmp_path / f"{seconds}.m4a", tone(seconds))
        tracemalloc.start()
        n_windows = sum(1 for _ in decode_windows(path, np.arange(0.0, seconds, 0.16), 1.0))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert n_windows == len(np.arange(0.0, seconds, 0.16))
        return peak

    peak_bytes(5)  # imports and caches
    short, long = peak_bytes(5), peak_bytes(100)
    assert long < 1.5 * short  # the long track alone is 6.4 MB, four times what is allowed
