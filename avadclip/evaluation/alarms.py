"""The operating point: what the alarms of a detector catch and what they cost."""

from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Evaluate
from avadclip.evaluation.alarm_rule import AlarmRule
from avadclip.evaluation.timeline import Timeline


@dataclass(frozen=True)
class Tally:
    """Counts of each video; all arrays are float64 [videos] and add up over videos.

    An event is a stretch of anomalous frames that no normal frame interrupts. It is caught if an alarm is on in any of
    its frames; the delay runs from its first frame to the first frame with an alarm.
    """

    true_frames: NDArray[np.float64]  # anomalous and alarmed
    false_frames: NDArray[np.float64]  # normal and alarmed
    missed_frames: NDArray[np.float64]  # anomalous and not alarmed
    false_alarms: NDArray[np.float64]  # uninterrupted alarms in normal videos
    normal_seconds: NDArray[np.float64]  # length of normal videos
    events: NDArray[np.float64]
    caught_events: NDArray[np.float64]
    delay_seconds: NDArray[np.float64]  # of the caught events, summed


@dataclass(frozen=True)
class OperatingPoint:
    """Shares in 0..1; NaN where there is nothing to divide by; all arrays are float64 [weightings]."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    false_alarms_per_hour: NDArray[np.float64]  # of normal video
    caught_events: NDArray[np.float64]  # share of the anomalous events
    delay_seconds: NDArray[np.float64]  # mean over the caught events


def alarmed_snippets(timeline: Timeline, settings: Evaluate, stride: int) -> NDArray[np.bool_]:
    """Where an alarm is on [snippets], by the branch that raises alarms, or the only branch that a detector has."""
    scores, bounds = timeline.alarm_scores(settings.alarm_branch), pairwise(timeline.first_snippet.tolist())
    rules = [AlarmRule.of(settings.alarms, stride, video.frame_rate) for video in timeline.videos]
    of_videos = [
        rule.alarmed(scores[first:end], [settings.level])[0] for rule, (first, end) in zip(rules, bounds, strict=True)
    ]
    return np.concatenate([np.zeros(0, bool), *of_videos])


def tally(timeline: Timeline, alarmed: NDArray[np.bool_]) -> Tally:
    """Count what the alarms catch; `alarmed` is from :func:`alarmed_snippets`."""
    n_videos = len(timeline.videos)
    inside = timeline.frames_inside(timeline.anomalous)

    def per_video(values: NDArray[np.int64]) -> NDArray[np.float64]:
        return _add_up(timeline.video, values, n_videos)

    is_normal = np.array([video.is_normal for video in timeline.videos])
    begins = alarmed.copy()
    begins[1:] &= ~alarmed[:-1]
    begins[timeline.first_snippet[:-1]] = alarmed[timeline.first_snippet[:-1]]
    seconds = np.array([video.n_frames / video.frame_rate for video in timeline.videos])
    caught, delay = _events(timeline, alarmed)
    event_video = timeline.anomalous.video
    return Tally(
        true_frames=per_video(inside * alarmed),
        false_frames=per_video((timeline.frames - inside) * alarmed),
        missed_frames=per_video(inside * ~alarmed),
        false_alarms=per_video(begins.astype(np.int64)) * is_normal,
        normal_seconds=seconds * is_normal,
        events=np.bincount(event_video, minlength=n_videos).astype(np.float64),
        caught_events=_add_up(event_video, caught, n_videos),
        delay_seconds=_add_up(event_video, delay, n_videos),
    )


def operating_point(counted: Tally, weights: NDArray[np.float64]) -> OperatingPoint:
    """The rates of a tally under each row of `weights` [weightings, videos]."""
    total = {field.name: weights @ getattr(counted, field.name) for field in fields(Tally)}
    true, false, missed = total["true_frames"], total["false_frames"], total["missed_frames"]
    # Where no frame is known to be anomalous, nothing can be said of any alarm being right.
    is_known = true + missed > 0
    return OperatingPoint(
        precision=ratio(true, is_known * (true + false)),
        recall=ratio(true, true + missed),
        f1=ratio(2 * true, is_known * (2 * true + false + missed)),
        false_alarms_per_hour=ratio(total["false_alarms"], total["normal_seconds"] / 3600),
        caught_events=ratio(total["caught_events"], total["events"]),
        delay_seconds=ratio(total["delay_seconds"], total["caught_events"]),
    )


def _events(timeline: Timeline, alarmed: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whether each event is caught, and its delay in seconds, 0 if it is not [events]."""
    events = timeline.anomalous
    caught, delay = np.zeros(len(events)), np.zeros(len(events))
    for index, (video, start, end) in enumerate(
        zip(events.video.tolist(), events.start_frame.tolist(), events.end_frame.tolist(), strict=True)
    ):
        snippets = slice(timeline.first_snippet[video], timeline.first_snippet[video + 1])
        start_frame = timeline.start_frame[snippets]
        last_frame = start_frame + timeline.frames[snippets]
        heard = np.flatnonzero(alarmed[snippets] & (start_frame < end) & (last_frame > start))
        if len(heard):
            caught[index] = 1
            delay[index] = max(0, start_frame[heard[0]] - start) / timeline.videos[video].frame_rate
    return caught, delay


def _add_up(video: NDArray[Any], values: NDArray[Any], n_videos: int) -> NDArray[np.float64]:
    return np.bincount(video, values, n_videos).astype(np.float64)


def ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient, element by element; NaN where the denominator is 0."""
    ratio = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio
