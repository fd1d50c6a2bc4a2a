"""Frame counts and times from packets against a full decode, timelines against loops, and files that are no videos."""

from dataclasses import asdict, replace
from pathlib import Path

import av
import iscc_samples
import numpy as np
import pytest

from avadclip.errors import MediaError
from avadclip.media import packets
from avadclip.media.container import decode_pictures, first_picture, open_media
from avadclip.media.probe import VideoInfo, probe
from avadclip.media.survey import survey
from avadclip.media.timeline import boundary_seconds, n_snippets, sample_indices, spread_indices
from tests.support.media_factory import tone, write_audio_only, write_video

ISCC = Path(iscc_samples.__file__).parent / "files" / "video"
# demo.ogg is left out: no FFmpeg decodes more than a quarter of its Theora frames (test_frames.py).
CONTAINERS = ["3gp", "asf", "avi", "f4v", "flv", "m1v", "m4v", "mkv", "mov", "mp4", "mpg", "rm", "vob", "webm", "wmv"]


def decoded_times(path: Path) -> list[float | None]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_frames_and_times_of_real_files_are_those_of_a_full_decode(suffix):
    path = ISCC / f"demo.{suffix}"
    info = probe(path)
    oracle = decoded_times(path)
    assert info.n_frames == len(oracle)
    np.testing.assert_allclose(info.frame_seconds, oracle, rtol=0, atol=1e-9)  # the same ticks, in double precision
    assert info.end_seconds == pytest.approx(oracle[-1] + 1 / 24, abs=0.002)  # some round durations to 1 ms
    assert info.frame_rate == pytest.approx(24, rel=0.002)  # AVI and M1V leave two frames out
    assert info.has_audio == (suffix != "m1v")
    assert info.rotation == 0


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_the_first_picture_is_that_of_a_file_opened_anew(suffix, monkeypatch):
    path = ISCC / f"demo.{suffix}"
    with open_media(path) as container:
        found = survey(container, path)
        ours = first_picture(container, found.picture, found.packets[found.picture.stream_index])
        assert ours is not None
    with open_media(path) as container:
        theirs = next(decode_pictures(container, found.picture))
    assert (ours.pts, ours.rotation) == (theirs.pts, theirs.rotation)
    assert [bytes(plane) for plane in ours.planes] == [bytes(plane) for plane in theirs.planes]
    info = probe(path)
    monkeypatch.setattr(packets, "_KEPT_PACKETS", 0)  # as if the first pictures could not be decoded
    again = probe(path)
    assert (again.n_frames, again.width, again.height) == (info.n_frames, info.width, info.height)
    np.testing.assert_array_equal(again.frame_seconds, info.frame_seconds)


@pytest.mark.parametrize("suffix", [*CONTAINERS, "mended"])
def test_what_was_found_comes_back_from_text(suffix):
    info = probe(ISCC / f"demo.{'mp4' if suffix == 'mended' else suffix}")
    if suffix == "mended":
        ticks = np.array([2**62, -1, packets.NO_STAMP])
        picture, sound = replace(info.picture, stamps=ticks), replace(info.sound, shifts=ticks)
        info = replace(info, picture=picture, sound=sound, notes=("its clock jumps", "\udcff"))
    np.testing.assert_equal(asdict(VideoInfo.from_text(info.to_text())), asdict(info))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b_frames.mp4", {"bf": "3"}),
        ("b_frames.mkv", {"bf": "3"}),
        ("b_frames.ts", {"bf": "3"}),
        ("fragmented.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("hidden.webm", {"auto-alt-ref": "1", "lag-in-frames": "16", "b": "100k"}),
    ],
)
def test_frames_and_times_of_written_files_are_those_of_a_full_decode(tmp_path, name, options):
    container_options = options if "movflags" in options else {}
    path = write_video(
        tmp_path / name,
        n_frames=40,
        codec="libvpx" if name.endswith("webm") else "libx264",
        options={} if container_options else options,
        container_options=container_options,
    )
    info = probe(path)
    assert info.n_frames == 40
    np.testing.assert_allclose(info.frame_seconds, decoded_times(path), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["b_frames.avi", "raw.h264"])
def test_frames_without_presentation_times_are_counted_from_zero(tmp_path, name):
    info = probe(write_video(tmp_path / name, n_frames=40, options={"bf": "3"}))
    assert not info.is_stamped
    np.testing.assert_allclose(info.frame_seconds, np.arange(40) / 25, atol=1e-9)
    assert info.end_seconds == pytest.approx(40 / 25)


def test_variable_frame_rate_keeps_its_times(tmp_path):
    times = [0.0, 0.1, 0.15, 0.5, 1.25]
    info = probe(write_video(tmp_path / "vfr.mp4", n_frames=5, frame_seconds=times))
    np.testing.assert_allclose(info.frame_seconds, times, atol=1 / 12_800)  # one tick of the time base
    assert info.end_seconds > times[-1]
    assert info.frame_rate == pytest.approx(5 / info.end_seconds)


@pytest.mark.parametrize(
    ("rotation", "shown"), [(0, (64, 48)), (90, (48, 64)), (180, (64, 48)), (270, (48, 64))], ids=str
)
def test_size_is_that_of_the_shown_picture(tmp_path, rotation, shown):
    info = probe(write_video(tmp_path / "rotated.mp4", n_frames=2, rotation=rotation))
    assert (info.rotation, info.width, info.height) == (rotation, *shown)


