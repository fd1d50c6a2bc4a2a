"""What a video file contains, by its packets: frames, their times, size, rotation, sound."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from avadclip.errors import MediaError
from avadclip.media.clock import NO_STAMP
from avadclip.media.container import MOST_PIXELS, decode_pictures, first_picture, open_media
from avadclip.media.packets import Packets
from avadclip.media.survey import PictureTrack, SoundTrack, Survey, survey
from avadclip.media.tracks import no_picture

# A container may count frames that its encoder dropped (AVI), so its own count may differ by 1% or this many frames.
_COUNT_SLACK_FRAMES = 2
_DURATION_SLACK_SECONDS = 1.0
_SLACK_SHARE = 0.01
# Containers whose headers state a duration but no frame count; other durations are FFmpeg's estimates.
_FORMATS_DECLARING_DURATION = {"matroska,webm", "flv", "asf"}
_FALLBACK_RATE = 25.0  # frames per second, if a raw stream states none


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """The picture of a file, as it is shown, and what is known of its sound."""

    n_frames: int
    # [n_frames], ascending: when each frame is presented, on the container's clock, which may begin anywhere. Where it
    # jumps, it is continued by one frame.
    frame_seconds: NDArray[np.float64]
    end_seconds: float  # end of the last frame
    frame_rate: float  # average, frames per second
    width: int  # pixels, after rotation
    height: int  # pixels, after rotation
    rotation: int  # 0, 90, 180 or 270: degrees counterclockwise from the stored to the shown picture
    has_audio: bool  # whether there is sound that can be decoded, beside the picture
    codec: str
    # Whether each decoded frame has its own time. If not, the k-th frame that is decoded is frame k.
    is_stamped: bool
    picture: PictureTrack
    sound: SoundTrack | None
    notes: tuple[str, ...]  # one line for each thing that the owner of the file should know

    def to_text(self) -> str:
        """JSON for a cache, from which :meth:`from_text` makes an equal object."""
        return json.dumps(asdict(self), default=lambda values: values.tolist())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of :meth:`to_text`."""
        found = json.loads(text)
        picture, sound = found.pop("picture"), found.pop("sound")
        return cls(
            frame_seconds=np.array(found.pop("frame_seconds"), dtype=np.float64),
            picture=PictureTrack(stamps=_ticks(picture.pop("stamps")), **picture),
            sound=None if sound is None else SoundTrack(shifts=_ticks(sound.pop("shifts")), **sound),
            notes=tuple(found.pop("notes")),
            **found,
        )


def _ticks(values: list[int] | None) -> Any:
    return None if values is None else np.array(values, dtype=np.int64)


def probe(path: Path) -> VideoInfo:
    """Read frame count and times of a video from its packets; only the first picture is decoded.

    A frame counts if the decoder shows it. What an edit list cuts, empty packets (dropped frames), pictures that are
    not coded and VP8's invisible reference frames do not count; nor do frames before the first picture that can be
    decoded, if a file begins inside a group of pictures. AVI stores only the order of decoding: its n-th position is
    read as the n-th frame shown. If packets have no times at all (raw streams), the video is decoded once to count
    its frames.

    Raises
    ------
    MediaError : the file cannot be opened, has no video stream or none with a decoder, no frame can be decoded, its
        clock jumps all the time, or it is shorter than its container declares (by 1%, and at least 2 frames, or 1 s
        if only a duration is declared).
    """
    with open_media(path) as container:
        found = survey(container, path)
        if found.picture is None:
            raise no_picture(container, found.packets, path)
        stream = container.streams[found.picture.stream_index]
        assert isinstance(stream, VideoStream)
        _require_picture_size(path, stream)
        _require_declared_length(path, container, stream, found)
        shown = _Shown.of(container, stream, found)
        picture = first_picture(container, found.picture, found.packets[stream.index])
        if picture is None:
            picture = _first_picture(path, found.picture, stream.codec_context.name)
        if shown.is_stamped and picture.pts is not None:
            shown = shown.since(picture.pts)
        seconds, end_seconds = _frame_times(path, stream, shown, found.picture)
        rotation = round(picture.rotation / 90) * 90 % 360
        stored_size = (picture.width, picture.height)
        width, height = stored_size if rotation in (0, 180) else stored_size[::-1]
        silence = _said_of_silence(found.sound, float(seconds[0]), end_seconds)
        return VideoInfo(
            n_frames=len(seconds),
            frame_seconds=seconds,
            end_seconds=end_seconds,
            frame_rate=len(seconds) / (end_seconds - float(seconds[0])),
            width=width,
            height=height,
            rotation=rotation,
            has_audio=found.sound is not None and not silence,
            codec=stream.codec_context.name,
            is_stamped=shown.is_stamped,
            picture=found.picture,
            sound=found.sound,
            notes=(*found.notes, *shown.said, *silence),
        )


