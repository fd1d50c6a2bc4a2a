"""Windows of sound around given times: a mono waveform on the container's clock, read as a stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from avadclip.errors import MediaError
from avadclip.media.container import open_media
from avadclip.media.packets import demux
from avadclip.media.survey import SoundTrack, survey

# Timestamps of lossy containers are off by some milliseconds (FLV and WMV round to 1 ms, MP3 frames are 26 ms). Up to
# this deviation, sound counts as continuous; beyond it there is a hole or an overlap.
_JITTER_SECONDS = 0.05
# Undecodable sound that is tolerated as holes: this share, or this many seconds. An audio frame spans several MPEG-TS
# packets, so a camera that loses 5% of them loses a quarter of its sound. Each window says how much of it is covered.
_LOST_SHARE = 0.35
_LOST_SECONDS = 1.0
_PIECE_SAMPLES = 16_000  # the longest piece that is handled at once; bounds the memory


@dataclass(frozen=True, eq=False)
class AudioWindow:
    """The sound around one time."""

    samples: NDArray[np.float32]  # [round(window_seconds * sample_rate)], mono, -1..1, silence where there is no sound
    coverage: float  # 0..1, share of the window for which the track has sound


@dataclass(frozen=True, eq=False)
class _Piece:
    """Consecutive samples on the timeline."""

    samples: NDArray[np.float32]
    is_covered: bool


def decode_windows(
    path: Path,
    centres_seconds: NDArray[np.float64],
    window_seconds: float,
    sample_rate: int = 16_000,
    sound: SoundTrack | None = None,
) -> Iterator[AudioWindow]:
    """Cut one window of sound around each of these times.

    Parameters
    ----------
    centres_seconds : float64 [n], ascending, on the clock of :attr:`avadclip.media.probe.VideoInfo.frame_seconds`.
    window_seconds : length of every window.
    sample_rate : of the result, in Hz.
    sound : the track that :func:`avadclip.media.probe.probe` found; if None, the file is read once more to find it.

    Yields
    ------
    AudioWindow : one for each centre, in order. The track is read once, from its start, and mixed to mono.

    Raises
    ------
    ValueError : the centres are not finite and ascending, or a window is shorter than one sample.
    MediaError : the file has no audio stream with a decoder, or more than 35% (at least 1 s) of its sound cannot be
        decoded. Sound that is missing, or ends before the picture, is not an error: its windows are not covered.

    Notes
    -----
    Some recorders give all packets of a burst the same timestamp: within the length of such a burst, sound continues
    where the previous packet ended.
    """
    centres = np.asarray(centres_seconds, dtype=np.float64)
    if centres.ndim != 1 or not np.all(np.isfinite(centres)) or np.any(np.diff(centres) < 0):
        raise ValueError("centres_seconds must be one-dimensional, finite and ascending")
    length = round(window_seconds * sample_rate)
    if length < 1:
        raise ValueError(f"a window must have at least one sample, found {window_seconds} s at {sample_rate} Hz")
    starts = np.round((centres - window_seconds / 2) * sample_rate).astype(np.int64)
    return _windows(path, starts, length, sample_rate, sound)


def _windows(
    path: Path, starts: NDArray[np.int64], length: int, sample_rate: int, sound: SoundTrack | None
) -> Iterator[AudioWindow]:
    if not starts.size:
        return
    sound = sound or _find_sound(path)
    end = int(starts[-1]) + length
    recent = _RecentSound(first=int(starts[0]), length=length)
    n_done = 0
    # Read to the end even if the last window is complete before: only then all damage is known.
    for piece in _timeline(path, sound, int(starts[0]), end, sample_rate):
        recent.append(piece)
        while n_done < len(starts) and starts[n_done] + length <= recent.stop:
            yield recent.window(int(starts[n_done]))
            n_done += 1
    for start in starts[n_done:].tolist():  # the sound ends before the picture does
        for piece in _silence(start + length - recent.stop):
            recent.append(piece)
        yield recent.window(start)


class _RecentSound:
    """At least the last `length` samples of a growing timeline; positions count samples from time 0."""

    def __init__(self, first: int, length: int) -> None:
        self.stop = first  # position after the last sample
        self._origin = first  # position of slot 0
        self._length = length
        capacity = 4 * (length + _PIECE_SAMPLES)  # so that samples are moved only once in several windows
        self._samples = np.zeros(capacity, dtype=np.float32)
        self._is_covered = np.zeros(capacity, dtype=np.bool_)

    def append(self, piece: _Piece) -> None:
        n_held = self.stop - self._origin
        if n_held + len(piece.samples) > len(self._samples):
            # Every window that ends up to here has been cut, so no later one begins before the last `length` samples.
            n_kept = min(n_held, self._length)
            for buffer in (self._samples, self._is_covered):
                buffer[:n_kept] = buffer[n_held - n_kept : n_held].copy()
            self._origin = self.stop - n_kept
            n_held = n_kept
        self._samples[n_held : n_held + len(piece.samples)] = piece.samples
        self._is_covered[n_held : n_held + len(piece.samples)] = piece.is_covered
        self.stop += len(piece.samples)

    def window(self, start: int) -> AudioWindow:
        slots = slice(start - self._origin, start - self._origin + self._length)
        return AudioWindow(samples=self._samples[slots].copy(), coverage=float(self._is_covered[slots].mean()))


def _timeline(path: Path, sound: SoundTrack, first: int, end: int, sample_rate: int) -> Iterator[_Piece]:
    """The sound from `first` to `end` without gaps: holes become silence, overlaps are trimmed."""
    stop = first
    for start, samples in _placed_sound(path, sound, sample_rate):
        for piece in _silence(min(start, end) - stop):  # a timestamp hours ahead must not make hours of silence
            yield piece
            stop += len(piece.samples)
        unheard = samples[max(stop - start, 0) :]
        for offset in range(0, len(unheard), _PIECE_SAMPLES):
            piece = _Piece(unheard[offset : offset + _PIECE_SAMPLES], is_covered=True)
            yield piece
            stop += len(piece.samples)


def _silence(n_samples: int) -> Iterator[_Piece]:
    for done in range(0, n_samples, _PIECE_SAMPLES):
        yield _Piece(np.zeros(min(_PIECE_SAMPLES, n_samples - done), dtype=np.float32), is_covered=False)


def _placed_sound(path: Path, sound: SoundTrack, sample_rate: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Decoded sound as mono at `sample_rate`, each piece with the position of its first sample."""
    tolerance_seconds = max(_JITTER_SECONDS, sound.burst_seconds)
    resampler: AudioResampler | None = None
    kind: tuple[str, str, int] | None = None
    next_seconds = 0.0  # where the sound continues if there is no hole
    position = 0
    with open_media(path) as container:
        for frame in _decode_sound(path, container, sound):
            seconds = next_seconds if frame.time is None else frame.time
            frame_kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if frame_kind != kind or abs(seconds - next_seconds) > tolerance_seconds:
                if resampler is not None:
                    yield position, _resample(resampler, None)
                resampler = AudioResampler(format="flt", layout="mono", rate=sample_rate)
                kind, next_seconds, position = frame_kind, seconds, round(seconds * sample_rate)
            next_seconds += frame.samples / frame.sample_rate
            samples = _resample(resampler, frame)
            yield position, samples
            position += len(samples)
    yield position, _resample(resampler, None)


