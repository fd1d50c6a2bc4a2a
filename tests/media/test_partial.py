"""Files that can be decoded in part: that part is used, and losses are counted correctly."""

from pathlib import Path

import av
import numpy as np
import pytest

from avadclip.errors import MediaError
from avadclip.media.audio import decode_windows
from avadclip.media.decord_reader import decord_available
from avadclip.media.frames import decode_frames
from avadclip.media.probe import VideoInfo, probe
from avadclip.media.timeline import boundary_seconds, sample_indices
from tests.support.media_factory import write_video
from tests.support.odd_media_factory import (
    copy_packets,
    with_data,
    with_lost_packets,
    without_first_pictures,
    write_clip,
)


def grays(path: Path, info: VideoInfo, stride: int = 1, decoder: str = "pyav") -> np.ndarray:
    indices = sample_indices(info.n_frames, stride)
    return np.concatenate([b.rgb.mean(axis=(1, 2, 3)) for b in decode_frames(path, info, indices, decoder)])


def coverage(path: Path, info: VideoInfo) -> np.ndarray:
    boundaries = boundary_seconds(info, 10)
    centres = (boundaries[:-1] + boundaries[1:]) / 2
    return np.array([window.coverage for window in decode_windows(path, centres, 0.4, sound=info.sound)])


def ramp(first: int, n_frames: int) -> np.ndarray:
    return 16.0 + 8 * np.arange(first, first + n_frames) % 224


@pytest.mark.slow
@pytest.mark.parametrize("n_lost", [5, 30, 99])
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.ts", {"options": {"g": "100", "bf": "0"}}),
        ("a.ts", {"options": {"g": "100", "bf": "3"}}),
        ("a.mkv", {"options": {"g": "100", "bf": "3"}}),
        ("a.mp4", {"options": {"g": "100"}}),
        ("a.flv", {"options": {"g": "100"}}),
        ("hevc.ts", {"codec": "libx265", "options": {"x265-params": "keyint=100:min-keyint=100:log-level=none"}}),
    ],
    ids=["ts", "ts with B frames", "mkv", "mp4", "flv", "hevc"],
)
def test_a_file_that_begins_inside_a_group_counts_from_its_first_decodable_picture(tmp_path, name, written, n_lost):
    whole = write_clip(tmp_path / name, seconds=6.0, **written)
    first = probe(whole).frame_seconds[100]
    path = without_first_pictures(whole, tmp_path / f"cut {name}", n_lost)
    info = probe(path)
    assert info.n_frames == 50
    assert info.frame_seconds[0] == pytest.approx(first, abs=0.002)
    np.testing.assert_allclose(grays(path, info), ramp(100, 50), atol=3.5)  # frames differ by 8
    assert (coverage(path, info)[:-1] > 0.99).all()
    assert any("begins inside a group of pictures" in note for note in info.notes)
    if decord_available():
        with pytest.raises(MediaError, match="use PyAV"):
            grays(path, info, decoder="decord")


