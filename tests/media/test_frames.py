"""Sampled frames: both decoders against each other and against a full decode; damaged files; memory."""

import gc
from pathlib import Path

import av
import iscc_samples
import numpy as np
import psutil
import pytest

from avadclip.errors import MediaError
from avadclip.media import decord_reader
from avadclip.media.decord_reader import decord_available
from avadclip.media.frames import FrameBatch, decode_frames
from avadclip.media.probe import VideoInfo, probe
from avadclip.media.timeline import sample_indices
from tests.support.media_factory import NOISE, NOISE_FRAMES, gray_ramp, write_video

ISCC = Path(iscc_samples.__file__).parent / "files" / "video"
# What both can decode; for the others, MPEG-1 and MPEG-2, decord makes up the times.
BOTH = ["3gp", "asf", "avi", "f4v", "flv", "m4v", "mkv", "mov", "mp4", "rm", "webm", "wmv"]
PYAV_ONLY = ["m1v", "mpg", "vob"]

needs_decord = pytest.mark.skipif(not decord_available(), reason="decord has no wheel for this machine")


def decode(path: Path, info: VideoInfo, indices, decoder="pyav") -> FrameBatch:
    """Decode, and join all batches into one."""
    batches = list(decode_frames(path, info, indices, decoder))
    return FrameBatch(
        rgb=np.concatenate([batch.rgb for batch in batches]),
        indices=np.concatenate([batch.indices for batch in batches]),
        seconds=np.concatenate([batch.seconds for batch in batches]),
    )


def decoded_by_hand(path: Path, indices) -> np.ndarray:
    wanted = set(np.asarray(indices).tolist())
    with av.open(str(path)) as container:
        frames = enumerate(container.decode(video=0))
        return np.stack([frame.to_ndarray(format="rgb24") for index, frame in frames if index in wanted])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", BOTH + PYAV_ONLY)
def test_pyav_gives_the_frames_of_a_full_decode(suffix):
    path = ISCC / f"demo.{suffix}"
    info = probe(path)
    indices = sample_indices(info.n_frames, 48, "middle")
    frames = decode(path, info, indices)
    assert frames.indices.tolist() == indices.tolist()
    np.testing.assert_array_equal(frames.seconds, info.frame_seconds[indices])
    np.testing.assert_array_equal(frames.rgb, decoded_by_hand(path, indices))


@pytest.mark.slow
@needs_decord
@pytest.mark.parametrize("suffix", BOTH)
def test_decord_agrees_with_pyav(suffix):
    path = ISCC / f"demo.{suffix}"
    info = probe(path)
    indices = sample_indices(info.n_frames, 48)
    ours, theirs = decode(path, info, indices, "decord"), decode(path, info, indices, "pyav")
    assert ours.indices.tolist() == theirs.indices.tolist() == indices.tolist()
    difference = np.abs(ours.rgb.astype(int) - theirs.rgb).mean(axis=(1, 2, 3))
    # Two versions of FFmpeg convert YUV to RGB with other roundings and chroma filters; a neighbouring frame of this
    # clip is further away than that.
    assert difference.max() < 2.0


@needs_decord
@pytest.mark.parametrize("suffix", [*PYAV_ONLY, "ogg"])
def test_decord_is_refused_where_it_cannot_be_trusted(suffix):
    path = ISCC / f"demo.{suffix}"
    info = probe(path)
    with pytest.raises(MediaError, match="decord"):
        decode(path, info, sample_indices(info.n_frames, 16), "decord")


