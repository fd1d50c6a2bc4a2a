"""Which streams are picture and sound: missing decoders, empty tracks, programmes, covers, sound beside the picture."""

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from avadclip.errors import MediaError
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.packets import demux
from avadclip.media.probe import probe
from tests.support.media_factory import SAMPLE_RATE, tone, write_video
from tests.support.odd_media_factory import TS_PACKET_BYTES, noisy_tone, write_clip


def in_another_codec(path: Path, stands: bytes, instead: bytes) -> Path:
    """Rename the codec of one track to one that nobody has a decoder for."""
    content = path.read_bytes()
    assert content.count(stands) >= 1
    # The box that names the codec a second time is disabled.
    path.write_bytes(content.replace(stands, instead).replace(b"esds", b"free"))
    return path


def pitch(path: Path) -> float:
    """Loudest frequency in the middle of a file, Hz."""
    (window,) = decode_windows(path, np.array([probe(path).frame_seconds[0] + 1.0]), 0.5)
    return float(np.abs(np.fft.rfft(window.samples)).argmax() / 0.5)


@pytest.mark.parametrize(("instead", "name"), [(b"apac", "apac"), (b"zzzz", "zzzz"), (b"ac-4", "ac4")])
def test_sound_without_a_decoder_counts_as_absent_and_is_named(tmp_path, instead, name):
    path = in_another_codec(write_clip(tmp_path / "a.mp4", 2.0), b"mp4a", instead)
    info = probe(path)
    assert (info.n_frames, info.has_audio) == (50, False)
    assert info.notes == (f"no decoder for {name}: sound counts as absent",)
    with pytest.raises(MediaError, match="no decoder for"):
        list(decode_windows(path, np.array([1.0]), 1.0))


def test_a_picture_without_a_decoder_is_named(tmp_path):
    path = in_another_codec(write_clip(tmp_path / "a.mp4", 2.0), b"avc1", b"zzzz")
    with pytest.raises(MediaError, match=r"no decoder for its video codec \(zzzz\)"):
        probe(path)


def write_tracks(path: Path, pitches: list[float | None], covers: int = 0) -> Path:
    """A video with several audio tracks (None: without packets), after cover pictures without the flag of one."""
    with av.open(str(path), "w") as container:
        pictures = [container.add_stream("mjpeg", rate=25) for _ in range(covers)]
        for stream in pictures:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sounds = [container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") for _ in pitches]
        for stream in pictures:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255, np.uint8), format="rgb24").reformat(
                format="yuvj420p"
            )
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for stream, frequency in zip(sounds, pitches, strict=True):
            samples = np.zeros(0, np.float32) if frequency is None else tone(2.0, frequency)
            for start in range(0, len(samples), 1024):
                block = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="flt", layout="mono")
                block.sample_rate, block.time_base, block.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), start
                container.mux(stream.encode(block))
            if frequency is not None:
                container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
@pytest.mark.parametrize(
    ("pitches", "expected"), [([440, 880], 440), ([None, 880], 880), ([None, None, 660], 660)], ids=str
)
def test_the_first_track_that_holds_packets_is_the_sound(tmp_path, suffix, pitches, expected):
    assert pitch(write_tracks(tmp_path / f"a.{suffix}", pitches)) == pytest.approx(expected, abs=2)


def test_tracks_that_are_all_empty_are_no_sound(tmp_path):
    info = probe(write_tracks(tmp_path / "a.mkv", [None]))
    assert (info.has_audio, info.sound) == (False, None)


@pytest.mark.parametrize("covers", [1, 2])
def test_a_cover_without_its_flag_is_no_video(tmp_path, covers):
    path = write_tracks(tmp_path / "a.mkv", [440], covers)
    info = probe(path)
    assert (info.n_frames, info.codec) == (50, "h264")
    (batch, *_) = decode_frames(path, info, np.array([0, 25]), "pyav")
    assert batch.rgb.mean() == pytest.approx(100, abs=4)


