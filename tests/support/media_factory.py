"""Small synthetic videos with sound, written by PyAV; a test knows their every frame and sample."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

TIME_BASE = Fraction(1, 12_800)  # of the video streams: frames at 25 a second and many odd times are whole ticks
SAMPLE_RATE = 16_000  # Hz, of the sound that is handed in

# 60 frames of noise, 64 x 48 at 25 a second, H.264 with its index in front. The file is kept because encoders write
# other bytes on other processors, and tests that damage it need the same bytes everywhere.
NOISE = Path(__file__).with_name("noise.mp4")
NOISE_FRAMES = 60

FrameFn = Callable[[int], NDArray[np.uint8]]


def gray_ramp(size: tuple[int, int]) -> FrameFn:
    """Frames of one colour each that show their index i: gray 16 + (8 i mod 224), bright enough for lossy codecs."""
    width, height = size
    return lambda index: np.full((height, width, 3), 16 + 8 * index % 224, dtype=np.uint8)


def write_video(
    path: Path,
    *,
    n_frames: int,
    frame_rate: int = 25,
    size: tuple[int, int] = (64, 48),
    frame_fn: FrameFn | None = None,
    frame_seconds: Sequence[float] | None = None,
    audio: NDArray[np.float32] | None = None,
    audio_offset_seconds: float = 0.0,
    audio_codec: str = "aac",
    rotation: int = 0,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a video; the container follows from the name.

    Parameters
    ----------
    size : width, height, pixels.
    frame_fn : index -> uint8 [height, width, 3]; default :func:`gray_ramp`.
    frame_seconds : presentation times (variable frame rate), ascending; default ``i / frame_rate``.
    audio : float32 [n], mono at 16 kHz; None writes no audio stream.
    audio_offset_seconds : when the first sample is presented.
    rotation : degrees counterclockwise by which a player turns the picture (display matrix).
    """
    frame_fn = frame_fn or gray_ramp(size)
    times = [index / frame_rate for index in range(n_frames)] if frame_seconds is None else list(frame_seconds)
    time_base = Fraction(1, frame_rate) if path.suffix == ".avi" else TIME_BASE  # AVI counts in frames
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=frame_rate)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        stream.options = options or {}
        if rotation:
            stream.set_display_rotation(rotation)
        audio_stream = None if audio is None else container.add_stream(audio_codec, rate=SAMPLE_RATE, layout="mono")
        for index, seconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(frame_fn(index), format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = round(seconds / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None and audio_stream is not None:
            _write_audio(container, audio_stream, audio, audio_offset_seconds)
    return path


def _write_audio(container: OutputContainer, stream, audio: NDArray[np.float32], offset_seconds: float) -> None:
    first = round(offset_seconds * SAMPLE_RATE)
    for start in range(0, len(audio), 1024):
        frame = av.AudioFrame.from_ndarray(audio[None, start : start + 1024], format="flt", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), first + start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def write_audio_only(path: Path, audio: NDArray[np.float32]) -> Path:
    """A media file with sound and no picture."""
    with av.open(str(path), "w") as container:
        _write_audio(container, container.add_stream("aac", rate=SAMPLE_RATE, layout="mono"), audio, 0.0)
    return path


def tone(seconds: float, frequency: float = 440.0) -> NDArray[np.float32]:
    """A sine of amplitude 0.5, float32 [seconds * 16000]."""
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(
        np.float32
    )