def test_a_video_that_mostly_cannot_be_decoded_is_an_error():
    # Three quarters of the Theora packets of this file are refused by every FFmpeg from 7.0 to 9.0.
    path = ISCC / "demo.ogg"
    info = probe(path)
    with pytest.raises(MediaError, match="decoded length disagrees with the container"):
        decode(path, info, sample_indices(info.n_frames, 16))


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["pyav", pytest.param("decord", marks=needs_decord)])
@pytest.mark.parametrize(
    ("name", "n_frames", "written"),
    [
        ("constant.mp4", 40, {}),
        ("variable.mp4", 5, {"frame_seconds": [0.0, 0.1, 0.15, 0.5, 1.25]}),
        ("b_frames.mkv", 40, {"options": {"bf": "3"}}),
        ("one.mp4", 1, {}),
        ("small.mp4", 20, {"size": (32, 32)}),
        ("odd.mkv", 20, {"size": (321, 243), "pixel_format": "yuv444p"}),
        ("ten_bit.mkv", 20, {"pixel_format": "yuv420p10le"}),
        ("yuv422.mkv", 20, {"pixel_format": "yuv422p"}),
        ("late.mkv", 20, {"frame_seconds": [2.0 + index / 25 for index in range(20)]}),
        ("hidden.webm", 40, {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
    ],
)
def test_every_frame_is_the_one_that_was_written(tmp_path, decoder, name, n_frames, written):
    path = write_video(tmp_path / name, n_frames=n_frames, **written)
    info = probe(path)
    frames = decode(path, info, np.arange(n_frames), decoder)
    size = written.get("size", (64, 48))
    assert frames.rgb.shape == (n_frames, size[1], size[0], 3)
    expected = [gray_ramp(size)(index).mean() for index in range(n_frames)]
    # Frames differ by 8 levels; a lossy codec and limited range YUV cost fewer than 4.
    np.testing.assert_allclose(frames.rgb.mean(axis=(1, 2, 3)), expected, atol=3.5)


@pytest.mark.parametrize(("size", "pixel_format"), [((16, 16), "yuv420p"), ((64, 48), "gray")])
def test_pictures_that_only_pyav_reads(tmp_path, size, pixel_format):
    # decord copies 16 x 16 with the wrong row length and says so; x264's gray has the full range, unlike its YUV.
    path = write_video(tmp_path / "special.mkv", n_frames=20, size=size, pixel_format=pixel_format)
    frames = decode(path, probe(path), np.arange(20))
    assert frames.rgb.shape == (20, size[1], size[0], 3)
    steps = np.diff(frames.rgb.mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(steps, 8, atol=4)  # as written; range conversion stretches a step by 255 / 219


def test_b_frames_of_avi_come_in_the_order_they_are_shown(tmp_path):
    path = write_video(tmp_path / "b_frames.avi", n_frames=40, options={"bf": "3"})
    frames = decode(path, probe(path), np.arange(40))
    expected = [gray_ramp((64, 48))(index).mean() for index in range(40)]
    np.testing.assert_allclose(frames.rgb.mean(axis=(1, 2, 3)), expected, atol=3.5)  # frames differ by 8


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied(tmp_path, rotation):
    stored = np.zeros((48, 64, 3), dtype=np.uint8)
    stored[:24, :32] = 255  # a white corner at the top left tells the four directions apart
    path = write_video(tmp_path / "rotated.mp4", n_frames=3, rotation=rotation, frame_fn=lambda _: stored)
    info = probe(path)
    frames = decode(path, info, [0, 2])
    shown = np.rot90(stored, k=rotation // 90)
    assert frames.rgb.shape == (2, info.height, info.width, 3) == (2, *shown.shape)
    assert np.abs(frames.rgb[1].astype(int) - shown).mean() < 8  # lossy codec: the edges blur
    if decord_available():
        with pytest.raises(MediaError, match="rotated"):
            decode(path, info, [0, 2], "decord")


@pytest.mark.parametrize("indices", [[3, 2], [1, 1], [-1, 2], [0, 20], [[0, 1]]], ids=str)
def test_indices_must_ascend_within_the_video(tmp_path, indices):
    path = write_video(tmp_path / "plain.mp4", n_frames=20)
    info = probe(path)
    with pytest.raises(ValueError, match="indices must"):
        decode_frames(path, info, np.array(indices), "pyav")


def noisy_video(path: Path, n_frames: int, **written) -> Path:
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (n_frames, 48, 64, 3), dtype=np.uint8)
    return write_video(path, n_frames=n_frames, frame_fn=lambda index: noise[index], **written)


def with_flipped_bits(target: Path, seed: int, n_bits: int, *, in_index: bool) -> Path:
    """A copy of the clip of noise with `n_bits` bits flipped in its index, or else in its pictures."""
    damaged, rng = bytearray(NOISE.read_bytes()), np.random.default_rng(seed)
    pictures = damaged.index(b"mdat") + 4
    for position in rng.integers(0, pictures, n_bits) if in_index else rng.integers(pictures, len(damaged), n_bits):
        damaged[position] ^= 1 << int(rng.integers(8))
    target.write_bytes(damaged)
    return target


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_flipped_bits_give_every_frame_or_an_error(tmp_path, seed):
    path = with_flipped_bits(tmp_path / "damaged.mp4", seed, 20, in_index=False)
    try:
        info = probe(path)
        frames = decode(path, info, sample_indices(info.n_frames, 4))
    except MediaError:
        return  # the other permitted outcome
    assert info.n_frames == NOISE_FRAMES
    assert len(frames.rgb) == NOISE_FRAMES / 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_flipped_bits_in_the_index_give_what_it_says_now_or_an_error(tmp_path, seed):
    # An edit list that hides most frames, or another clock, cannot be told from an intended one.
    path = with_flipped_bits(tmp_path / "damaged.mp4", seed, 3, in_index=True)
    try:
        info = probe(path)
        frames = decode(path, info, sample_indices(info.n_frames, 4))
    except MediaError:
        return
    assert 1 <= info.n_frames <= NOISE_FRAMES + 2  # the tolerance for a count that is too high
    assert np.all(np.diff(info.frame_seconds) >= 0)
    assert len(frames.rgb) == -(-info.n_frames // 4)


def without_packets(source: Path, target: Path, lost: range) -> Path:
    """A copy whose packets `lost` are overwritten with zeros."""
    content = source.read_bytes()
    with av.open(str(source)) as container:
        for number, packet in enumerate(container.demux(video=0)):
            if number in lost:
                assert content.count(bytes(packet)) == 1
                content = content.replace(bytes(packet), bytes(packet.size))
    target.write_bytes(content)
    return target


@pytest.mark.slow
def test_a_lost_frame_is_replaced_by_the_one_before_and_many_are_an_error(tmp_path):
    # Motion JPEG: every packet stands alone, so exactly those that were overwritten are lost.
    whole = noisy_video(tmp_path / "whole.avi", 100, codec="mjpeg", pixel_format="yuvj420p")
    stamped = noisy_video(tmp_path / "whole.mkv", 100, codec="mjpeg", pixel_format="yuvj420p")
    expected = decode(stamped, probe(stamped), np.arange(100)).rgb

    one_lost = without_packets(stamped, tmp_path / "one.mkv", range(50, 51))
    found = decode(one_lost, probe(one_lost), np.arange(100)).rgb
    np.testing.assert_array_equal(found[50], expected[49])
    np.testing.assert_array_equal(np.delete(found, 50, axis=0), np.delete(expected, 50, axis=0))

    for source, name in ((stamped, "many.mkv"), (whole, "many.avi")):
        many_lost = without_packets(source, tmp_path / name, range(50, 60))
        with pytest.raises(MediaError, match="disagrees with the container"):
            decode(many_lost, probe(many_lost), np.arange(0, 100))


@needs_decord
def test_decord_raises_instead_of_replacing_a_lost_frame(tmp_path):
    source = noisy_video(tmp_path / "noisy.mp4", 60)
    damaged = without_packets(source, tmp_path / "damaged.mp4", range(30, 34))
    with pytest.raises(MediaError, match="decord"):
        decode(damaged, probe(damaged), np.arange(60), "decord")


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["pyav", pytest.param("decord", marks=needs_decord)])
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path, decoder):
    def resident_mib(n_frames: int) -> float:
        path = write_video(
            tmp_path / f"{n_frames}.mp4", n_frames=n_frames, size=(320, 240), options={"preset": "ultrafast"}
        )
        peak = 0
        for batch in decode_frames(path, probe(path), np.arange(n_frames), decoder):
            assert batch.rgb.nbytes <= 16 * 2**20
            peak = max(peak, psutil.Process().memory_info().rss)
        gc.collect()
        return peak / 2**20

    short, long = resident_mib(240), resident_mib(2_100)
    # The long clip has 409 MiB more of RGB. Only decord's queue of decoded frames, which is longer on a busy machine,
    # and the allocators' slack may grow: up to 190 MiB were seen.
    assert long - short < 300


@needs_decord
def test_decord_leaves_large_files_to_pyav(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", n_frames=4)
    info, indices = probe(path), np.arange(4)
    monkeypatch.setattr(decord_reader, "_MAX_FILE_BYTES", path.stat().st_size)
    decode(path, info, indices, "decord")
    monkeypatch.setattr(decord_reader, "_MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(MediaError, match="which decord would keep in memory; use PyAV"):
        decode(path, info, indices, "decord")
