"""torchcodec on the CPU: used only where its pictures are PyAV's to the bit. Optional: ``pip install '.[torchcodec]'``.

It decodes with the system's FFmpeg and has its own way from YUV to RGB. The kinds that come out as they do through PyAV
are held by the golden clips (``tests/golden``); every other kind is refused, and PyAV reads it. On a GPU torchcodec
makes other pictures: features of those would need a recipe of their own, so it is never asked for one.
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

# What golden clips hold. Of containers also because torchcodec, unlike PyAV here, follows what a playlist names.
_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv", "mpegts"}
# Not among them: HEVC, whose pictures may be interlaced without a header that says so; VP8 and AV1, of which damage is
# decoded otherwise by another FFmpeg; and old ones, of which nobody has looked at damage.
_CODECS = {"h264", "vp9"}
_PIXELS = {"yuv420p", "yuvj420p", "yuv422p", "yuv444p"}
_PROGRESSIVE = {0, 1}  # FFmpeg's AV_FIELD_UNKNOWN, which codecs without fields have, and AV_FIELD_PROGRESSIVE


def torchcodec_available() -> bool:
    """Whether torchcodec is installed; whether it finds an FFmpeg shows when a video is opened."""
    return importlib.util.find_spec("torchcodec") is not None


class TorchcodecReader:
    """Frames of one video through torchcodec, in ascending order."""

    def __init__(self, path: Path, info: VideoInfo, decoder: Any) -> None:
        self._path, self._info, self._decoder = path, info, decoder

    def batch(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames `indices`, uint8 [n, height, width, 3].

        Raises
        ------
        MediaError : one cannot be decoded, or is not shown when frame k of the container is.
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
    """Open a video with torchcodec, if it is of a kind that comes out as it does through PyAV.

    Raises
    ------
    MediaError : torchcodec is not installed, finds no FFmpeg, or cannot open the file; the kind is none of the golden
        clips; not all stamps and packets are used as they are stored; or torchcodec counts other frames.

    Notes
    -----
    Whether pictures are interlaced is known of the beginning of a stream: one that changes on the way is not refused.
    """
    if not torchcodec_available():
        raise MediaError(f"{path}: torchcodec is not installed (pip install '.[torchcodec]'); use the PyAV decoder")
    if (kind := _unknown_kind(path, info)) is not None:
        raise MediaError(f"{path}: {kind}, which torchcodec may turn into other pictures than PyAV; use PyAV")
    if not info.is_stamped or info.picture.stamps is not None or info.picture.first_packet:
        raise MediaError(
            f"{path}: not all of its packets and stamps can be used, and torchcodec uses them all; use PyAV"
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
        raise MediaError(
            f"{path}: torchcodec finds {len(decoder)} frames, the container holds {info.n_frames}; use PyAV"
        )
    return TorchcodecReader(path, info, decoder)


def _unknown_kind(path: Path, info: VideoInfo) -> str | None:
    """What of this file no golden clip answers for."""
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
