"""What the page knows about a video: a few facts in the list, and its curves in a file that is loaded when it is shown.

Curves are base64 of little-endian arrays: two hours at one snippet in four frames are 54,000 numbers a curve, which as
text would not fit into 5 MB.
"""

import base64
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from avadclip.errors import ReportError
from avadclip.evaluation.segments import find_alarms
from avadclip.prediction.assembly import UNNAMED
from avadclip.prediction.document import Curve, Prediction

SPARK_BINS = 60  # steps of the small curve in the list
LEVEL_STEPS = 100  # from 0 to 1, of the alarm level that a person drags; as in threshold.js


class Judged(NamedTuple):
    """What the list says of a video at one alarm level; the order is that of list.js.

    Attributes
    ----------
    labels : of its alarms, the one that lasts longest first.
    seconds : of alarm.
    loudest : label, start and end of the alarm with the highest score, in seconds; None without any.
    outcome : how the alarms compare with the ground truth, None where there is none. ``caught``: an alarm meets an
        event; ``missed``: none does; ``false alarm``: there is no event; ``quiet``: neither.
    """

    n_alarms: int
    seconds: float
    labels: list[str]
    loudest: tuple[str, float, float] | None
    outcome: str | None


class _Alarm(NamedTuple):
    label: str
    start: float  # seconds
    end: float
    score: float


def facts(prediction: Prediction) -> dict[str, Any]:
    """One entry of the list; JSON values only."""
    annotated = prediction.annotated
    return {
        "id": prediction.id,
        "path": prediction.path,
        "seconds": round(prediction.duration_seconds, 3),
        "hasAudio": prediction.has_audio,
        "alarm": _digits(prediction.alarm),
        "threshold": prediction.alarm_threshold,
        "annotated": None if annotated is None else sorted({segment.label for segment in annotated}),
        "judged": judge(prediction, prediction.alarm_threshold),
        "levels": [[step, *judged] for step, judged in _levels(prediction)],
        "spark": _spark(prediction.curves[0]),
    }


def judge(prediction: Prediction, level: float) -> Judged:
    """What the deciding curve says at an alarm level."""
    curve, edges = prediction.curves[0], prediction.boundary_seconds
    alarms = [
        _Alarm(
            UNNAMED if alarm.class_index is None else prediction.classes[alarm.class_index],
            float(edges[alarm.first]),
            float(edges[alarm.end]),
            alarm.score,
        )
        for alarm in find_alarms(curve.anomaly, curve.class_probabilities, level)
    ]
    seconds: dict[str, float] = defaultdict(float)
    for alarm in alarms:
        seconds[alarm.label] += alarm.end - alarm.start
    loudest = max(alarms, key=lambda alarm: alarm.score, default=None)
    return Judged(
        n_alarms=len(alarms),
        seconds=round(sum(seconds.values()), 3),
        labels=sorted(seconds, key=lambda label: (-seconds[label], label)),
        loudest=None if loudest is None else (loudest.label, round(loudest.start, 3), round(loudest.end, 3)),
        outcome=_outcome(prediction, alarms),
    )


def _outcome(prediction: Prediction, alarms: Sequence[_Alarm]) -> str | None:
    events = prediction.annotated
    if events is None:
        return None
    if not events:
        return "false alarm" if alarms else "quiet"
    is_met = any(
        alarm.start < event.end_seconds and event.start_seconds < alarm.end for event in events for alarm in alarms
    )
    return "caught" if is_met else "missed"


def _levels(prediction: Prediction) -> Iterator[tuple[int, Judged]]:
    """The levels that a person can drag to, as far as they alarm in other snippets than the level below them."""
    scores = prediction.curves[0].anomaly
    levels = np.arange(LEVEL_STEPS + 1) / LEVEL_STEPS
    # The first level that a score does not reach; in the precision of the scores, as everywhere.
    steps = np.searchsorted(levels.astype(np.float32), scores, side="right")
    for step in sorted({0, *steps.tolist()} - {len(levels)}):
        yield step, judge(prediction, float(levels[step]))


def time_axis(prediction: Prediction) -> tuple[float, float]:
    """First and last moment that the page draws, in seconds."""
    first, last = float(prediction.boundary_seconds[0]), float(prediction.boundary_seconds[-1])
    return min(first, 0.0), max(last, prediction.duration_seconds)


def curves(prediction: Prediction) -> dict[str, Any]:
    """Everything about one video that is drawn; arrays as base64.

    Raises
    ------
    ReportError : more classes than one byte tells apart.
    """
    if len(prediction.classes) > 256:
        raise ReportError(f"{prediction.id}: has {len(prediction.classes)} classes, the page shows at most 256")
    start, end = time_axis(prediction)
    deciding = prediction.curves[0]
    annotated = prediction.annotated
    return {
        "startSeconds": start,
        "endSeconds": end,
        "nFrames": prediction.n_frames,
        "stride": prediction.stride,
        "classes": list(prediction.classes),
        "boundarySeconds": _base64(prediction.boundary_seconds, "<f8"),
        # Names a segment, so it goes in as it is; of the other detectors the most probable class is enough.
        "anomalyProbabilities": None
        if deciding.class_probabilities is None
        else _base64(deciding.class_probabilities[:, 1:], "<f4"),
        "curves": [_curve(curve) for curve in prediction.curves],
        "annotated": None
        if annotated is None
        else [[segment.label, segment.start_seconds, segment.end_seconds] for segment in annotated],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    probabilities, uncertainty = curve.class_probabilities, curve.uncertainty
    return {
        "detector": curve.detector,
        "modality": curve.modality,
        "anomaly": _base64(curve.anomaly, "<f4"),
        "seenClass": None if probabilities is None else _base64(probabilities.argmax(axis=1), "u1"),
        "uncertainty": None if uncertainty is None else _base64(uncertainty, "<f4"),
    }


def _spark(curve: Curve) -> list[int]:
    """The highest score, in percent, of each of up to `SPARK_BINS` equal parts."""
    n_bins = min(SPARK_BINS, len(curve.anomaly))
    firsts = np.arange(n_bins) * len(curve.anomaly) // n_bins
    return [round(100 * float(score)) for score in np.maximum.reduceat(curve.anomaly, firsts)]


def _digits(score: float) -> float:
    return float(f"{score:.9g}")  # enough to tell float32 numbers apart


def _base64(values: ArrayLike, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")
