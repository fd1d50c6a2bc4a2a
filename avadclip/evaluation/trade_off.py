"""The results at each threshold: events caught against false alarms per hour of normal video."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd

from avadclip import paths
from avadclip.config.evaluation import Evaluate
from avadclip.errors import EvaluationError
from avadclip.evaluation import resampling
from avadclip.evaluation.alarm_rule import AlarmRule, n_runs
from avadclip.evaluation.alarms import ratio
from avadclip.evaluation.files import read_table
from avadclip.evaluation.resampling import Resampled, Values
from avadclip.evaluation.timeline import Timeline

LEVELS = (*(step / 20 for step in range(1, 20)), 0.97, 0.98, 0.99)
PER_HOUR, CAUGHT = "false_alarms_per_hour", "events_caught"
TABLE = "alarms.csv"  # among the tables of `dvc plots`


@dataclass(frozen=True)
class Counts:
    """Counts at each threshold of `LEVELS`; arrays add up over videos.

    Attributes
    ----------
    false_alarms, caught : float64 [levels, videos]: alarms in normal videos, and events with an alarm.
    normal_hours, events : float64 [videos].
    """

    false_alarms: Values
    caught: Values
    normal_hours: Values
    events: Values

    @classmethod
    def of(cls, timeline: Timeline, settings: Evaluate, stride: int) -> Self:
        """Alarms of every video at every threshold, by the rule of the settings."""
        scores, n_videos = timeline.alarm_scores(settings.alarm_branch), len(timeline.videos)
        false_alarms, caught = np.zeros((2, len(LEVELS), n_videos))
        hours, events = np.zeros((2, n_videos))
        for index, (video, (first, end)) in enumerate(
            zip(timeline.videos, pairwise(timeline.first_snippet.tolist()), strict=True)
        ):
            alarmed = AlarmRule.of(settings.alarms, stride, video.frame_rate).alarmed(scores[first:end], LEVELS)
            if video.is_normal:
                hours[index] = video.n_frames / video.frame_rate / 3600
                false_alarms[:, index] = n_runs(alarmed)
            for start_frame, end_frame in timeline.anomalous.of(index):
                events[index] += 1
                caught[:, index] += alarmed[:, start_frame // stride : -(-end_frame // stride)].any(axis=1)
        return cls(false_alarms, caught, hours, events)

    def rates(self, weights: Values) -> Resampled:
        """Both rates at each threshold under `weights` [resamples, videos], by ``<rate>.<index of the threshold>``."""
        n = weights.shape[0], len(LEVELS)
        hours, events = (np.broadcast_to((weights @ each)[:, None], n) for each in (self.normal_hours, self.events))
        per_hour = ratio(weights @ self.false_alarms.T, hours)
        caught = 100 * ratio(weights @ self.caught.T, events)
        return {
            f"{rate}.{index}": values[:, index]
            for rate, values in ((PER_HOUR, per_hour), (CAUGHT, caught))
            for index in range(len(LEVELS))
        }


def trade_off(timeline: Timeline, settings: Evaluate, stride: int, resamples: int) -> pd.DataFrame:
    """One row per threshold: `level`, both rates (events in percent), and the ends of their intervals over videos.

    Parameters
    ----------
    timeline : of videos whose events are located.
    """
    counts, n_videos = Counts.of(timeline, settings, stride), len(timeline.videos)
    now = counts.rates(np.ones((1, n_videos)))
    ends = resampling.intervals(counts.rates, n_videos, resamples, settings.bootstrap_seed, settings.confidence)
    return pd.DataFrame(
        [
            {
                "level": level,
                **{rate: float(now[f"{rate}.{index}"][0]) for rate in (PER_HOUR, CAUGHT)},
                **{
                    f"{rate}_{end}": ends.get(f"{rate}.{index}", (np.nan, np.nan))[place]
                    for rate in (PER_HOUR, CAUGHT)
                    for place, end in enumerate(("low", "high"))
                },
            }
            for index, level in enumerate(LEVELS)
        ]
    )


def within(table: pd.DataFrame, most_per_hour: float) -> pd.Series | None:
    """The row of the lowest threshold from which on there are at most this many false alarms per hour; None if none.

    A single alarm that never ends is not enough: as in :mod:`avadclip.evaluation.budget`, every higher threshold keeps
    to it too.
    """
    keeps = table[PER_HOUR] <= most_per_hour
    rows = table[keeps[::-1].cummin()[::-1]]
    return None if rows.empty else rows.iloc[0]


def read_rows(dataset: str, detector: str) -> list[tuple[str, str, str]]:
    """Threshold, false alarms per hour and events caught, with their intervals, from what stage ``evaluate`` wrote.

    Raises
    ------
    EvaluationError : the data set has not been evaluated, or not with this detector.
    """
    path = paths.results(dataset) / "plots" / TABLE
    table = read_table(path)
    rows = table[table["detector"] == detector]
    if rows.empty:
        raise EvaluationError(f"{path}: no detector {detector!r}; there are: {', '.join(table['detector'].unique())}")
    return [(f"{row['level']:g}", _cell(row, PER_HOUR), _cell(row, CAUGHT)) for _, row in rows.iterrows()]


def _cell(row: Any, rate: str) -> str:
    if pd.isna(row[rate]):
        return "-"
    low, high = row[f"{rate}_low"], row[f"{rate}_high"]
    return f"{row[rate]:.1f}" + ("" if pd.isna(low) else f" [{low:.1f}, {high:.1f}]")
