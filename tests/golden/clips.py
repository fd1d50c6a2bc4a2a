"""The golden clips, and how each of them was made.

They are kept in ``clips/``, not made by the tests: encoders write different bytes on another processor or in another
version, but the clips that decoders are tested with have to be the same everywhere.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

FOLDER = Path(__file__).with_name("clips")
N_FRAMES = 16
FRAME_RATE = 25
SOUND_RATE = 16_000  # Hz, of the sound that is handed to the encoders
MATRICES = {"bt601": (Colorspace.ITU601, 6), "bt709": (Colorspace.ITU709, 1)}  # for the scaler; as codecs number them
RANGES = {"limited": (ColorRange.MPEG, 1), "full": (ColorRange.JPEG, 2)}


@dataclass(frozen=True)
class Clip:
    """The settings of a clip; by default 64 x 48 at 25 frames/s, 16 frames of H.264 in groups of 8, mono AAC."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    options: dict[str, str] = field(default_factory=dict)  # of the video encoder
    matrix: str = "bt601"
    levels: str = "limited"
    rotation: int = 0  # degrees counterclockwise
    ticks: tuple[int, ...] = tuple(range(N_FRAMES))  # in 1/25 s: when each frame is shown
    sound: str | None = "aac"
    sound_rate: int = SOUND_RATE
    layout: str = "mono"
    sound_start: float = 0.0  # seconds


X264 = {"bf": "0", "g": "8"}
VARIABLE = (0, 1, 2, 5, 6, 10, 11, 12, 13, 20, 21, 22, 23, 24, 30, 31)
CLIPS: dict[str, Clip] = {
    # H.264 in its pixel formats, matrices and ranges
    "h264.mp4": Clip(options=X264),
    "h264-yuv422p.mp4": Clip(options=X264, pixels="yuv422p"),
    "h264-yuv444p.mp4": Clip(options=X264, pixels="yuv444p"),
    "h264-yuv420p10.mp4": Clip(options=X264, pixels="yuv420p10le"),
    "h264-gray.mp4": Clip(options=X264, pixels="gray"),
    "h264-bt709.mp4": Clip(options=X264, matrix="bt709"),
    "h264-full.mp4": Clip(options=X264, levels="full"),
    "h264-bt709-full.mp4": Clip(options=X264, matrix="bt709", levels="full"),
    # scanned, turned, ordered and timed in other ways
    "h264-interlaced.mp4": Clip(options={**X264, "x264-params": "interlaced=1:tff=1"}),
    "h264-rotated-90.mp4": Clip(options=X264, rotation=90),
    "h264-rotated-180.mp4": Clip(options=X264, rotation=180),
    "h264-rotated-270.mov": Clip(options=X264, rotation=270),
    "h264-b-frames.mp4": Clip(options={"bf": "3", "b-adapt": "0", "g": "12"}),
    "h264-open-gop.mkv": Clip(options={"bf": "2", "b-adapt": "0", "g": "6", "x264-params": "open-gop=1"}),
    "h264-edit-list.mp4": Clip(options=X264, ticks=tuple(range(-4, N_FRAMES - 4))),  # the first four are cut away
    "h264-variable-rate.mp4": Clip(options=X264, ticks=VARIABLE),
    "h264-variable-rate.mkv": Clip(options={"bf": "2", "b-adapt": "0"}, ticks=VARIABLE, sound="flac"),
    "h264-late-clock.mkv": Clip(options=X264, ticks=tuple(range(250, 250 + N_FRAMES)), sound_start=10.0),
    "h264-odd-size.mp4": Clip(options=X264, size=(63, 47), pixels="yuv444p"),
    # other containers, and other sound
    "h264.ts": Clip(options=X264, sound="mp2", sound_rate=48_000, layout="stereo"),
    "h264.flv": Clip(options=X264, sound="libmp3lame", sound_rate=44_100, layout="stereo"),
    "h264-5.1.mkv": Clip(options=X264, sound="ac3", sound_rate=48_000, layout="5.1"),
    "h264-late-sound.mp4": Clip(options=X264, sound_start=0.2, sound_rate=44_100),
    "h264-silent.mp4": Clip(options=X264, sound=None),
    # other codecs
    "hevc.mp4": Clip("libx265", options={"x265-params": "keyint=8:bframes=3:log-level=none"}),
    "hevc-yuv420p10.mkv": Clip("libx265", "yuv420p10le", options={"x265-params": "log-level=none"}, matrix="bt709"),
    "vp8.webm": Clip("libvpx", options={"g": "8", "crf": "20"}, sound="libopus", sound_rate=48_000, layout="stereo"),
    "vp9.webm": Clip("libvpx-vp9", options={"g": "8", "crf": "20"}, sound="libopus", sound_rate=48_000),
    "av1.mp4": Clip("libsvtav1", options={"g": "8", "preset": "10", "svtav1-params": "lp=1"}),
    "mpeg4.avi": Clip("mpeg4", options={"g": "8", "bf": "2"}, sound="libmp3lame", sound_rate=44_100),
    "mpeg4-odd-size.mp4": Clip("mpeg4", options={"g": "8"}, size=(63, 47)),
    "mpeg2-interlaced.mpg": Clip("mpeg2video", options={"flags": "+ildct+ilme"}, sound="mp2", sound_rate=48_000),
    "mpeg1.mpg": Clip("mpeg1video", options={"bf": "2"}, sound="mp2", sound_rate=44_100),
    "mjpeg.avi": Clip("mjpeg", "yuvj420p", levels="full", sound="pcm_u8", sound_rate=11_025),
    "wmv2.wmv": Clip("wmv2", sound="wmav2", sound_rate=44_100, layout="stereo"),
    "flv1.flv": Clip("flv", sound="adpcm_swf", sound_rate=22_050),
    "h263.3gp": Clip("h263", size=(128, 96), sound="libopencore_amrnb", sound_rate=8_000),
    "prores.mov": Clip("prores_ks", "yuv422p10le", size=(32, 24), sound="pcm_s24le", sound_rate=8_000),
    "ffv1-odd-size.mkv": Clip("ffv1", size=(31, 23), sound="flac", sound_rate=48_000),
    "rgb.avi": Clip("rawvideo", "bgr24", size=(24, 18), sound="pcm_mulaw", sound_rate=8_000),
    "rgba.mov": Clip("qtrle", "argb", size=(24, 18), sound="pcm_alaw", sound_rate=8_000),
}


