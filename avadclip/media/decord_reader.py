"""Reading with decord, but only where it agrees with the container about frames and their times."""

import importlib.util
import multiprocessing
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip.errors import MediaError
from avadclip.media.probe import VideoInfo
from avadclip.pulse import beat

# decord replaces a frame that it cannot decode by a neighbour and counts it. Its limit is a share of the frames if it
# is between 0 and 1, so this means: not a single one.
_NO_REPLACED_FRAMES = 1e-9
# While decord waits for its first frame it reads on, up to the end of the file if decoding is slower than reading, and
# decodes all of that whether it is wanted or not. So that a worker stays below 600 MiB however slow its encoder is,
# decord reads only videos whose frames fit into memory as RGB; PyAV reads longer ones.
_MAX_FILE_BYTES = 128 * 2**20
_MAX_RGB_BYTES = 500 * 2**20


def decord_available() -> bool:
    """Whether decord is installed; it has no wheels for ARM and macOS."""
    return importlib.util.find_spec("decord") is not None


class DecordReader:
    """Frames of one video through decord, in ascending order."""

    def __init__(self, path: Path, info: VideoInfo, reader: Any) -> None:
        self._path = path
        self._shape = (info.height, info.width, 3)
        self._reader = reader
        self._key_indices = np.asarray(reader.get_key_indices(), dtype=np.int64)
        self._next_index = 0

    def batch(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames `indices`, uint8 [n, height, width, 3], all after those given before; MediaError if one is damaged."""
        try:
            frames = np.stack([self._frame(index) for index in indices.tolist()])
        except Exception as error:  # decord's errors have no base class of their own
            raise MediaError(f"{self._path}: decord: {_first_line(error)}; use the PyAV decoder") from error
        if frames.shape[1:] != self._shape:
            raise MediaError(
                f"{self._path}: decord gives {frames.shape[1:]}, expected {self._shape}; use the PyAV decoder"
            )
        return frames

    def _frame(self, index: int) -> NDArray[np.uint8]:
        # `get_batch`, and `skip_frames` across a key frame, seek; where seeking is not exact (ASF), they silently
        # return another frame. So skip only up to a key frame, and step over the frame before it.
        is_crossed = (self._key_indices > self._next_index) & (self._key_indices <= index)
        for key_index in self._key_indices[is_crossed].tolist():
            self._skip_to(key_index - 1)
            self._reader.next()
            self._next_index = key_index
        self._skip_to(index)
        self._next_index = index + 1
        frame: NDArray[np.uint8] = self._reader.next().asnumpy()
        beat()
        return frame

    def _skip_to(self, index: int) -> None:
        if index > self._next_index:
            self._reader.skip_frames(index - self._next_index)
            beat()
            self._next_index = index


def open_decord(path: Path, info: VideoInfo, indices: NDArray[np.int64], n_threads: int) -> DecordReader:
    """Open a video with decord and compare it with what the container contains.

    Raises
    ------
    MediaError : decord is not installed or cannot open the file, the file is large or has many large frames, the video
        is rotated, its clock had to be corrected, or it begins inside a group of pictures; or decord's frame count, or
        its times of the frames `indices` (by more than half a frame), differ from those of the container.
    """
    if not decord_available():
        raise MediaError(f"{path}: decord is not installed; use the PyAV decoder")
    if info.rotation:
        raise MediaError(f"{path}: rotated by {info.rotation} degrees, which decord ignores; use the PyAV decoder")
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise MediaError(f"{path}: more than {_MAX_FILE_BYTES >> 20} MiB, which decord would keep in memory; use PyAV")
    if info.n_frames * info.width * info.height * 3 > _MAX_RGB_BYTES:
        raise MediaError(f"{path}: frames of more than {_MAX_RGB_BYTES >> 20} MiB, which decord would keep; use PyAV")
    if info.picture.stamps is not None or info.picture.first_packet:
        raise MediaError(
            f"{path}: not all of its packets and timestamps can be used, and decord uses them all; use PyAV"
        )
    decord = import_decord()
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=n_threads, fault_tol=_NO_REPLACED_FRAMES)
        seconds = reader.get_frame_timestamp(indices)[:, 0].astype(np.float64)
        first_seconds = float(reader.get_frame_timestamp(0)[0])
    except Exception as error:  # decord's errors have no base class of their own
        raise MediaError(f"{path}: decord cannot open it: {_first_line(error)}; use the PyAV decoder") from error
    if len(reader) != info.n_frames:
        raise MediaError(f"{path}: decord finds {len(reader)} frames, the container has {info.n_frames}; use PyAV")
    # decord's clock begins with the stream, the container's wherever its muxer started it.
    expected = info.frame_seconds[indices] - info.frame_seconds[0]
    deviation = float(np.max(np.abs(seconds - first_seconds - expected), initial=0.0))
    if not deviation <= 0.5 / info.frame_rate:
        raise MediaError(f"{path}: decord's times are off by {deviation:.3g} s; use the PyAV decoder")
    return DecordReader(path, info, reader)


def import_decord() -> Any:
    """Import decord; first torch, which may crash if it is imported after decord.

    Not torch in decode workers, which do not use it: it would be most of their starting time.
    """
    if multiprocessing.parent_process() is None:
        import_module("torch")
    return import_module("decord")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
