"""Hostile videos: pictures of gigabytes, endless frames, and references to other files or the network."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avadclip.errors import MediaError
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe
from tests.golden.clips import FOLDER


def read(path: Path) -> int:
    """Return how many frames are decoded."""
    info = probe(path)
    return sum(len(batch.rgb) for batch in decode_frames(path, info, np.arange(info.n_frames), "pyav"))


def png(width: int, height: int) -> bytes:
    """Return a black picture with one bit a pixel; a million pixels take 130 bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer, rows = zlib.compressobj(), bytes(1 + width // 8) * 100
    pixels = b"".join(packer.compress(rows) for _ in range(min(height, 16_000) // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def write_pictures(path: Path, stated: tuple[int, int], picture: bytes) -> Path:
    """Write a video of three pictures whose container states the size `stated`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height = stated
        stream.pix_fmt = "monob"
        for index in range(3):
            packet = av.Packet(picture)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            packet.duration, packet.is_keyframe = 1, True
            container.mux(packet)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stated", "held", "said"),
    [
        ((16_000, 16_000), (16_000, 16_000), "pictures of 16000 x 16000, expected at most 64 million pixels"),
        ((64, 48), (16_000, 16_000), "a.mov"),
        ((64, 48), (60_000, 60_000), "a.mov"),
    ],
    ids=["stated", "hidden", "beyond FFmpeg"],
)
def test_pictures_of_gigabytes(tmp_path: Path, stated: tuple[int, int], held: tuple[int, int], said: str) -> None:
    path = write_pictures(tmp_path / "a.mov", stated, png(*held))
    assert path.stat().st_size < 2 << 20
    with pytest.raises(MediaError, match=said):
        read(path)


def test_the_largest_picture_that_cameras_make_is_read(tmp_path: Path) -> None:
    assert probe(write_pictures(tmp_path / "8k.mov", (7_680, 4_300), png(7_680, 4_300))).width == 7_680


@pytest.mark.parametrize("n_frames", [10**6, 10**8, 10**9, 2**32 - 1])
def test_an_index_of_frames_that_are_not_there(tmp_path: Path, n_frames: int) -> None:
    content = bytearray((FOLDER / "h264-silent.mp4").read_bytes())
    count = struct.pack(">I", n_frames)
    sizes, times, chunks = (content.index(name) for name in (b"stsz", b"stts", b"stsc"))
    content[sizes + 8 : sizes + 16] = struct.pack(">I", 1) + count  # each of one byte
    content[times + 12 : times + 16] = count
    content[chunks + 16 : chunks + 20] = count  # all of them in one chunk
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.mp4"):
        read(tmp_path / "a.mp4")


def test_a_header_that_declares_days(tmp_path: Path) -> None:
    content = bytearray((FOLDER / "mjpeg.avi").read_bytes())
    header = content.index(b"avih") + 8
    content[header + 16 : header + 20] = struct.pack("<I", 10**9)
    stream = content.index(b"strh") + 8
    content[stream + 32 : stream + 36] = struct.pack("<I", 10**9)
    (tmp_path / "a.avi").write_bytes(content)
    with pytest.raises(MediaError, match="declares 1000000000 frames"):
        read(tmp_path / "a.avi")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", "#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"),
        ("a.mp4", "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("a.ffconcat", "ffconcat version 1.0\nfile '{secret}'\n"),
        ("a.mkv", "ffconcat version 1.0\nfile {secret}\n"),
        ("a.avi", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"),
        ("a.mpd", '<?xml version="1.0"?><MPD><Period><BaseURL>file://{secret}</BaseURL></Period></MPD>'),
    ],
    ids=["playlist", "playlist of the network", "list of files", "list as mkv", "session", "manifest"],
)
def test_text_that_names_other_files(tmp_path: Path, name: str, text: str) -> None:
    secret = tmp_path / "secret.ts"
    secret.write_bytes((FOLDER / "h264.ts").read_bytes())
    (tmp_path / name).write_text(text.format(secret=secret), encoding="utf-8")
    with pytest.raises(MediaError, match=name):
        read(tmp_path / name)
