"""One pass over the packets of a file: the times and the kind of each."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from avadclip.media.clock import NO_STAMP
from avadclip.media.mpeg4 import NotCoded
from avadclip.pulse import beat

AnyStream = TypeVar("AnyStream", bound=Stream)

_KEPT_PACKETS, _KEPT_BYTES = 32, 1 << 22  # at most; decoders delay up to 16 pictures
_LEAST_SEARCHED_BYTES = 1 << 12  # in one call; FFmpeg searches more


def _stamps() -> "array[int]":
    return array("q")  # eight bytes each: a day of video is millions of packets


@dataclass(eq=False)
class Packets:
    """The packets of one stream in the order in which they are stored, times in ticks; empty ones are left out."""

    pts: "array[int]" = field(default_factory=_stamps)  # NO_STAMP where there is none
    dts: "array[int]" = field(default_factory=_stamps)
    durations: "array[int]" = field(default_factory=_stamps)  # 0 where there is none
    places: "array[int]" = field(default_factory=_stamps)  # among all packets of the file
    is_key: bytearray = field(default_factory=bytearray)
    is_shown: bytearray = field(default_factory=bytearray)
    # Of a video: the packets from the first key frame on that its first picture may need, so that the file does not
    # have to be opened again.
    first: "list[Packet[Any]]" = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pts)


def demux(container: InputContainer, *streams: AnyStream) -> "Iterator[Packet[AnyStream]]":
    """The packets of some streams, or of all, also after gaps: zeros and old content of preallocated files.

    FFmpeg's MPEG-TS demuxer searches 64 KiB for the next packet, and then has to be called again. It may also find a
    stream that was not there when the file was opened: PyAV leaves its packets out.
    """
    n_left = (container.size or 0) // _LEAST_SEARCHED_BYTES + 1
    while True:
        try:
            packets: Iterator[Packet[AnyStream]] = container.demux(*streams)  # type: ignore[assignment]
            for packet in packets:
                beat()
                yield packet
            return
        except BlockingIOError:
            n_left -= 1
            if n_left < 0:
                raise
        except IndexError:
            return  # at the end, after all others, PyAV may also flush the streams that it does not know


def read_packets(container: InputContainer) -> dict[int, Packets]:
    """Read a file that was just opened to its end; packets by the index of their stream.

    A packet is shown if the decoder gives a picture for it. What an edit list cuts, VP8's invisible reference frames
    and MPEG-4's pictures that are not coded are not shown.
    """
    found = {stream.index: Packets() for stream in container.streams}
    is_hidden = {stream.index: test for stream in container.streams.video if (test := _hiding(stream)) is not None}
    packets: Iterator[Packet[Stream]] = demux(container)
    for place, packet in enumerate(packets):
        track = found.get(packet.stream_index)
        if packet.size == 0 or track is None:
            continue
        track.pts.append(NO_STAMP if packet.pts is None else packet.pts)
        track.dts.append(NO_STAMP if packet.dts is None else packet.dts)
        track.durations.append(packet.duration or 0)
        track.places.append(place)
        track.is_key.append(packet.is_keyframe)
        if (track.first or packet.is_keyframe) and isinstance(packet.stream, VideoStream):
            _keep(track.first, packet)
        test = is_hidden.get(packet.stream_index)
        track.is_shown.append(not (packet.is_discard or (test is not None and test(memoryview(packet)))))
    return found


def _keep(first: "list[Packet[Any]]", packet: "Packet[Any]") -> None:
    if len(first) < _KEPT_PACKETS and sum(kept.size for kept in first) < _KEPT_BYTES:
        first.append(packet)


def _hiding(stream: VideoStream) -> Callable[[memoryview], bool] | None:
    codec = stream.codec_context
    match None if codec is None else codec.name:
        case "vp8":
            return _is_hidden_vp8
        case "mpeg4":
            return NotCoded.of(codec.extradata)
    return None


def _is_hidden_vp8(data: memoryview) -> bool:
    # RFC 6386, 9.1: bit 4 of a VP8 frame is show_frame; WebM stores a hidden reference frame as a packet of its own.
    return not data[0] & 0x10
