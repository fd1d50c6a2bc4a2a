"""What a video file holds, from its packets: frames, their times, size, rotation, sound."""

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from avadclip.errors import MediaError
from avadclip.media.container import decode_pictures, open_media, video_stream

# A container may count frames that its encoder dropped (AVI), so its own count is met within 1% or this many frames.
_COUNT_SLACK_FRAMES = 2
_DURATION_SLACK_SECONDS = 1.0
_SLACK_SHARE = 0.01
# Containers whose header states a duration but no frame count; other durations are FFmpeg's estimates.
_FORMATS_DECLARING_DURATION = {"matroska,webm", "flv", "asf"}
_FALLBACK_RATE = 25.0  # frames per second, where a raw stream states none


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """The first video stream of a file (cover pictures left aside), as it is shown."""

    n_frames: int
    frame_seconds: NDArray[np.float64]  # [n_frames], ascending: when each frame is presented, on the container's clock
    end_seconds: float  # end of the last frame
    frame_rate: float  # average, frames per second
    width: int  # pixels, after rotation
    height: int  # pixels, after rotation
    rotation: int  # 0, 90, 180 or 270: degrees counterclockwise from the stored to the shown picture
    has_audio: bool
    codec: str
    # Whether each decoded frame carries its own time. Where not, the k-th frame that is decoded is frame k.
    is_stamped: bool


def probe(path: Path) -> VideoInfo:
    """Read frame count and times of a video from its packets; of the pictures only the first is decoded.

    A frame counts if the decoder will show it: what an edit list cuts away, empty packets (a dropped frame) and VP8's
    invisible reference frames do not. AVI stores the order of decoding alone; its n-th position is taken for the n-th
    frame shown. Where packets lack times altogether (raw streams) the video is decoded once to count its frames.

    Raises
    ------
    MediaError : the file cannot be opened, has no video stream, no frame of it can be decoded, or it ends well before
        what its container declares (by 1%, and at least 2 frames, or 1 s where only a duration is declared).
    """
    picture = _first_picture(path)
    with open_media(path) as container:
        stream = video_stream(container, path)
        packets = _scan(container, stream)
        _require_declared_length(path, container, stream, packets)
        seconds, end_seconds = _frame_times(path, stream, packets)
        rotation = round(picture.rotation / 90) * 90 % 360
        stored_size = (picture.width, picture.height)
        width, height = stored_size if rotation in (0, 180) else stored_size[::-1]
        return VideoInfo(
            n_frames=len(seconds),
            frame_seconds=seconds,
            end_seconds=end_seconds,
            frame_rate=len(seconds) / (end_seconds - float(seconds[0])),
            width=width,
            height=height,
            rotation=rotation,
            has_audio=packets.has_audio,
            codec=stream.codec_context.name,
            is_stamped=packets.has_distinct_pts and container.format.name != "avi",
        )


@dataclass
class _Packets:
    """What one pass over the packets of a file finds."""

    n_stored: int = 0  # frames that the container has room for, shown or not
    shown: list[tuple[int | None, int]] = field(default_factory=list)  # stamp and duration, in units of the time base
    has_audio: bool = False
    end_seconds: float = 0.0  # of the stream that ends last

    @property
    def has_distinct_pts(self) -> bool:
        stamps = [stamp for stamp, _ in self.shown]
        return None not in stamps and len(set(stamps)) == len(stamps)


def _first_picture(path: Path) -> VideoFrame:
    with open_media(path) as container:
        stream = video_stream(container, path)
        for picture in decode_pictures(container, stream):
            return picture
        codec = stream.codec_context.name
    raise MediaError(f"{path}: no frame of its {codec} video can be decoded; replace the file or exclude the video")


def _scan(container: InputContainer, stream: VideoStream) -> _Packets:
    found = _Packets()
    is_avi = container.format.name == "avi"
    for packet in container.demux():
        if packet.size == 0:
            continue
        if packet.pts is not None:
            found.end_seconds = max(found.end_seconds, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        found.has_audio |= packet.stream.type == "audio"
        if packet.stream_index != stream.index:
            continue
        # AVI declares its frames with the dropped ones, which take a position but hold no packet.
        found.n_stored = packet.dts + 1 if is_avi and packet.dts is not None else found.n_stored + 1
        if not packet.is_discard and not _is_hidden(stream.codec_context.name, memoryview(packet)):
            # libavformat makes up the presentation times of AVI and is wrong about B frames.
            stamp = packet.dts if is_avi else packet.pts
            found.shown.append((stamp, packet.duration or 0))
    return found


def _is_hidden(codec: str, data: memoryview) -> bool:
    # RFC 6386, 9.1: bit 4 of a VP8 frame is show_frame; WebM stores a hidden reference frame as a packet of its own.
    return codec == "vp8" and not data[0] & 0x10


def _frame_times(path: Path, stream: VideoStream, packets: _Packets) -> tuple[NDArray[np.float64], float]:
    """Presentation times of the shown frames, ascending, and the end of the last."""
    time_base = float(stream.time_base or 1)
    frame_seconds = 1.0 / float(stream.average_rate or stream.guessed_rate or _FALLBACK_RATE)
    known = sorted((stamp, duration) for stamp, duration in packets.shown if stamp is not None)
    if len(known) < len(packets.shown):
        seconds = np.arange(_count_pictures(path), dtype=np.float64) * frame_seconds
        return seconds, float(seconds[-1]) + frame_seconds
    seconds = np.array([stamp for stamp, _ in known], dtype=np.float64) * time_base
    return seconds, float(seconds[-1]) + (known[-1][1] * time_base or frame_seconds)


def _count_pictures(path: Path) -> int:
    with open_media(path) as container:
        return sum(1 for _ in decode_pictures(container, video_stream(container, path)))


def _require_declared_length(path: Path, container: InputContainer, stream: VideoStream, packets: _Packets) -> None:
    if not packets.shown:
        raise MediaError(f"{path}: its video stream holds no frames; replace the file or exclude the video")
    missing_frames = stream.frames - packets.n_stored
    if missing_frames > max(_COUNT_SLACK_FRAMES, _SLACK_SHARE * stream.frames):
        raise MediaError(
            f"{path}: the container declares {stream.frames} frames, but the file holds {packets.n_stored}; "
            "it is truncated or damaged: copy it again or exclude the video"
        )
    if container.format.name not in _FORMATS_DECLARING_DURATION or container.duration is None:
        return
    declared_seconds = container.duration / av.time_base
    missing_seconds = declared_seconds - packets.end_seconds
    if missing_seconds > max(_DURATION_SLACK_SECONDS, _SLACK_SHARE * declared_seconds):
        raise MediaError(
            f"{path}: the container declares {declared_seconds:.1f} s, but the file ends at "
            f"{packets.end_seconds:.1f} s; it is truncated or damaged: copy it again or exclude the video"
        )
