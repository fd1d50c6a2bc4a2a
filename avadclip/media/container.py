"""Opening media files with PyAV: one place for its options, its errors and the choice of streams."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avadclip.errors import MediaError

# Demuxers that FFmpeg picks by a file's name alone, whatever it holds.
_NOT_VIDEO_FORMATS = {"tty", "image2"}


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """An open container; whatever FFmpeg raises inside of the block becomes a MediaError that names the file.

    Raises
    ------
    MediaError : no such file, no permission, empty, not a media file, or damaged beyond what the decoders skip.
    """
    _require_readable(path)
    try:
        # Absolute, because FFmpeg takes what precedes a colon in a relative name for a protocol. Metadata in an old
        # encoding is no reason to refuse a video, and a playlist must not open other files or the network.
        with av.open(
            str(path.absolute()), metadata_errors="replace", options={"protocol_whitelist": "file"}
        ) as container:
            if container.format.name in _NOT_VIDEO_FORMATS:
                raise MediaError(f"{path}: not a video file (read as {container.format.long_name}); exclude it")
            yield container
    except FFmpegError as error:
        raise MediaError(
            f"{path}: not a media file, or damaged ({error.strerror}); replace the file or exclude the video"
        ) from error


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first video stream that is not a cover picture; MediaError if there is none, or no decoder for it."""
    for stream in container.streams.video:
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
            if not has_decoder(stream):
                raise MediaError(
                    f"{path}: no decoder for its video codec ({codec_name(container, stream)}); convert it, or copy it"
                    " again if that is not its codec, or exclude it"
                )
            return stream
    found = "audio only" if container.streams.audio else f"{len(container.streams)} streams, none of them video"
    raise MediaError(f"{path}: expected a video stream, found {found}; exclude it or replace the file")


def audio_stream(container: InputContainer, path: Path) -> AudioStream:
    """The first audio stream; MediaError if there is none."""
    if not container.streams.audio:
        raise MediaError(f"{path}: expected an audio stream, found none; ask `VideoInfo.has_audio` first")
    return container.streams.audio[0]


def has_decoder(stream: Stream) -> bool:
    """Whether FFmpeg knows the codec; PyAV leaves its context out where not, whatever the type says."""
    return bool(stream.codec_context)


def codec_name(container: InputContainer, stream: Stream) -> str:
    """What the container calls the codec of a stream without decoder, ``zzzz`` say, or ``unknown``."""
    # PyAV has no access to it, but FFmpeg's description of the file, which is written as log messages of level INFO.
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        description: str = container.dumps_format()  # type: ignore[attr-defined]  # PyAV's stubs leave it out
    finally:
        av.logging.set_level(level)
    # Stream #0:1[0x2](und): Audio: none (apac / 0x63617061), 16000 Hz, 1 channels
    found = re.search(rf"Stream #0:{stream.index}(?!\d).*?: \w+: (\w+)(?:[^,\n]*? \(([^ \n]+) / 0x)?", description)
    names = [name for name in reversed(found.groups()) if name and name != "none"] if found else []
    return names[0] if names else "unknown"


def decode_pictures(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Every frame that can be decoded, in presentation order; packets that cannot be decoded are passed over."""
    for packet in container.demux(stream):
        # FFmpeg takes an empty packet for the end of the stream; within a file it means "the same picture again".
        if packet.size == 0 and packet.dts is not None:
            continue
        try:
            yield from packet.decode()
        except FFmpegError:
            continue


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