def test_one_frame_is_a_video(tmp_path):
    info = probe(write_video(tmp_path / "one.mp4", n_frames=1))
    assert (info.n_frames, info.frame_seconds.tolist(), info.has_audio) == (1, [0.0], False)
    assert info.end_seconds == pytest.approx(1 / 25)


@pytest.mark.parametrize(
    "name", ["with space.mp4", "a#b%03d?.mp4", "ünï-码.mp4", "quo'te\".mp4", "colon:x.mp4", "video.dat"]
)
def test_any_file_name_can_be_read(tmp_path, name, monkeypatch):
    written = write_video(tmp_path / "plain.mp4", n_frames=3)
    written.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).n_frames == 3


def test_files_that_are_no_videos_say_why(tmp_path):
    video = write_video(tmp_path / "whole.mp4", n_frames=50, audio=tone(2.0)).read_bytes()
    matroska = write_video(tmp_path / "whole.mkv", n_frames=100, audio=tone(4.0)).read_bytes()
    front = write_video(
        tmp_path / "front.mp4", n_frames=100, audio=tone(4.0), container_options={"movflags": "faststart"}
    ).read_bytes()
    contents = {
        "empty.mp4": (b"", "empty"),
        "text.mp4": (b"this is not a film\n" * 50, "not a media file"),
        "text.txt": (b"this is not a film\n" * 50, "not a"),
        "header.mp4": (video[:40], "not a media file"),
        "no_index.mp4": (video[: len(video) // 2], "not a media file"),
        "half.mp4": (front[: len(front) * 3 // 4], "declares 100 frames"),
        "half.mkv": (matroska[: len(matroska) // 2], "declares 4.. s, but the file ends at 2.0 s"),
    }
    for name, (content, expected) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError, match=expected) as caught:
            probe(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "codec", "other", "expected"),
    [
        ("index.mp4", b"avc1", b"zzzz", "zzzz"),
        ("chunks.avi", b"H264", b"ZZZZ", "ZZZZ"),
        ("elements.mkv", b"V_MPEG4/ISO/AVC", b"V_ZZZZ4/ISO/AVC", "unknown"),  # FFmpeg keeps no name of these
    ],
)
def test_a_codec_that_nobody_has_a_decoder_for_is_named(tmp_path, name, codec, other, expected):
    path = write_video(tmp_path / name, n_frames=20, audio=tone(1.0), audio_codec="mp3")
    whole = path.read_bytes()
    assert codec in whole
    path.write_bytes(whole.replace(codec, other))
    for _ in range(2):  # FFmpeg does not repeat a message that it has just given
        with pytest.raises(MediaError, match=f"{name}: no decoder for its video codec \\({expected}\\)"):
            probe(path)
    assert av.logging.get_level() is None  # logging is off again


def test_missing_unreadable_and_audio_only_files_say_so(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        probe(tmp_path / "missing.mp4")
    with pytest.raises(MediaError, match="cannot be read"):
        probe(tmp_path)  # a folder; a test that runs as root cannot take its own permissions away
    with pytest.raises(MediaError, match="audio only"):
        probe(write_audio_only(tmp_path / "sound.m4a", tone(1.0)))


@pytest.mark.parametrize("stride", [1, 3, 4, 16, 100])
@pytest.mark.parametrize("n_frames", [1, 3, 4, 5, 16, 17, 100])
def test_snippets_cover_every_frame_once(n_frames, stride):
    spans = [range(start, min(start + stride, n_frames)) for start in range(0, n_frames, stride)]
    assert n_snippets(n_frames, stride) == len(spans)
    assert sample_indices(n_frames, stride, "first").tolist() == [span[0] for span in spans]
    assert sample_indices(n_frames, stride, "middle").tolist() == [span[len(span) // 2] for span in spans]


@pytest.mark.parametrize("n_each", [None, 1, 2, 3, 16])
@pytest.mark.parametrize(("n_frames", "stride"), [(1, 1), (1, 16), (16, 16), (17, 16), (100, 16), (9, 3)])
def test_frames_of_a_mean_are_spread_evenly_over_each_snippet(n_frames, stride, n_each):
    indices, ends = spread_indices(n_frames, stride, n_each)
    assert (np.diff(indices) > 0).all()
    found = np.split(indices, np.flatnonzero(ends)[:-1] + 1)
    for start, rows in zip(range(0, n_frames, stride), found, strict=True):
        span = range(start, min(start + stride, n_frames))
        assert set(rows) <= set(span)
        assert len(rows) == (len(span) if n_each is None else min(n_each, len(span)))
        # To within a frame, the margins before the first and after the last are equal, and so are the gaps.
        gaps = np.diff(rows)
        assert gaps.size == 0 or gaps.max() - gaps.min() <= 1
        assert abs((rows[0] - span[0]) - (span[-1] - rows[-1])) <= 1
    if n_each == 1:
        np.testing.assert_array_equal(indices, sample_indices(n_frames, stride, "middle"))


def test_snippets_begin_with_their_first_frame_and_the_last_ends_with_the_video(tmp_path):
    times = [0.0, 0.1, 0.15, 0.5, 1.25]
    info = probe(write_video(tmp_path / "vfr.mp4", n_frames=5, frame_seconds=times))
    expected = [0.0, 0.15, 1.25, info.end_seconds]
    np.testing.assert_allclose(boundary_seconds(info, 2), expected, atol=1 / 12_800)  # one tick of the time base


@pytest.mark.parametrize(("n_frames", "stride"), [(0, 16), (10, 0), (10, -1)])
def test_empty_videos_and_strides_are_refused(n_frames, stride):
    with pytest.raises(ValueError, match="at least 1"):
        n_snippets(n_frames, stride)
