"""Sampled frames of a video in presentation order, read with decord, torchcodec or PyAV, in small batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from avadclip.errors import MediaError
from avadclip.media.container import decode_pictures, open_media
from avadclip.media.decord_reader import DecordReader, open_decord
from avadclip.media.probe import VideoInfo
from avadclip.media.torchcodec_reader import TorchcodecReader, open_torchcodec

Decoder = Literal["decord", "torchcodec", "pyav"]

# Frames in memory at a time: a batch of at most this many bytes (but at least one frame), whatever the video's length.
_BATCH_BYTES = 16 * 2**20
_BATCH_FRAMES = 16
# Wanted frames that a damaged file may lack: 1% or this many, but always less than half of them.
_MISSING_SHARE = 0.01
_MISSING_FRAMES = 2


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Some consecutive sampled frames."""

    rgb: NDArray[np.uint8]  # [n, height, width, 3], 0..255, rotated as the file says
    indices: NDArray[np.int64]  # [n], source frames
    seconds: NDArray[np.float64]  # [n], presentation times on the container's clock


def decode_frames(
    path: Path, info: VideoInfo, indices: NDArray[np.int64], decoder: Decoder, *, n_threads: int = 0
) -> Iterator[FrameBatch]:
    """Decode the frames `indices` of a video.

    Parameters
    ----------
    path, info : the file, and what :func:`avadclip.media.probe.probe` found in it.
    indices : int64 [n], source frames, strictly ascending.
    decoder : ``decord`` or ``torchcodec``, or ``pyav`` if that raises (on opening or later; then start again).
    n_threads : decoding threads; 0 leaves it to the decoder.

    Yields
    ------
    FrameBatch : all of `indices` in order, a few frames at a time.

    Raises
    ------
    ValueError : `indices` are not strictly ascending, or outside the video.
    MediaError : decord or torchcodec disagrees with the container about frames or times, meets a damaged frame, or is
        not trusted with this kind of file; or PyAV finds more than 1% (at least 2) of the wanted frames missing.

    Notes
    -----
    If PyAV finds a few wanted frames missing, each is replaced by the nearest earlier frame that could be decoded.
    """
    indices = np.asarray(indices, dtype=np.int64)
    if indices.ndim != 1 or np.any(np.diff(indices) <= 0):
        raise ValueError("indices must be one-dimensional and strictly ascending")
    if indices.size and (indices[0] < 0 or indices[-1] >= info.n_frames):
        raise ValueError(f"indices must lie in 0..{info.n_frames - 1}, found {indices[0]}..{indices[-1]}")
    if not indices.size:
        return iter(())
    match decoder:
        case "decord":
            return _read(lambda: open_decord(path, info, indices, n_threads), info, indices)
        case "torchcodec":
            return _read(lambda: open_torchcodec(path, info, n_threads), info, indices)
        case "pyav":
            return _decode_pyav(path, info, indices, n_threads)


