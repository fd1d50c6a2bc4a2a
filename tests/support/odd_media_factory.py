"""Odd files as recorders, cameras and editors leave them: made from ordinary ones by copying packets or bytes."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from av.packet import Packet

from tests.support.media_factory import tone, write_video

Change = Callable[[Packet, int], Packet | None]  # a packet and its number in its stream -> what is written instead
TS_PACKET_BYTES = 188


def noisy_tone(seconds: float, frequency: float = 440.0) -> np.ndarray:
    """A tone whose AAC packets differ from each other, float32 [seconds * 16000]."""
    sound = tone(seconds, frequency)
    return sound + 0.01 * np.random.default_rng(1).standard_normal(len(sound)).astype(np.float32)


def write_clip(path: Path, seconds: float = 10.0, start_seconds: float = 0.0, **written) -> Path:
    """Write a gray ramp with a tone, 25 frames/s, whose clock begins at `start_seconds`."""
    n_frames = round(seconds * 25)
    settings = {
        "frame_seconds": [start_seconds + index / 25 for index in range(n_frames)],
        "audio": noisy_tone(seconds),
        "audio_offset_seconds": start_seconds,
        "options": {"g": "50", "bf": "0"},
        **written,
    }
    return write_video(path, n_frames=n_frames, **settings)


def copy_packets(source: Path, target: Path, change: Change, *, keep_stamps: bool = True) -> Path:
    """Copy a file packet by packet, each of them changed by `change`."""
    options = {"avoid_negative_ts": "disabled"} if keep_stamps else {}
    with av.open(str(source)) as read, av.open(str(target), "w", options=options) as written:
        streams = {stream.index: written.add_stream_from_template(stream) for stream in read.streams}
        numbers = dict.fromkeys(streams, 0)
        for packet in read.demux():
            if packet.size == 0:
                continue
            number = numbers[packet.stream_index]
            numbers[packet.stream_index] += 1
            stream = streams[packet.stream_index]
            changed = change(packet, number)
            if changed is not None:
                changed.stream = stream
                written.mux(changed)
    return target


def without_first_pictures(source: Path, target: Path, n_lost: int) -> Path:
    """Copy a file without its first pictures, like a recording that begins inside a group of pictures."""
    return copy_packets(
        source, target, lambda packet, number: packet if packet.stream.type != "video" or number >= n_lost else None
    )


def with_data(packet: Packet, data: bytes) -> Packet:
    """Return a copy of the packet with other content."""
    changed = Packet(data)
    changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
    changed.time_base, changed.is_keyframe = packet.time_base, packet.is_keyframe
    return changed


def glued(target: Path, *parts: Path) -> Path:
    """Join several files into one, byte by byte."""
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def with_lost_packets(source: Path, target: Path, share: float, seed: int) -> Path:
    """Drop a random share of the packets of an MPEG-TS file; the first three, which hold its tables, are kept."""
    content = np.frombuffer(source.read_bytes(), dtype=np.uint8).reshape(-1, TS_PACKET_BYTES)
    is_kept = np.random.default_rng(seed).random(len(content)) >= share
    is_kept[:3] = True
    target.write_bytes(content[is_kept].tobytes())
    return target


def with_stamps(source: Path, target: Path, kind: str, stamp_seconds: Callable[[int, float], float]) -> Path:
    """Change the time stamps of one stream (`kind`) of a Matroska file: (number, seconds) -> seconds.

    A muxer would refuse such stamps, so the offset of each block from its cluster is replaced in place.
    """
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        blocks = [(packet.pos, bytes(packet), packet.pts) for packet in container.demux(stream) if packet.size]
    for number, (position, data, milliseconds) in enumerate(blocks):
        start = content.index(data, position)
        found = int.from_bytes(content[start - 3 : start - 1], "big", signed=True)
        wanted = round(stamp_seconds(number, milliseconds / 1000) * 1000)
        content[start - 3 : start - 1] = (found + wanted - milliseconds).to_bytes(2, "big", signed=True)
    target.write_bytes(content)
    return target