def picture(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth colours that move from frame to frame, and one edge, uint8 [height, width, 3]."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width] / max(size)
    shift = index / N_FRAMES
    rgb = np.stack([30 + 190 * (x + shift) % 200, 220 - 180 * y, 60 + 150 * (x + y) / 2], axis=-1)
    rgb[:, int(width * shift) :] += 20
    return rgb.round().clip(0, 255).astype(np.uint8)


def waveform(n_samples: int) -> NDArray[np.float32]:
    """A tone that rises from 200 Hz and gets louder, float32 [n_samples] at 16 kHz."""
    seconds = np.arange(n_samples) / SOUND_RATE
    return ((0.2 + 0.6 * seconds) * np.sin(2 * np.pi * (200 + 600 * seconds) * seconds)).astype(np.float32)


def write(path: Path, clip: Clip) -> None:
    """Make one clip; the container follows from the name."""
    time_base = Fraction(1, FRAME_RATE) if path.suffix in (".avi", ".mpg") else Fraction(1, 12_800)
    (space, space_number), (range_, range_number) = MATRICES[clip.matrix], RANGES[clip.levels]
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(clip.codec, rate=FRAME_RATE)
        stream.width, stream.height = clip.size
        stream.pix_fmt, stream.codec_context.time_base, stream.options = clip.pixels, time_base, clip.options
        stream.codec_context.thread_count = 1
        stream.codec_context.colorspace, stream.codec_context.color_range = space_number, range_number
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        sound = clip.sound and container.add_stream(clip.sound, rate=clip.sound_rate, layout=clip.layout)
        if sound:
            sound.codec_context.bit_rate = 64_000
        for index, tick in enumerate(clip.ticks):
            frame = av.VideoFrame.from_ndarray(picture(index, clip.size), format="rgb24").reformat(
                format=clip.pixels, dst_colorspace=space, dst_color_range=range_
            )
            frame.pts, frame.time_base = round(Fraction(tick, FRAME_RATE) / time_base), time_base
            frame.colorspace, frame.color_range = space_number, range_number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound:
            _write_sound(container, sound, clip)


def _write_sound(container: av.container.OutputContainer, stream: av.AudioStream, clip: Clip) -> None:
    # Pictures with negative times are cut away, so sound begins at zero.
    n_samples = round((clip.ticks[-1] + 1 - max(clip.ticks[0], 0)) * SOUND_RATE / FRAME_RATE)
    start = round(clip.sound_start * clip.sound_rate)
    frame = av.AudioFrame.from_ndarray(waveform(n_samples)[None], format="flt", layout="mono")
    frame.sample_rate = SOUND_RATE
    codec = stream.codec_context
    resampler = av.AudioResampler(
        format=codec.format, layout=codec.layout, rate=codec.rate, frame_size=codec.frame_size
    )
    for ready in (*resampler.resample(frame), *resampler.resample(None)):
        ready.pts, start, ready.time_base = start, start + ready.samples, Fraction(1, clip.sound_rate)
        container.mux(stream.encode(ready))
    container.mux(stream.encode())
