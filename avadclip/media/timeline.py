"""Which frames stand for which snippets, and when a snippet begins and ends. Needs only numpy."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from avadclip.media.probe import VideoInfo


def n_snippets(n_frames: int, stride: int) -> int:
    """Number of snippets of `stride` frames in a video; the last, partial one counts.

    Raises
    ------
    ValueError : ``n_frames < 1`` or ``stride < 1``.
    """
    if n_frames < 1 or stride < 1:
        raise ValueError(f"n_frames and stride must be at least 1, found {n_frames} and {stride}")
    return -(-n_frames // stride)  # ceil: the last, partial snippet is kept


def sample_indices(n_frames: int, stride: int, frame: Literal["first", "middle"] = "first") -> NDArray[np.int64]:
    """Index of the source frame that stands for each snippet, int64 [n_snippets].

    Snippet i covers the frames [i * stride, min((i + 1) * stride, n_frames)); its middle frame is that range's centre,
    also in the last, partial snippet.
    """
    starts = np.arange(n_snippets(n_frames, stride), dtype=np.int64) * stride
    if frame == "first":
        return starts
    stops = np.minimum(starts + stride, n_frames)
    return (starts + stops) // 2


def spread_indices(n_frames: int, stride: int, n_each: int | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Indices of evenly spaced source frames of each snippet, and which of them is the last of its snippet.

    Parameters
    ----------
    n_each : frames of a snippet, at most all that it covers; None: all. One is the middle frame.

    Returns
    -------
    indices, ends : int64 and bool [n], strictly ascending; as many ends as snippets.
    """
    starts = np.arange(n_snippets(n_frames, stride), dtype=np.int64) * stride
    indices, ends = [], []
    for start, length in zip(starts, np.minimum(stride, n_frames - starts), strict=True):
        n = int(length) if n_each is None else min(n_each, int(length))
        indices.append(start + (2 * np.arange(n) + 1) * length // (2 * n))
        ends.append(np.arange(n) == n - 1)
    return np.concatenate(indices), np.concatenate(ends)


def boundary_seconds(info: VideoInfo, stride: int) -> NDArray[np.float64]:
    """Where snippets begin and end on the container's clock, float64 [n_snippets + 1].

    A snippet begins when its first frame is presented and ends where the next one begins; the last ends with the video.
    """
    n_snippets(info.n_frames, stride)  # refuses a stride below 1
    return np.append(info.frame_seconds[::stride], info.end_seconds)
