"""torchcodec on the CPU, used only where its pictures equal PyAV's. Optional: ``pip install '.[torchcodec]'``.

It decodes with the system's FFmpeg and has its own conversion from YUV to RGB. The golden clips (``tests/golden``) are
of the kinds whose pictures equal PyAV's; every other kind is refused, and PyAV reads it. On a GPU torchcodec gives
other pictures, whose features would need a recipe of their own, so it is never used there.
"""

import importlib.util
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from avadclip.errors import MediaError
from avadclip.media.container import open_media
from avadclip.media.probe import VideoInfo
from avadclip.pulse import beat

# The kinds of the golden clips. Containers are limited also because torchcodec, unlike PyAV here, follows playlists.
_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv", "mpegts"}
# Not among them: HEVC, whose pictures may be interlaced without a header that says so; VP8 and AV1, whose damage
# another FFmpeg decodes differently; and old codecs, for which damage was not examined.
_CODECS = {"h264", "vp9"}
_PIXELS = {"yuv420p", "yuvj420p", "yuv422p", "yuv444p"}
_PROGRESSIVE = {0, 1}  # FFmpeg's AV_FIELD_UNKNOWN, which codecs without fields have, and AV_FIELD_PROGRESSIVE


def torchcodec_available() -> bool:
    """Whether torchcodec is installed; whether it finds an FFmpeg is known when a video is opened."""
    return importlib.util.find_spec("torchcodec") is not None


class TorchcodecReader:
    """Frames of one video through torchcodec, in ascending order."""

    def __init__(self, path: Path, info: VideoInfo, decoder: Any) -> None:
        self._path, self._info, self._decoder = path, info, decoder

    def batch(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames `indices`, uint8 [n, height, width, 3].

        Raises
        ------
        MediaError : a frame cannot be decoded, or its time is not that of the container.
        """
        return np.stack([self._frame(index) for index in indices.tolist()])

    def _frame(self, index: int) -> NDArray[np.uint8]:
        try:
            frame = self._decoder.get_frame_at(index)
        except Exception as error:  # a RuntimeError of C++, an IndexError, a ValueError
            raise MediaError(f"{self._path}: torchcodec: {_first_line(error)}; use the PyAV decoder") from error
        rgb: NDArray[np.uint8] = frame.data.numpy()
        expected = (self._info.height, self._info.width, 3)
        if rgb.shape != expected:
            raise MediaError(f"{self._path}: torchcodec gives {rgb.shape}, expected {expected}; use the PyAV decoder")
        off = abs(frame.pts_seconds - float(self._info.frame_seconds[index]))
        if not off <= 0.5 / self._info.frame_rate:
            raise MediaError(f"{self._path}: torchcodec's frame {index} is off by {off:.3g} s; use the PyAV decoder")
        beat()
        return rgb


def open_torchcodec(path: Path, info: VideoInfo, n_threads: int) -> TorchcodecReader:
    """Open a video with torchcodec, if it is of a kind whose pictures equal PyAV's.

    Raises
    ------
    MediaError : torchcodec is not installed, finds no FFmpeg, or cannot open the file; no golden clip is of its kind;
        not all timestamps and packets are used as stored; or torchcodec counts another number of frames.

    Notes
    -----
    Whether pictures are interlaced is checked at the beginning of a stream only: a later change is not refused.
    """
    if not torchcodec_available():
        raise MediaError(f"{path}: torchcodec is not installed (pip install '.[torchcodec]'); use the PyAV decoder")
    if (kind := _unknown_kind(path, info)) is not None:
        raise MediaError(f"{path}: {kind}, for which torchcodec may give other pictures than PyAV; use PyAV")
    if not info.is_stamped or info.picture.stamps is not None or info.picture.first_packet:
        raise MediaError(
            f"{path}: not all of its packets and timestamps can be used, and torchcodec uses them all; use PyAV"
        )
    try:
        decoder = import_module("torchcodec.decoders").VideoDecoder(
            str(path.absolute()),
            stream_index=info.picture.stream_index,
            dimension_order="NHWC",
            num_ffmpeg_threads=n_threads,
            device="cpu",
        )
    except Exception as error:  # OSError and RuntimeError without FFmpeg; ValueError and RuntimeError of the file
        raise MediaError(f"{path}: torchcodec cannot open it: {_first_line(error)}; use the PyAV decoder") from error
    if len(decoder) != info.n_frames:
        raise MediaError(f"{path}: torchcodec finds {len(decoder)} frames, the container has {info.n_frames}; use PyAV")
    return TorchcodecReader(path, info, decoder)


def _unknown_kind(path: Path, info: VideoInfo) -> str | None:
    """The property of this file that no golden clip has, or None."""
    with open_media(path) as container:
        stream = container.streams[info.picture.stream_index]
        assert isinstance(stream, VideoStream)
        codec = stream.codec_context
        if container.format.name not in _CONTAINERS:
            return f"read as {container.format.name}"
        if codec.name not in _CODECS:
            return f"coded as {codec.name}"
        if codec.pix_fmt not in _PIXELS:
            return f"pixels of {codec.pix_fmt}"
        if codec.field_order not in _PROGRESSIVE:
            return "interlaced"
        if codec.width % 2 or codec.height % 2:
            return f"pictures of {codec.width} x {codec.height}, which is odd"
    return None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