@pytest.mark.slow
@pytest.mark.parametrize("padding", [bytes(1 << 21), b"\xff" * (1 << 21)], ids=["zeros", "ones"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv", "avi", "h264"])
def test_padding_behind_the_content_changes_nothing(tmp_path, suffix, padding):
    other = {"avi": {"codec": "mpeg4", "options": {}, "audio_codec": "mp3"}, "h264": {"audio": None}}
    whole = write_clip(tmp_path / f"whole.{suffix}", 4.0, **other.get(suffix, {}))
    path = tmp_path / f"padded.{suffix}"
    path.write_bytes(whole.read_bytes() + padding)
    expected, info = probe(whole), probe(path)
    np.testing.assert_array_equal(info.frame_seconds, expected.frame_seconds)
    assert info.end_seconds == expected.end_seconds
    np.testing.assert_array_equal(grays(path, info), grays(whole, expected))
    if info.has_audio:
        np.testing.assert_array_equal(coverage(path, info), coverage(whole, expected))


@pytest.mark.slow
def test_padding_inside_a_stream_is_passed_over(tmp_path):
    whole = write_clip(tmp_path / "whole.ts").read_bytes()
    half = len(whole) // 188 // 2 * 188
    path = tmp_path / "preallocated.ts"
    path.write_bytes(whole[:half] + bytes(1 << 20) + whole[half:])
    info = probe(path)
    assert info.n_frames == 250
    np.testing.assert_allclose(grays(path, info), ramp(0, 250), atol=3.5)


@pytest.mark.parametrize(("suffix", "resolution"), [("avi", 25), ("mp4", 12_800), ("mkv", 12_800)])
def test_pictures_that_are_not_coded_are_the_one_before_shown_longer(tmp_path, suffix, resolution):
    whole = write_video(tmp_path / f"whole.{suffix}", n_frames=60, codec="mpeg4", options={"g": "1"})
    empty = set(range(7, 60, 5))
    # ISO/IEC 14496-2: P, no modulo_time_base, marker, increment, marker, vop_coded = 0, and stuffing.
    bits = "01" + "0" + "1" + "0" * (resolution - 1).bit_length() + "1" + "0" + "0"
    bits += "1" * (-len(bits) % 8)
    not_coded = b"\x00\x00\x01\xb6" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    path = copy_packets(
        whole,
        tmp_path / f"not coded.{suffix}",
        lambda packet, number: with_data(packet, not_coded) if number in empty else packet,
    )
    info = probe(path)
    left = np.array(sorted(set(range(60)) - empty))
    assert info.n_frames == len(left)
    np.testing.assert_allclose(info.frame_seconds - info.frame_seconds[0], left / 25, atol=0.001)
    np.testing.assert_allclose(grays(path, info), ramp(0, 60)[left], atol=3.5)  # frames differ by 8


def test_many_lost_samples_are_counted_to_the_end(tmp_path):
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (100, 48, 64, 3), dtype=np.uint8)
    whole = write_video(
        tmp_path / "whole.mkv",
        n_frames=100,
        codec="mjpeg",
        pixel_format="yuvj420p",
        frame_fn=lambda index: noise[index],
    )
    content = whole.read_bytes()
    with av.open(str(whole)) as container:
        for number, packet in enumerate(container.demux(video=0)):
            if packet.size and 20 <= number < 60 and number % 2:
                content = content.replace(bytes(packet), bytes(packet.size))
    path = tmp_path / "damaged.mkv"
    path.write_bytes(content)
    info = probe(path)
    with pytest.raises(MediaError, match=r"20 of 100 sampled frames cannot be decoded"):
        grays(path, info)
    with pytest.raises(MediaError, match=r"10 of 25 sampled frames cannot be decoded"):
        list(decode_frames(path, info, np.arange(1, 100, 4), "pyav"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("start_seconds", [0.0, 36_000.0])
def test_a_camera_that_loses_five_percent_of_its_packets_is_used(tmp_path, seed, start_seconds):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (50, 12, 16, 3), dtype=np.uint8).repeat(20, axis=1).repeat(20, axis=2)
    whole = write_clip(
        tmp_path / "whole.ts",
        start_seconds=start_seconds,
        size=(320, 240),
        frame_fn=lambda index: noise[index // 5],
        options={"g": "25", "bf": "0"},
    )
    path = with_lost_packets(whole, tmp_path / "lossy.ts", 0.05, seed)
    info = probe(path)
    assert 200 <= info.n_frames <= 250
    assert np.diff(info.frame_seconds).min() > 0
    assert info.end_seconds - info.frame_seconds[0] == pytest.approx(10.0, abs=0.6)  # packets may be lost at both ends
    assert len(grays(path, info, stride=4)) == -(-info.n_frames // 4)
    assert coverage(path, info).mean() > 0.5


def test_sound_that_is_mostly_damaged_is_an_error(tmp_path):
    whole = write_clip(tmp_path / "whole.mp4")
    content = whole.read_bytes()
    with av.open(str(whole)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    for packet in packets[20:100]:
        content = content.replace(packet, b"\xff" * len(packet))
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    info = probe(path)
    with pytest.raises(MediaError, match="s of sound cannot be decoded"):
        coverage(path, info)
