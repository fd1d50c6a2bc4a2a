"""Open media files with PyAV: the one place for its options, its errors, and the pictures of a track."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avadclip.errors import MediaError
from avadclip.media.clock import NO_STAMP
from avadclip.media.packets import Packets, demux
from avadclip.media.survey import PictureTrack

# Demuxers that FFmpeg chooses by a file's name alone, whatever it contains.
_NOT_VIDEO_FORMATS = {"tty", "image2"}
# Demuxers that read what a file names, which may be another file of the same machine, or the network.
_LISTS = {"concat", "dash", "hls", "imf", "sdp"}
_FORMATS = ",".join(sorted(av.formats_available - _LISTS))
# In one picture: 8192 x 8192, twice as many as 8K. A file of 100 kB may have pictures of gigabytes.
MOST_PIXELS = 1 << 26


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """An open container; whatever FFmpeg raises in the block becomes a MediaError that names the file.

    Raises
    ------
    MediaError : no such file, no permission, an empty file, not a media file, a playlist, or one that is too damaged.
    """
    _require_readable(path)
    try:
        # Absolute, because FFmpeg reads what precedes a colon in a relative name as a protocol. Metadata in an old
        # encoding is no reason to refuse a video, and a playlist must not open other files or the network.
        with av.open(
            str(path.absolute()),
            metadata_errors="replace",
            options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
        ) as container:
            if container.format.name in _NOT_VIDEO_FORMATS:
                raise MediaError(f"{path}: not a video file (read as {container.format.long_name}); exclude it")
            yield container
    except FFmpegError as error:
        # A format that is not on the list is an invalid argument to FFmpeg.
        kinds = "not a media file, a list of other files," if isinstance(error, ArgumentError) else "not a media file,"
        raise MediaError(
            f"{path}: {kinds} or damaged ({error.strerror}); replace the file or exclude the video"
        ) from error


def decode_pictures(
    container: InputContainer, track: PictureTrack, n_threads: int | None = None
) -> Iterator[VideoFrame]:
    """Every frame that can be decoded, in presentation order; packets that cannot be decoded are skipped.

    Parameters
    ----------
    track : which stream of the file, from which packet on, and their timestamps if those of the file are wrong.
    n_threads : decoding threads; 0: as many as there are cores; None: one.
    """
    stream = _limited(container, track)
    if n_threads is not None:
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = n_threads
    n_read = 0
    for packet in demux(container, stream):
        # FFmpeg reads an empty packet as the end of the stream; within a file it means "the same picture again".
        if packet.size == 0 and packet.dts is not None:
            continue
        if packet.size:
            n_read += 1
            if n_read <= track.first_packet:
                continue
            _stamp(packet, track, n_read - 1)
        try:
            yield from packet.decode()
        except FFmpegError:
            continue


def first_picture(container: InputContainer, track: PictureTrack, packets: Packets) -> VideoFrame | None:
    """The first frame of :func:`decode_pictures`, from a container that has been read already.

    None if the packets that were kept, :attr:`Packets.first`, do not give one.
    """
    _limited(container, track).codec_context.thread_count = 1  # starting threads would take longer than decoding it
    for number, packet in enumerate(packets.first, track.first_packet):
        _stamp(packet, track, number)
        try:
            if pictures := packet.decode():
                return pictures[0]
        except FFmpegError:
            continue
    return None


def _limited(container: InputContainer, track: PictureTrack) -> VideoStream:
    stream = container.streams[track.stream_index]
    assert isinstance(stream, VideoStream)
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # whatever the container says of their size
    return stream


def _stamp(packet: "Packet[VideoStream]", track: PictureTrack, number: int) -> None:
    """Give packet `number` of the track its timestamp, if that of the file is wrong."""
    if track.stamps is not None:
        stamp = int(track.stamps[number])
        packet.pts, packet.dts = None if stamp == NO_STAMP else stamp, None


def _require_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file; correct the list of videos or exclude it") from None
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); correct its permissions or exclude it") from None
    if is_empty:
        raise MediaError(f"{path}: the file is empty (0 bytes); copy it again or exclude it")