def _batch_size(info: VideoInfo) -> int:
    return int(np.clip(_BATCH_BYTES // (info.width * info.height * 3), 1, _BATCH_FRAMES))


def _read(
    open_: Callable[[], DecordReader | TorchcodecReader], info: VideoInfo, indices: NDArray[np.int64]
) -> Iterator[FrameBatch]:
    reader = open_()
    for first in range(0, len(indices), _batch_size(info)):
        chunk = indices[first : first + _batch_size(info)]
        yield FrameBatch(rgb=reader.batch(chunk), indices=chunk, seconds=info.frame_seconds[chunk])


def _decode_pyav(path: Path, info: VideoInfo, indices: NDArray[np.int64], n_threads: int) -> Iterator[FrameBatch]:
    pictures: list[NDArray[np.uint8]] = []
    done = 0
    for picture in _wanted_pictures(path, info, indices, n_threads):
        pictures.append(_to_rgb(path, picture, info))
        if len(pictures) == _batch_size(info) or done + len(pictures) == len(indices):
            chunk = indices[done : done + len(pictures)]
            rgb = np.stack(pictures) if len(pictures) > 1 else pictures[0][np.newaxis]  # a large one is not copied
            yield FrameBatch(rgb=rgb, indices=chunk, seconds=info.frame_seconds[chunk])
            done += len(pictures)
            pictures.clear()


def _wanted_pictures(path: Path, info: VideoInfo, indices: NDArray[np.int64], n_threads: int) -> Iterator[VideoFrame]:
    """One picture for each index: itself, or a neighbour within the tolerance for missing frames."""
    n_wanted, n_given, n_missing = len(indices), 0, 0
    tolerance = min(max(_MISSING_FRAMES, int(_MISSING_SHARE * n_wanted)), (n_wanted - 1) // 2)
    earlier: VideoFrame | None = None
    for index, picture in _indexed_pictures(path, info, n_threads):
        while n_given < n_wanted and indices[n_given] < index:
            n_missing += 1
            n_given += 1
            # Without an earlier picture the video begins with damage: the first one that can be decoded is used.
            # Beyond the tolerance they are only counted.
            if n_missing <= tolerance:
                yield picture if earlier is None else earlier
        if n_given < n_wanted and indices[n_given] == index:
            n_given += 1
            if n_missing <= tolerance:
                yield picture
        earlier = picture
        # Frames that are identified by counting are only right if all of them could be counted.
        if n_given == n_wanted and info.is_stamped:
            break
    n_missing += n_wanted - n_given
    if n_missing > tolerance or earlier is None:
        raise MediaError(
            f"{path}: decoded length disagrees with the container: {n_missing} of {n_wanted} sampled frames "
            f"cannot be decoded (tolerated: {tolerance}); replace the file or exclude the video"
        )
    for _ in range(n_given, n_wanted):
        yield earlier


def _indexed_pictures(path: Path, info: VideoInfo, n_threads: int) -> Iterator[tuple[int, VideoFrame]]:
    """All decoded pictures with their source frame index, ascending."""
    latest = -1
    with open_media(path) as container:
        for position, picture in enumerate(decode_pictures(container, info.picture, n_threads)):
            index = _index_at(info, picture) if info.is_stamped else position
            # A damaged timestamp may be between frames, before one that was already returned, or outside the video.
            if index is not None and latest < index < info.n_frames:
                latest = index
                yield index, picture


def _index_at(info: VideoInfo, picture: VideoFrame) -> int | None:
    """The frame whose presentation time is nearest to this picture's; None if it is not within half a frame."""
    if picture.time is None:
        return None
    after = int(np.searchsorted(info.frame_seconds, picture.time))
    nearest = min(
        (index for index in (after - 1, after) if 0 <= index < info.n_frames),
        key=lambda index: abs(float(info.frame_seconds[index]) - picture.time),
    )
    is_near = abs(float(info.frame_seconds[nearest]) - picture.time) <= 0.5 / info.frame_rate
    return nearest if is_near else None


def _to_rgb(path: Path, picture: VideoFrame, info: VideoInfo) -> NDArray[np.uint8]:
    """uint8 [height, width, 3] as it is shown."""
    stored_width, stored_height = (info.width, info.height) if info.rotation in (0, 180) else (info.height, info.width)
    # A stream may change its size; the size of the first frame is used for all.
    is_resized = (picture.width, picture.height) != (stored_width, stored_height)
    try:
        rgb = picture.to_ndarray(
            format="rgb24",
            width=stored_width,
            height=stored_height,
            # 8 bits are converted with one chroma sample for 2 x 2 pixels, as ffmpeg does; more bits would be blurred.
            interpolation=None if is_resized or picture.format.components[0].bits == 8 else "POINT",
        )
        return np.ascontiguousarray(np.rot90(rgb, k=info.rotation // 90))
    except MemoryError:
        raise MediaError(
            f"{path}: too little memory for pictures of {stored_width} x {stored_height}; convert the file or exclude"
            " the video"
        ) from None
    except FFmpegError as error:  # a colour matrix that there is not, for example
        raise MediaError(
            f"{path}: the colours of a picture cannot be converted ({error.strerror}); replace the file or exclude the"
            " video"
        ) from error
