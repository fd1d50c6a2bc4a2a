"""Hostile videos: pictures of gigabytes, endless frames, and references to other files or the network."""

import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
SESSION = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video {} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
# FFmpeg with these options follows all that its authors guard against.
UNGUARDED = {
    "allowed_extensions": "ALL",
    "extension_picky": "0",
    "safe": "0",
    "protocol_whitelist": "file,http,tcp,udp,rtp",
}


@contextmanager
def server(content: bytes) -> Iterator[tuple[str, list[str]]]:
    """Serve `content` on this machine: its address, and the paths that have been asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/a.ts", asked
        http.shutdown()


@pytest.mark.parametrize(
    ("name", "text", "read_as"),
    [
        ("a.m3u8", PLAYLIST.format("{secret}"), "hls"),
        ("a.m3u8", PLAYLIST.format("{network}"), "hls"),
        ("a.ffconcat", "ffconcat version 1.0\nfile '{secret}'\n", "concat"),
        ("a.mkv", "ffconcat version 1.0\nfile secret.ts\n", "concat"),
        ("a.mkv", "ffconcat version 1.0\nfile {network}\n", "concat"),
        ("a.avi", SESSION.format("{port}"), "sdp"),
    ],
    ids=["playlist", "playlist of the network", "list", "list as mkv", "list of the network", "session"],
)
def test_text_that_names_other_files(tmp_path: Path, name: str, text: str, read_as: str) -> None:
    secret, path = tmp_path / "secret.ts", tmp_path / name
    secret.write_bytes((FOLDER / "h264.ts").read_bytes())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with server(secret.read_bytes()) as (network, asked):
        path.write_text(text.format(secret=secret, network=network, port=port), encoding="utf-8")
        with pytest.raises(MediaError, match=rf"{name}: not a media file, a list of other files, or damaged"):
            read(path)
        assert asked == []
        with av.open(str(path), options=dict(UNGUARDED), timeout=1) as followed:
            assert followed.format.name == read_as
            if read_as != "sdp":  # of which nobody sends anything
                assert sum(1 for _ in followed.decode(video=0)) == 16
        assert set(asked) == ({"/a.ts"} if "{network}" in text else set())
