"""Segments in frames or seconds become frames of the video, with a loop over frames as the oracle."""

import logging
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from avadclip.datasets.frame_spans import fit
from avadclip.datasets.model import Segment, TimedSegment
from avadclip.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Clip:
    """A timeline."""

    frame_seconds: NDArray[np.float64] | None
    end_seconds: float
    n_frames: int
    frame_rate: float


def clip(frame_seconds: list[float], end_seconds: float) -> Clip:
    seconds = np.array(frame_seconds)
    n_frames = len(seconds)
    return Clip(seconds, end_seconds, n_frames, n_frames / (end_seconds - float(seconds[0])))


CONSTANT = clip([index / 10 for index in range(30)], 3.0)
# 2 s at 10 frames/s, 2 s at 2 frames/s, one frame held for 5 s, 1 s at 30 frames/s; the clock starts at one hour.
VARIABLE = clip(
    [
        3600.0 + t
        for t in [i / 10 for i in range(20)] + [2 + i / 2 for i in range(4)] + [4] + [9 + i / 30 for i in range(30)]
    ],
    3610.0,
)


def frames_shown(timeline: Clip, start_seconds: float, end_seconds: float) -> list[int]:
    """Return the frames that are shown during some part of [start, end), by a plain loop."""
    assert timeline.frame_seconds is not None
    from_seconds = [float(t - timeline.frame_seconds[0]) for t in timeline.frame_seconds]
    until_seconds = [*from_seconds[1:], timeline.end_seconds - float(timeline.frame_seconds[0])]
    return [
        frame
        for frame, (shown, gone) in enumerate(zip(from_seconds, until_seconds, strict=True))
        if shown < end_seconds and gone > start_seconds
    ]


@pytest.mark.parametrize("timeline", [CONSTANT, VARIABLE], ids=["constant", "variable"])
def test_seconds_become_the_frames_that_are_shown_then(timeline: Clip) -> None:
    assert timeline.frame_seconds is not None
    rng = np.random.default_rng(0)
    duration = timeline.end_seconds - float(timeline.frame_seconds[0])
    for start, end in np.sort(rng.uniform(0, duration, (300, 2))).tolist():
        segment = fit(TimedSegment("a", "riot", start, end), timeline)
        frames = frames_shown(timeline, start, end)
        assert (segment.start_frame, segment.end_frame) == (frames[0], frames[-1] + 1)


@pytest.mark.parametrize(
    ("timeline", "seconds", "frames"),
    [
        # 3 / 10 and 0.1 * 3 differ in the last bit; a boundary written as a decimal is meant to be the frame's.
        (CONSTANT, (0.3, 0.7), (3, 7)),
        (CONSTANT, (0.1 * 3, 0.1 * 7), (3, 7)),
        (CONSTANT, (0, 3.0), (0, 30)),
        (CONSTANT, (0.31, 0.32), (3, 4)),
        (CONSTANT, (2.95, 4.0), (29, 30)),
        (VARIABLE, (4.5, 8.5), (24, 25)),
        (VARIABLE, (3.5, 9.0), (23, 25)),
        (VARIABLE, (9.5, 10.0), (40, 55)),
    ],
)
def test_boundaries_in_seconds(timeline: Clip, seconds: tuple[float, float], frames: tuple[int, int]) -> None:
    assert fit(TimedSegment("a", "riot", *seconds), timeline) == Segment("a", "riot", *frames)


def test_frames_stay_as_they_are_and_a_small_overhang_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    assert fit(Segment("a", "riot", 3, 30), CONSTANT) == Segment("a", "riot", 3, 30)
    assert not caplog.messages
    with caplog.at_level(logging.INFO):
        assert fit(Segment("a", "riot", 3, 40), CONSTANT) == Segment("a", "riot", 3, 30)
    assert "a segment ends at frame 40, cut to 30" in caplog.text


@pytest.mark.parametrize(
    ("segment", "found"),
    [
        (Segment("a", "riot", 3, 41), "from frames 3 to 41, but the video has only 30 frames"),
        (Segment("a", "riot", 30, 31), "from frames 30 to 31, but the video has only 30 frames"),
        (TimedSegment("a", "riot", 1.0, 4.1), "from 1.0 s to 4.1 s, but the video has only 3.000 s"),
        (TimedSegment("a", "riot", 3.0, 3.5), "from 3.0 s to 3.5 s, but the video has only 3.000 s"),
    ],
)
def test_a_segment_beyond_the_video_is_refused_with_both_lengths(segment: Segment | TimedSegment, found: str) -> None:
    with pytest.raises(DatasetError, match=found):
        fit(segment, CONSTANT)


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (Segment("a", "riot", 3, 103), Segment("a", "riot", 3, 30)),
        (TimedSegment("a", "riot", 0.3, 10.3), Segment("a", "riot", 3, 30)),
        (Segment("a", "riot", 3, 104), "from frames 3 to 104, but the video has only 30 frames"),
        (TimedSegment("a", "riot", 0.3, 10.4), "from 0.3 s to 10.4 s, but the video has only 3.000 s"),
        (Segment("a", "riot", 30, 93), "the last whole snippet ends at 30 frames: .* remove the segment"),
        (TimedSegment("a", "riot", 3.0, 9.0), "the last whole snippet ends at 3.000 s: .* remove the segment"),
        (Segment("a", "riot", 93, 95), "from frames 93 to 95, but the video has only 30 frames"),
    ],
)
def test_a_video_may_be_longer_than_what_is_known(segment: Segment | TimedSegment, expected: Segment | str) -> None:
    """By less than a snippet of 64 frames, and by the second that is tolerated everywhere."""
    if isinstance(expected, Segment):
        assert fit(segment, CONSTANT, n_unknown_frames=63) == expected
    else:
        with pytest.raises(DatasetError, match=expected):
            fit(segment, CONSTANT, n_unknown_frames=63)
