"""Annotated segments -> frames that exist in the video."""

import logging
import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avadclip.datasets.model import Segment, TimedSegment
from avadclip.errors import DatasetError

logger = logging.getLogger(__name__)

# Annotations were made with other decoders and rounded: an end up to one second after the video's is cut, not refused.
TOLERANCE_SECONDS = 1.0
# Times are written as decimals and computed from rational time bases; no two frames are this close to each other.
_SAME_INSTANT_SECONDS = 1e-6


class Timeline(Protocol):
    """When the frames of a video are shown."""

    @property
    def n_frames(self) -> int:
        """Frames of the video."""

    @property
    def frame_rate(self) -> float:
        """Mean frames per second."""

    @property
    def frame_seconds(self) -> NDArray[np.float64] | None:
        """[n_frames], ascending: when each frame is presented; None if it was not asked for."""

    @property
    def end_seconds(self) -> float:
        """When the last frame ends."""


def fit(segment: Segment | TimedSegment, timeline: Timeline, n_unknown_frames: int = 0) -> Segment:
    """The frames of a segment, cut to the video.

    Seconds count from the first frame. A frame is shown until the next one, so [start, end) seconds are all frames that
    are shown at some moment in between, whatever the frame rate is.

    Parameters
    ----------
    n_unknown_frames : the video may have as many frames more than the timeline knows.

    Raises
    ------
    DatasetError : the segment starts after the video's end, or ends more than a second and the unknown frames after it.
    """
    if isinstance(segment, TimedSegment):
        return _fit_seconds(segment, timeline, n_unknown_frames / timeline.frame_rate)
    n_frames = timeline.n_frames
    n_beyond = segment.end_frame - n_frames
    n_tolerated = math.ceil(TOLERANCE_SECONDS * timeline.frame_rate) + n_unknown_frames
    if segment.start_frame >= n_frames or n_beyond > n_tolerated:
        span = f"frames {segment.start_frame} to {segment.end_frame}"
        in_unknown = segment.start_frame - n_frames < n_unknown_frames and n_beyond <= n_tolerated
        raise DatasetError(_outside(segment, span, f"{n_frames} frames", in_unknown))
    if n_beyond > 0:
        logger.info("%s: a segment ends at frame %d, cut to %d", segment.id, segment.end_frame, n_frames)
    return Segment(segment.id, segment.label, segment.start_frame, min(segment.end_frame, n_frames))


def _fit_seconds(segment: TimedSegment, timeline: Timeline, unknown_seconds: float) -> Segment:
    if timeline.frame_seconds is None:
        raise ValueError(f"{segment.id}: a segment in seconds needs the times of the frames")
    shown_from = timeline.frame_seconds - timeline.frame_seconds[0]
    duration = timeline.end_seconds - float(timeline.frame_seconds[0])
    shown_until = np.append(shown_from[1:], duration)
    latest = duration + unknown_seconds + TOLERANCE_SECONDS
    if segment.start_seconds >= duration - _SAME_INSTANT_SECONDS or segment.end_seconds > latest:
        span = f"{segment.start_seconds} s to {segment.end_seconds} s"
        in_unknown = segment.start_seconds < duration + unknown_seconds and segment.end_seconds <= latest
        raise DatasetError(_outside(segment, span, f"{duration:.3f} s", in_unknown and unknown_seconds > 0))
    if segment.end_seconds > duration + _SAME_INSTANT_SECONDS:
        logger.info("%s: a segment ends at %s s, cut to %.3f s", segment.id, segment.end_seconds, duration)
    start_frame = int(np.searchsorted(shown_until, segment.start_seconds + _SAME_INSTANT_SECONDS, side="right"))
    end_frame = int(np.searchsorted(shown_from, segment.end_seconds - _SAME_INSTANT_SECONDS, side="left"))
    return Segment(segment.id, segment.label, start_frame, max(end_frame, start_frame + 1))


def _outside(segment: Segment | TimedSegment, span: str, length: str, in_unknown: bool) -> str:
    if in_unknown:
        return (
            f"annotated {segment.label} from {span}, but the last whole snippet ends at {length}: nothing is known of"
            " what follows, so remove the segment"
        )
    return (
        f"annotated {segment.label} from {span}, but the video has only {length}: "
        "the video is cut short, or the annotation belongs to another version of it"
    )
