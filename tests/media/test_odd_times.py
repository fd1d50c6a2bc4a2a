"""Clocks of files: their start changes nothing, and after a jump, pictures and sound go on together."""

from pathlib import Path

import numpy as np
import pytest

from avadclip.datasets.frame_spans import fit
from avadclip.datasets.model import TimedSegment
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.probe import VideoInfo, probe
from avadclip.media.timeline import boundary_seconds, sample_indices
from tests.support.media_factory import tone, write_video
from tests.support.odd_media_factory import copy_packets, glued, noisy_tone, with_stamps, write_clip

WRAP_SECONDS = 2**33 / 90_000  # after which the clock of MPEG-TS starts again
STARTS = [0.0, 1_234.4, 36_000.0, 1.6e9, WRAP_SECONDS - 3.0]


def grays(path: Path, info: VideoInfo) -> np.ndarray:
    """Mean level of every frame, [n]."""
    batches = decode_frames(path, info, np.arange(info.n_frames), "pyav")
    return np.concatenate([batch.rgb.mean(axis=(1, 2, 3)) for batch in batches])


def pitches(path: Path, info: VideoInfo, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Loudest frequency (Hz) and coverage of the sound of every snippet, [n] each."""
    boundaries = boundary_seconds(info, stride)
    windows = list(decode_windows(path, (boundaries[:-1] + boundaries[1:]) / 2, 0.5, sound=info.sound))
    spectra = [np.abs(np.fft.rfft(window.samples)) for window in windows]
    return np.array([spectrum.argmax() / 0.5 for spectrum in spectra]), np.array([w.coverage for w in windows])


def ramp(n_frames: int) -> np.ndarray:
    return 16.0 + 8 * np.arange(n_frames) % 224


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "webm"])
@pytest.mark.parametrize("start", STARTS)
def test_where_a_clock_begins_changes_nothing(tmp_path, suffix, start):
    if suffix == "ts" and start > WRAP_SECONDS:
        start %= WRAP_SECONDS  # its clock cannot count further
    codecs = {"codec": "libvpx", "audio_codec": "libopus", "options": {}} if suffix == "webm" else {}
    path = write_clip(tmp_path / f"a.{suffix}", seconds=4.0, start_seconds=start, **codecs)
    info = probe(path)
    assert info.n_frames == 100
    assert info.end_seconds - info.frame_seconds[0] == pytest.approx(4.0, abs=0.002)  # Matroska rounds to 1 ms
    np.testing.assert_allclose(info.frame_seconds - info.frame_seconds[0], np.arange(100) / 25, atol=0.001)
    np.testing.assert_allclose(grays(path, info), ramp(100), atol=3.5)  # frames differ by 8
    found, coverage = pitches(path, info, 10)
    assert (coverage[1:-1] > 0.99).all()
    np.testing.assert_allclose(found[1:-1], 440, atol=2)
    assert info.notes == ()


@pytest.mark.slow
@pytest.mark.parametrize("second_start", [0.0, 5.0, 3_600.0, 90_000.0])
@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_parts_that_were_glued_follow_each_other(tmp_path, suffix, second_start):
    colours = ([255, 0, 0], [0, 0, 255])
    parts = [
        write_clip(
            tmp_path / f"{number}.{suffix}",
            start_seconds=start,
            frame_fn=lambda _, colour=colour: np.full((48, 64, 3), colour, dtype=np.uint8),
            audio=tone(10.0, pitch),
            options={"g": "50", "bf": "2"},
        )
        for number, (start, colour, pitch) in enumerate(zip((0.0, second_start), colours, (440, 1_760), strict=True))
    ]
    path = glued(tmp_path / f"glued.{suffix}", *parts)
    info = probe(path)
    if suffix == "mkv" and info.n_frames == 250:
        pytest.skip("this FFmpeg ends at the second header of Matroska")
    assert info.n_frames == 500
    assert info.end_seconds - info.frame_seconds[0] == pytest.approx(20.0, abs=0.05)
    rgb = np.concatenate([batch.rgb for batch in decode_frames(path, info, np.arange(500), "pyav")])
    is_blue = rgb[..., 2].mean(axis=(1, 2)) > 128
    np.testing.assert_array_equal(is_blue, np.arange(500) >= 250)
    found, coverage = pitches(path, info, 10)
    np.testing.assert_allclose(found[1:24], 440, atol=2)
    np.testing.assert_allclose(found[26:49], 1_760, atol=2)
    assert (coverage[1:-1] > 0.95).all()
    assert any("jumps from" in note for note in info.notes)


@pytest.mark.slow
@pytest.mark.parametrize("by_seconds", [-0.5, -3.0, -3_600.0, 7_200.0])
def test_a_clock_that_is_set_during_the_recording(tmp_path, by_seconds):
    whole = write_clip(tmp_path / "whole.ts", start_seconds=4_000.0, options={"g": "250", "bf": "0"})

    def before(packet, _):
        return packet if packet.pts * packet.time_base < 4_006 else None

    def after(packet, number):
        if before(packet, number):
            return None
        packet.pts += round(by_seconds / packet.time_base)
        packet.dts += round(by_seconds / packet.time_base)
        return packet

    # A muxer refuses timestamps that go back, so the two sides are written separately.
    sides = [copy_packets(whole, tmp_path / f"{side.__name__}.ts", side) for side in (before, after)]
    path = glued(tmp_path / "set.ts", *sides)
    info = probe(path)
    assert info.n_frames == 250
    assert np.diff(info.frame_seconds) == pytest.approx(1 / 25, abs=0.001)
    np.testing.assert_allclose(grays(path, info), ramp(250), atol=3.5)
    _, coverage = pitches(path, info, 10)
    assert (coverage[1:-1] > 0.9).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["video", "audio"])
@pytest.mark.parametrize("by_seconds", [25.0, -25.0])
def test_a_single_stamp_that_is_astray_costs_nothing(tmp_path, kind, by_seconds):
    whole = write_clip(tmp_path / "whole.mkv", start_seconds=30.0)
    path = with_stamps(
        whole, tmp_path / "astray.mkv", kind, lambda number, seconds: seconds + by_seconds * (number == 120)
    )
    info = probe(path)
    assert info.n_frames == 250
    np.testing.assert_allclose(info.frame_seconds, 30 + np.arange(250) / 25, atol=0.001)
    np.testing.assert_allclose(grays(path, info), ramp(250), atol=3.5)
    _, coverage = pitches(path, info, 10)
    assert (coverage[1:-1] > 0.95).all()


def test_sound_hours_ahead_is_not_hours_of_silence(tmp_path):
    # Ten hours ahead without a jump back: in Matroska this may be a pause.
    path = write_video(tmp_path / "late.mkv", n_frames=50, audio=noisy_tone(2.0), audio_offset_seconds=36_000.0)
    windows = list(decode_windows(path, np.array([0.5, 1.5]), 1.0))
    assert [window.coverage for window in windows] == [0.0, 0.0]


@pytest.mark.slow
def test_pauses_of_a_variable_frame_rate_stay(tmp_path):
    times = [0.0, 0.04, 0.08, 30.0, 30.04, 45.0]
    info = probe(write_video(tmp_path / "idle.mkv", n_frames=6, frame_seconds=times, audio=tone(46.0)))
    np.testing.assert_allclose(info.frame_seconds, times, atol=0.001)
    stream = write_video(tmp_path / "idle.ts", n_frames=6, frame_seconds=times, audio=tone(46.0), options={"bf": "0"})
    found = probe(stream).frame_seconds
    np.testing.assert_allclose(found - found[0], times, atol=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("burst_seconds", [1.0, 5.0, 20.0])
def test_sound_that_is_stamped_in_bursts_is_heard_whole(tmp_path, burst_seconds):
    sound = np.concatenate([tone(2.0, 220.0 * 2**octave) for octave in (0, 1, 2, 3, 4)])
    whole = write_clip(tmp_path / "whole.mkv", audio=sound)
    path = with_stamps(
        whole, tmp_path / "bursts.mkv", "audio", lambda _, seconds: max(seconds, 0.0) // burst_seconds * burst_seconds
    )
    found, coverage = pitches(path, probe(path), 10)
    assert (coverage[1:-1] > 0.95).all()
    expected = [220.0 * 2**octave for octave in (0, 1, 2, 3, 4)]
    # Compared in the middle of each tone, because bursts show only roughly when it begins.
    np.testing.assert_allclose(found[[2, 7, 12, 17, 22]], expected, atol=4)


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_segments_in_seconds_are_read_back_as_the_same_frames(tmp_path, start):
    n_frames = 300
    times = [start + index / 30 for index in range(n_frames)]
    path = write_video(tmp_path / "a.mkv", n_frames=n_frames, frame_rate=30, frame_seconds=times)
    info = probe(path)
    boundaries = boundary_seconds(info, 16) - info.frame_seconds[0]
    for snippet in range(len(boundaries) - 1):
        text = [f"{seconds:.6f}" for seconds in boundaries[[snippet, snippet + 1]]]  # as in segments.csv
        segment = fit(TimedSegment("a", "fighting", float(text[0]), float(text[1])), info)
        assert (segment.start_frame, segment.end_frame) == (16 * snippet, min(16 * snippet + 16, n_frames))
    assert len(sample_indices(n_frames, 16)) == len(boundaries) - 1
