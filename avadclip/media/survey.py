"""The picture and the sound of a file, by its packets, on one continuous clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from avadclip.errors import MediaError
from avadclip.media import clock
from avadclip.media.clock import NO_STAMP, Mended, Stored
from avadclip.media.packets import Packets, read_packets
from avadclip.media.tracks import Track, choose_picture, choose_sound

# Containers with a running clock: a gap of ten seconds is another recording, as in FFmpeg. Others have a timeline of
# their own, on which a recorder may have paused for minutes.
_RUNNING_CLOCK = {"mpegts", "mpeg"}
_GAP_SECONDS, _LONG_GAP_SECONDS = 10.0, 600.0
# Containers that store presentation times alone; FFmpeg derives the times of decoding.
_WITHOUT_DTS = {"matroska,webm", "ogg", "asf", "rm", "swf", "gif"}
_WITHOUT_CLOCK = {"avi"}  # counts frames
# Sound that is stored with a part of the picture begins within this many seconds of it, and may overlap the last part.
_IN_STEP_SECONDS = 10.0
_OVERLAP_SECONDS = 1.0
_PARTS_OF_A_PAUSE = 10
_LEAST_BURST = 3  # packets with one timestamp; two may share one that is rounded


@dataclass(frozen=True, eq=False)
class PictureTrack:
    """The video stream that is used, and how its packets are read."""

    stream_index: int
    first_packet: int  # those before it refer to pictures that the file does not have
    stamps: NDArray[np.int64] | None  # [n_packets]; None: those of the file are right


@dataclass(frozen=True, eq=False)
class SoundTrack:
    """The audio stream that is used, and when its packets are played."""

    stream_index: int
    shifts: NDArray[np.int64] | None  # [n_packets], ticks to add to their timestamps; None: they are right
    burst_seconds: float  # length of the longest run of packets with the same timestamp
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, eq=False)
class Survey:
    """The result of one pass over a file."""

    packets: Mapping[int, Packets]  # by stream
    picture: PictureTrack | None
    sound: SoundTrack | None
    notes: tuple[str, ...]  # for the owner of the file


def survey(container: InputContainer, path: Path) -> Survey:
    """Read every packet of a file that was just opened, choose its tracks, and correct their clocks.

    Raises
    ------
    MediaError : a clock jumps too often, or a stream becomes one of another kind.
    """
    packets = read_packets(container)
    try:
        _require_lasting_kinds(container)
        return _survey(container, packets)
    except MediaError as error:
        raise MediaError(f"{path}: {error}; copy the recording again or exclude the video") from None


def _require_lasting_kinds(container: InputContainer) -> None:
    """FFmpeg may find in the middle of an MPEG-TS that a stream is another one; PyAV's objects stay as they were."""
    for stream in container.streams:
        kind = {"video": VideoStream, "audio": AudioStream}.get(stream.type)
        if kind is not None and not isinstance(stream, kind):
            raise MediaError(f"its stream {stream.index} becomes {stream.type} in the middle of the file")


def _survey(container: InputContainer, packets: Mapping[int, Packets]) -> Survey:
    notes: list[str] = []
    video = choose_picture(container, packets)
    picture: PictureTrack | None = None
    reference: _Reference | None = None
    if video is not None:
        mended = _mend(container, video, packets, None)
        notes += _told("picture", mended, video)
        first_key = packets[video.index].is_key.find(1)
        picture = PictureTrack(video.index, max(first_key, 0), None if mended is None else mended.stamps)
        reference = _Reference(video, packets[video.index], mended)
    audio = choose_sound(container, packets, video)
    sound: SoundTrack | None = None
    if audio.stream is not None:
        mended = _mend(container, audio.stream, packets, reference)
        notes += _told("sound", mended, audio.stream)
        sound = _sound_track(audio.stream, packets[audio.stream.index], mended)
    return Survey(packets, picture, sound, (*audio.notes, *notes))


@dataclass(frozen=True, eq=False)
class _Reference:
    """The picture, with which the sound is kept synchronous."""

    stream: VideoStream
    packets: Packets
    clock: Mended | None


