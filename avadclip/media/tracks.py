"""Which streams of a file are its picture and its sound, and which of them have no decoder."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from avadclip.errors import MediaError
from avadclip.media.packets import Packets

Track = VideoStream | AudioStream


@dataclass(frozen=True)
class ChosenSound:
    """The audio stream that is used, if there is one, and notes about those that were skipped."""

    stream: AudioStream | None
    notes: tuple[str, ...]


def choose_picture(container: InputContainer, packets: Mapping[int, Packets]) -> VideoStream | None:
    """The first video stream with more than a cover picture and with a decoder; None if there is none."""
    streams = [stream for stream in _moving(container, packets) if _has_decoder(stream)]
    return next((stream for stream in streams if len(packets[stream.index])), streams[0] if streams else None)


def no_picture(container: InputContainer, packets: Mapping[int, Packets], path: Path) -> MediaError:
    """The error that says why :func:`choose_picture` found nothing."""
    undecodable = _moving(container, packets)
    if undecodable:
        name = _codec_name(container, undecodable[0])
        return MediaError(f"{path}: no decoder for its video codec ({name}); convert the file or exclude it")
    found = "audio only" if container.streams.audio else f"{len(container.streams)} streams, none of them video"
    return MediaError(f"{path}: expected a video stream, found {found}; exclude it or replace the file")


def choose_sound(container: InputContainer, packets: Mapping[int, Packets], video: VideoStream | None) -> ChosenSound:
    """The first audio stream of the picture's programme with packets and a decoder."""
    streams: Sequence[AudioStream] = container.streams.audio
    if video is not None and len(streams) > 1:
        # FFmpeg looks for a video in the programme of the audio, and elsewhere only if that has none.
        related = {stream.index: container.streams.best("video", related=stream) for stream in streams}
        own = [s for s in streams if (found := related[s.index]) is not None and found.index == video.index]
        streams = own or streams
    holding = [stream for stream in streams if len(packets[stream.index])]
    chosen = next((stream for stream in holding if _has_decoder(stream)), None)
    passed_over = holding if chosen is None else holding[: holding.index(chosen)]
    instead = "sound counts as absent" if chosen is None else f"stream {chosen.index} is the sound"
    notes = [f"no decoder for {_codec_name(container, stream)}: {instead}" for stream in passed_over]
    return ChosenSound(chosen, tuple(notes))


def _moving(container: InputContainer, packets: Mapping[int, Packets]) -> list[VideoStream]:
    flagged = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & flagged]
    # A cover without its flag is a single picture beside a stream of many.
    most = max((len(packets[stream.index]) for stream in streams), default=0)
    return [stream for stream in streams if len(packets[stream.index]) > 1 or most <= 1]


def _has_decoder(stream: Track) -> bool:
    return stream.codec_context is not None


def _codec_name(container: InputContainer, stream: Track) -> str:
    """The codec of a stream; if FFmpeg does not know it, the four letters by which the file names it."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)  # FFmpeg describes streams in its log only
    try:
        description = container.dumps_format()  # type: ignore[attr-defined]  # PyAV's stubs lack it
    finally:
        av.logging.set_level(level)
    line = re.search(rf"Stream #0:{stream.index}\b.*?: (?:Video|Audio): ([^\s,]+)(?:.*?\((\S+) / 0x)?", description)
    if line is None:
        return "an unknown codec"
    name, tag = line.groups()
    return str(tag or "unknown") if name == "none" else str(name)