def _resample(resampler: AudioResampler | None, frame: AudioFrame | None) -> NDArray[np.float32]:
    """The output of the resampler after `frame`, float32 [n]; with None, the rest of its output."""
    if resampler is None:
        return np.zeros(0, dtype=np.float32)
    if frame is not None:
        frame.pts = None  # positions are counted here; the resampler must not correct them
    ready = [out.to_ndarray().reshape(-1) for out in resampler.resample(frame) if out is not None]
    return np.concatenate(ready).astype(np.float32, copy=False) if ready else np.zeros(0, dtype=np.float32)


def _find_sound(path: Path) -> SoundTrack:
    with open_media(path) as container:
        found = survey(container, path)
    if found.sound is None:
        said = "; ".join(found.notes) or "found none"
        raise MediaError(f"{path}: expected an audio stream, {said}; check `VideoInfo.has_audio` first")
    return found.sound


def _decode_sound(path: Path, container: InputContainer, sound: SoundTrack) -> Iterator[AudioFrame]:
    """Every frame of sound that can be decoded; MediaError at the end if too much could not."""
    stream = container.streams[sound.stream_index]
    assert isinstance(stream, AudioStream)
    total_seconds, lost_seconds, typical_seconds = 0.0, 0.0, 0.0
    n_read = n_decoded = n_damaged = 0
    for packet in demux(container, stream):
        if packet.size == 0 and packet.dts is not None:
            continue  # FFmpeg takes an empty packet for the end of the stream
        if packet.size and sound.shifts is not None:
            shift = int(sound.shifts[n_read])
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
        n_read += packet.size > 0
        packet_seconds = float((packet.duration or 0) * packet.time_base) or typical_seconds
        total_seconds += packet_seconds
        try:
            frames = packet.decode()
        except FFmpegError:
            n_damaged += 1
            lost_seconds += packet_seconds
            continue
        for frame in frames:
            n_decoded += 1
            typical_seconds = frame.samples / frame.sample_rate
            yield frame
    if n_damaged and (n_decoded == 0 or lost_seconds > max(_LOST_SECONDS, _LOST_SHARE * total_seconds)):
        raise MediaError(
            f"{path}: {lost_seconds:.1f} of {total_seconds:.1f} s of sound cannot be decoded "
            f"({n_damaged} damaged packets); replace the file or exclude the video"
        )