def _mend(
    container: InputContainer, stream: Track, packets: Mapping[int, Packets], reference: _Reference | None
) -> Mended | None:
    own = packets[stream.index]
    if container.format.name in _WITHOUT_CLOCK:
        return None
    others = [other for other in container.streams if other.index in packets and other.index != stream.index]
    seconds = _seconds_per_tick(stream)

    def is_pause(packet: int) -> bool:
        # Another stream continues through the gap: it has packets in each part of it.
        start, end = own.pts[packet - 1] * seconds, own.pts[packet] * seconds
        if end <= start:
            return False
        for other in others:
            times = np.array(packets[other.index].pts, dtype=np.float64) * _seconds_per_tick(other)
            if np.all(np.histogram(times, _PARTS_OF_A_PAUSE, (start, end))[0]):
                return True
        return False

    stored = Stored(
        pts=np.array(own.pts, dtype=np.int64),
        dts=np.array(own.dts, dtype=np.int64),
        is_key=np.frombuffer(bytes(own.is_key), dtype=np.bool_),
        ticks_per_second=1 / seconds,
        stores_dts=container.format.name not in _WITHOUT_DTS,
    )
    gap_seconds = _GAP_SECONDS if container.format.name in _RUNNING_CLOCK else _LONG_GAP_SECONDS
    propose = None if reference is None else _InStep(own, seconds, reference).propose
    return clock.mend(stored, gap_seconds, is_pause, propose, fills_holes=reference is None and stream.type == "video")


class _InStep:
    """Gives the sound of each part of a concatenated recording the shift of its picture."""

    def __init__(self, own: Packets, seconds: float, reference: _Reference) -> None:
        self._own, self._seconds = own, seconds
        self._picture, self._clock = reference.packets, reference.clock
        self._picture_seconds = _seconds_per_tick(reference.stream)

    def propose(self, packet: int, goes_on: int | None) -> int | None:
        """The shift of the part of the picture that a sound packet begins with, in the sound's ticks; None if the
        sound does not begin where that part does. `goes_on` is where the sound before it ends."""
        if self._clock is None or not self._clock.jumps:
            return None
        place = self._own.places[packet]
        starts = [0, *(jump.packet for jump in self._clock.jumps)]
        if goes_on is None:  # the first sound of the file
            part = sum(self._picture.places[start] <= place for start in starts[1:])
        else:
            part = 1 + int(np.argmin([abs(self._picture.places[start] - place) for start in starts[1:]]))
        shift = round(self._clock.shifts[part] * self._picture_seconds / self._seconds)
        if goes_on is None:
            return shift
        stamp = self._own.pts[packet]
        distance = stamp * self._seconds - self._picture.pts[starts[part]] * self._picture_seconds
        overlap = (goes_on - stamp - shift) * self._seconds
        return shift if abs(distance) <= _IN_STEP_SECONDS and overlap <= _OVERLAP_SECONDS else None


def _sound_track(stream: AudioStream, packets: Packets, mended: Mended | None) -> SoundTrack:
    stored = np.array(packets.pts, dtype=np.int64)
    stamps = stored if mended is None else mended.stamps
    is_known = stored != NO_STAMP
    known, seconds = stamps[is_known], _seconds_per_tick(stream)
    durations = np.array(packets.durations, dtype=np.int64)
    start, end = (int(known.min()), int(known.max())) if known.size else (0, int(durations.sum()))
    burst_seconds = _longest_burst(known, durations) * seconds
    return SoundTrack(
        stream_index=stream.index,
        shifts=None if mended is None else np.where(is_known, stamps - stored, 0),
        burst_seconds=burst_seconds,
        start_seconds=start * seconds,
        end_seconds=max((end + int(durations[-1])) * seconds, end * seconds + burst_seconds),
    )


def _longest_burst(stamps: NDArray[np.int64], durations: NDArray[np.int64]) -> float:
    """Length of the longest run of packets with the same timestamp, in ticks."""
    if len(stamps) < _LEAST_BURST:
        return 0.0
    firsts = np.flatnonzero(np.append(True, np.diff(stamps) != 0))
    n_packets = int(np.diff(np.append(firsts, len(stamps))).max())
    each = float(np.median(durations)) or float(stamps.max() - stamps.min()) / len(stamps)
    return n_packets * each if n_packets >= _LEAST_BURST else 0.0


def _seconds_per_tick(stream: Stream) -> float:
    return float(stream.time_base or 1)


def _told(what: str, mended: Mended | None, stream: Track) -> list[str]:
    """The notes about a clock that was corrected."""
    if mended is None:
        return []
    seconds, told = _seconds_per_tick(stream), []
    if mended.jumps:
        first = mended.jumps[0]
        more = f" and {len(mended.jumps) - 1} more times" if len(mended.jumps) > 1 else ""
        told.append(
            f"the clock of its {what} jumps from {first.before * seconds:.1f} s to {first.after * seconds:.1f} s{more};"
            " it is continued by one frame"
        )
    if mended.n_astray:
        told.append(f"{mended.n_astray} packets of its {what} have timestamps far from their neighbours: corrected")
    return told