@dataclass(frozen=True, eq=False)
class _Shown:
    """The packets whose pictures are shown, [n] each, in the order in which they are stored; times in ticks."""

    stamps: NDArray[np.int64]  # NO_STAMP if there is none
    durations: NDArray[np.int64]
    is_stamped: bool
    key_stamp: int  # of the first picture that stands alone
    n_lost: int  # pictures that refer to others from before the beginning of the file

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream, found: Survey) -> "_Shown":
        assert found.picture is not None
        packets, first = found.packets[stream.index], found.picture.first_packet
        is_avi = container.format.name == "avi"
        # libavformat derives the presentation times of AVI, and they are wrong for B frames.
        stored = np.array(packets.dts if is_avi else packets.pts, dtype=np.int64)
        stamps = stored if found.picture.stamps is None else found.picture.stamps
        is_shown = np.array(packets.is_shown, dtype=np.bool_)
        n_lost = int(is_shown[:first].sum())
        is_shown[:first] = False
        own = stamps[is_shown]
        is_stamped = not is_avi and not np.any(own == NO_STAMP) and len(np.unique(own)) == len(own)
        durations = np.array(packets.durations, dtype=np.int64)[is_shown]
        return cls(own, durations, is_stamped, int(stamps[first]), n_lost)

    def since(self, first_stamp: int) -> "_Shown":
        """Without pictures that are shown before the first key frame, unless that was decoded."""
        is_kept = self.stamps >= min(first_stamp, self.key_stamp)
        if is_kept.all():
            return self
        n_lost = self.n_lost + int((~is_kept).sum())
        return _Shown(self.stamps[is_kept], self.durations[is_kept], True, self.key_stamp, n_lost)

    @property
    def said(self) -> list[str]:
        """The note about pictures that are left out."""
        if not self.n_lost:
            return []
        return [f"begins inside a group of pictures: the first {self.n_lost} cannot be decoded and do not count"]


def _said_of_silence(sound: SoundTrack | None, start_seconds: float, end_seconds: float) -> list[str]:
    """The note that the sound never overlaps the picture, if that is so."""
    if sound is None or (sound.start_seconds < end_seconds and sound.end_seconds > start_seconds):
        return []
    first, last = sound.start_seconds - start_seconds, sound.end_seconds - start_seconds
    return [
        f"its sound ({first:.1f} s to {last:.1f} s) is wholly outside its picture (0.0 s to "
        f"{end_seconds - start_seconds:.1f} s): sound counts as absent"
    ]


def _first_picture(path: Path, track: PictureTrack, codec: str) -> VideoFrame:
    with open_media(path) as container:
        for picture in decode_pictures(container, track):
            return picture
    raise MediaError(f"{path}: no frame of its {codec} video can be decoded; replace the file or exclude the video")


def _no_frame(path: Path, stream: VideoStream) -> MediaError:
    codec = stream.codec_context.name
    return MediaError(f"{path}: no frame of its {codec} video is ever shown; replace the file or exclude the video")


def _frame_times(
    path: Path, stream: VideoStream, shown: _Shown, track: PictureTrack
) -> tuple[NDArray[np.float64], float]:
    """Presentation times of the shown frames, ascending, and the end of the last."""
    time_base = float(stream.time_base or 1)
    frame_seconds = 1.0 / float(stream.average_rate or stream.guessed_rate or _FALLBACK_RATE)
    if np.any(shown.stamps == NO_STAMP):
        if (n_pictures := _count_pictures(path, track)) == 0:
            raise _no_frame(path, stream)
        seconds = np.arange(n_pictures, dtype=np.float64) * frame_seconds
        return seconds, float(seconds[-1]) + frame_seconds
    if len(shown.stamps) == 0:
        raise _no_frame(path, stream)
    order = np.lexsort((shown.durations, shown.stamps))
    seconds = shown.stamps[order].astype(np.float64) * time_base
    return seconds, float(seconds[-1]) + (int(shown.durations[order[-1]]) * time_base or frame_seconds)


def _count_pictures(path: Path, track: PictureTrack) -> int:
    with open_media(path) as container:
        return sum(1 for _ in decode_pictures(container, track))


def _require_picture_size(path: Path, stream: VideoStream) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MOST_PIXELS:
        raise MediaError(
            f"{path}: pictures of {width} x {height}, expected at most {MOST_PIXELS >> 20} million pixels; convert the"
            " file or exclude the video"
        )


def _require_declared_length(path: Path, container: InputContainer, stream: VideoStream, found: Survey) -> None:
    packets = found.packets[stream.index]
    if not any(packets.is_shown):
        raise MediaError(f"{path}: its video stream has no frames; replace the file or exclude the video")
    # AVI counts dropped frames too, which take a position but have no packet.
    is_avi = container.format.name == "avi" and packets.dts[-1] != NO_STAMP
    n_stored = packets.dts[-1] + 1 if is_avi else len(packets)
    missing_frames = stream.frames - n_stored
    if missing_frames > max(_COUNT_SLACK_FRAMES, _SLACK_SHARE * stream.frames):
        raise MediaError(
            f"{path}: the container declares {stream.frames} frames, but the file has {n_stored}; "
            "it is truncated or damaged: copy it again or exclude the video"
        )
    if container.format.name not in _FORMATS_DECLARING_DURATION or container.duration is None:
        return
    declared_seconds = container.duration / av.time_base
    end_seconds = max(_stored_until(container, index, track) for index, track in found.packets.items())
    missing_seconds = declared_seconds - end_seconds
    if missing_seconds > max(_DURATION_SLACK_SECONDS, _SLACK_SHARE * declared_seconds):
        raise MediaError(
            f"{path}: the container declares {declared_seconds:.1f} s, but the file ends at "
            f"{end_seconds:.1f} s; it is truncated or damaged: copy it again or exclude the video"
        )


def _stored_until(container: InputContainer, index: int, packets: Packets) -> float:
    """Where stream `index` ends by its own timestamps, in seconds."""
    stamps = np.array(packets.pts, dtype=np.int64)
    ends = (stamps + np.array(packets.durations, dtype=np.int64))[stamps != NO_STAMP]
    return float(ends.max()) * float(container.streams[index].time_base or 0) if ends.size else 0.0
