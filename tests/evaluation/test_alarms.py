"""The operating point, counted by hand and frame by frame."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from avadclip.config.evaluation import Alarms, Evaluate
from avadclip.datasets.model import Segment
from avadclip.evaluation import alarms, timeline
from tests.support.evaluation_factory import FRAME_RATE, Case, make_case, make_scores, make_video

CLASSES = ("normal", "fighting", "riot")


def operating_point(case: Case, threshold: float, **rule: float) -> SimpleNamespace:
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    settings = Evaluate(alarm_threshold=threshold, alarm_branch="classification", alarms=Alarms(**rule))
    counted = alarms.tally(joined, alarms.alarmed_snippets(joined, settings, stride=4))
    rates = alarms.operating_point(counted, np.ones((1, len(joined.videos))))
    return SimpleNamespace(**{name: float(value[0]) for name, value in vars(rates).items()})


def make_alarm_case(loud: set[int]) -> Case:
    """Video a: 40 frames with events [8, 16) and [20, 30); video b: 40 normal frames. `loud` are the snippets with high
    scores, counted through a and then b; each has 4 frames."""
    videos = (make_video("a", 40, ["fighting", "riot"]), make_video("b", 40, ["normal"]))
    # Two classes at once are one event.
    segments = (Segment("a", "fighting", 8, 16), Segment("a", "riot", 20, 28), Segment("a", "fighting", 24, 30))
    scores = make_scores(videos, CLASSES, 4, np.random.default_rng(0))
    confidence = np.array([0.9 if index in loud else 0.1 for index in range(20)], np.float32)
    return Case(videos, segments, replace(scores, anomaly_confidence=confidence), CLASSES)


def test_counted_by_hand() -> None:
    # Video a: snippet 3 = frames 12-15, in the first event; snippet 8 = frames 32-35, outside. Video b: two alarms.
    point = operating_point(make_alarm_case({3, 8, 10, 11, 14}), 0.5)
    normal_hours = 40 / FRAME_RATE / 3600
    assert point.precision == 4 / 20
    assert point.recall == 4 / 18
    assert point.f1 == pytest.approx(2 * 4 / (20 + 18), rel=1e-15)  # one division instead of three
    assert point.caught_events == 1 / 2
    assert point.delay_seconds == 4 / FRAME_RATE
    assert point.false_alarms_per_hour == 2 / normal_hours


@pytest.mark.parametrize(
    ("loud", "caught", "delay_frames"),
    [
        ({2}, 0.5, 0),  # begins with the event
        ({1, 2}, 0.5, 0),  # is on already
        ({1}, 0.0, None),  # ends where the event begins
        ({4}, 0.0, None),  # begins where the event ends
        ({7}, 0.5, 8),  # covers the last two frames of the second event
        ({3, 5}, 1.0, 2),  # delays 4 and 0
    ],
)
def test_events_caught_and_delay(loud: set[int], caught: float, delay_frames: int | None) -> None:
    point = operating_point(make_alarm_case(loud), 0.5)
    assert point.caught_events == caught
    if delay_frames is None:
        assert np.isnan(point.delay_seconds)
    else:
        assert point.delay_seconds == pytest.approx(delay_frames / FRAME_RATE, rel=1e-15)


def test_an_alarm_in_an_earlier_video_catches_no_event() -> None:
    case = make_alarm_case({2})
    segments = (Segment("b", "fighting", 8, 16),)
    videos = (make_video("a", 40, ["normal"]), make_video("b", 40, ["fighting"]))
    assert operating_point(replace(case, videos=videos, segments=segments), 0.5).caught_events == 0


def test_the_branch_that_raises_alarms_is_that_of_the_settings() -> None:
    case = make_alarm_case({2})
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    found = alarms.alarmed_snippets(joined, Evaluate(alarm_threshold=0.5, alarm_branch="alignment"), stride=4)
    assert found.tolist() == (joined.branches["alignment"] >= 0.5).tolist()


def test_threshold_is_reached_not_passed() -> None:
    case = make_alarm_case({3})
    assert operating_point(case, float(np.float32(0.9))).caught_events == 0.5
    assert operating_point(case, 0.91).caught_events == 0


def test_alarm_at_the_end_of_one_video_and_the_start_of_the_next_are_two() -> None:
    case = make_alarm_case({9, 10})
    assert operating_point(case, 0.5).false_alarms_per_hour == pytest.approx(FRAME_RATE * 3600 / 40, rel=1e-15)


def test_silence_has_no_precision() -> None:
    point = operating_point(make_alarm_case(set()), 0.5)
    assert np.isnan(point.precision)
    assert (point.recall, point.f1, point.false_alarms_per_hour, point.caught_events) == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_frames_equal_counting_them(seed: int) -> None:
    case = make_case(np.random.default_rng(seed), stride=5)
    point = operating_point(case, 0.4)
    true = false = missed = 0
    for index, video in enumerate(case.videos):
        for frame in range(video.n_frames):
            alarmed = case.scores.anomaly_confidence[case.scores.first_snippet[index] + frame // 5] >= 0.4
            anomalous = any(s.id == video.id and s.start_frame <= frame < s.end_frame for s in case.segments)
            true += alarmed and anomalous
            false += alarmed and not anomalous
            missed += anomalous and not alarmed
    assert (point.precision, point.recall) == pytest.approx((true / (true + false), true / (true + missed)), rel=1e-15)


def test_the_rule_is_applied_to_each_video_alone() -> None:
    """A gap of one snippet is bridged within a video; an alarm is too short even if the next video starts with one."""
    case = make_alarm_case({2, 4, 9, 10, 14, 16})
    bridged = operating_point(case, 0.5, bridge_seconds=4 / FRAME_RATE)
    assert (bridged.caught_events, bridged.false_alarms_per_hour) == (1 / 2, 2 / (40 / FRAME_RATE / 3600))
    long_ones = operating_point(case, 0.5, bridge_seconds=4 / FRAME_RATE, shortest_seconds=9 / FRAME_RATE)
    assert (long_ones.caught_events, long_ones.false_alarms_per_hour) == (1 / 2, 1 / (40 / FRAME_RATE / 3600))
    assert long_ones.recall == 8 / 18  # the alarm covers frames 8-19 of video a; the first eight are an event