def programmes(target: Path, *sources: Path) -> Path:
    """Multiplex MPEG-TS files into one in which each is a programme of its own, listed in one joint table."""
    tables = []
    packets = []
    for number, source in enumerate(sources, start=1):
        content = source.read_bytes()
        parts = [content[at : at + TS_PACKET_BYTES] for at in range(0, len(content), TS_PACKET_BYTES)]
        pids = [int.from_bytes(part[1:3], "big") & 0x1FFF for part in parts]
        (table,) = {pid for pid in pids if 0x1000 <= pid < 0x1100}
        tables.append(number.to_bytes(2, "big") + (0xE000 | table).to_bytes(2, "big"))
        packets.append([part for part, pid in zip(parts, pids, strict=True) if pid not in (0x0, 0x11)])
    section = b"\x00" + (0xB000 | 9 + 4 * len(tables)).to_bytes(2, "big") + b"\x00\x01\xc1\x00\x00" + b"".join(tables)
    section += _crc(section).to_bytes(4, "big")
    table_packet = (b"\x47\x40\x00\x10\x00" + section).ljust(TS_PACKET_BYTES, b"\xff")
    longest = max(map(len, packets))
    mixed = [part[at] for at in range(longest) for part in packets if at < len(part)]
    target.write_bytes(table_packet + b"".join(mixed))
    return target


def _crc(data: bytes) -> int:
    """CRC-32 of MPEG-2, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def test_the_sound_is_of_the_programme_of_the_picture(tmp_path):
    # The first audio stream of the file belongs to another programme, which has no picture.
    radio, television = tmp_path / "radio.ts", tmp_path / "television.ts"
    for path, settings in ((radio, "0x1000 0x100 1"), (television, "0x1010 0x200 2")):
        table, first, service = settings.split()
        options = {"mpegts_pmt_start_pid": table, "mpegts_start_pid": first, "mpegts_service_id": service}
        if path == radio:
            with av.open(str(path), "w", options=options) as container:
                stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
                samples = tone(2.0, 880.0)
                for start in range(0, len(samples), 1024):
                    block = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="flt", layout="mono")
                    block.sample_rate, block.time_base, block.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), start
                    container.mux(stream.encode(block))
                container.mux(stream.encode())
        else:
            write_video(path, n_frames=50, audio=tone(2.0, 440.0), container_options=options)
    path = programmes(tmp_path / "both.ts", radio, television)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams].count("audio") == 2
        assert container.streams.audio[0].id == 0x100  # so the first one would be the wrong one
    assert pitch(path) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(("offset_seconds", "is_beside"), [(0.0, False), (1.5, False), (5.0, True), (3_600.0, True)])
def test_sound_wholly_beside_the_picture_is_said(tmp_path, offset_seconds, is_beside):
    path = write_video(
        tmp_path / "a.mkv", n_frames=50, audio=noisy_tone(2.0), audio_offset_seconds=offset_seconds, audio_codec="aac"
    )
    info = probe(path)
    assert info.has_audio == (not is_beside)
    assert any("is wholly outside its picture" in note for note in info.notes) == is_beside


def test_the_oracle_of_the_table_is_the_crc_of_mpeg():
    # zlib's CRC-32 is the same polynomial mirrored, with the result inverted.
    data = bytes(range(40))
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    assert int(f"{_crc(data):032b}"[::-1], 2) == zlib.crc32(mirrored) ^ 0xFFFFFFFF


def test_a_stream_that_begins_late_costs_no_packet_and_repeats_none() -> None:
    """At the end, PyAV asks for each stream that it has found on the way, also for those that it does not know."""
    calls = []

    def of_pyav(*_streams: object) -> Iterator[str]:
        calls.append("demux")
        yield from ("packet", "flush")
        raise IndexError("list index out of range")

    container = SimpleNamespace(size=1 << 20, demux=of_pyav)
    assert list(demux(container)) == ["packet", "flush"]
    assert calls == ["demux"]
