"""What the page's list shows about a video at a threshold: at that of the evaluation, and at any other."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avadclip.evaluation.segments import alarms_in
from avadclip.prediction.assembly import UNNAMED
from avadclip.prediction.document import Prediction

LEVEL_STEPS = 100  # from 0 to 1, of the threshold that people drag; as in threshold.js
OUTCOMES = ("missed", "false alarm", "caught", "quiet")


class AtLevel(NamedTuple):
    """What is shown at one threshold.

    Attributes
    ----------
    labels : of its alarms, the one that lasts longest first.
    seconds : total length of its alarms.
    loudest : label, start and end in seconds of the alarm with the highest score; None without any.
    outcome : how the alarms compare with the ground truth, None if there is none. ``caught``: an alarm meets an
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


def at_levels(prediction: Prediction, levels: Sequence[float]) -> list[AtLevel]:
    """What is shown at each of these thresholds, by the deciding curve."""
    return _at_levels(prediction, prediction.alarm_rule.alarmed(prediction.curves[0].anomaly, levels))


def _at_levels(prediction: Prediction, alarmed: NDArray[np.bool_]) -> list[AtLevel]:
    """What is shown at each threshold with alarms in these snippets [thresholds, n]."""
    curve, edges = prediction.curves[0], prediction.boundary_seconds.tolist()
    names = [UNNAMED, *prediction.classes[1:]]
    return [
        _summarise(
            prediction, [_Alarm(names[a.class_index or 0], edges[a.first], edges[a.end], a.score) for a in alarms]
        )
        for alarms in alarms_in(alarmed, curve.anomaly, curve.class_probabilities)
    ]


def _summarise(prediction: Prediction, alarms: Sequence[_Alarm]) -> AtLevel:
    seconds: dict[str, float] = defaultdict(float)
    for alarm in alarms:
        seconds[alarm.label] += alarm.end - alarm.start
    loudest = max(alarms, key=lambda alarm: alarm.score, default=None)
    return AtLevel(
        n_alarms=len(alarms),
        seconds=round(sum(seconds.values()), 2),
        labels=sorted(seconds, key=lambda label: (-seconds[label], label)),
        loudest=None if loudest is None else (loudest.label, round(loudest.start, 2), round(loudest.end, 2)),
        outcome=_outcome(prediction, alarms),
    )


def _outcome(prediction: Prediction, alarms: Sequence[_Alarm]) -> str | None:
    events = prediction.annotated
    if events is None:
        return None
    if not events:
        return "false alarm" if alarms else "quiet"
    is_met = any(a.start < event.end_seconds and event.start_seconds < a.end for event in events for a in alarms)
    return "caught" if is_met else "missed"


def by_level(prediction: Prediction) -> dict[str, Any]:
    """JSON values: what is shown at the evaluation's threshold (`given`) and at others (`levels`, with their steps).

    A row is an :class:`AtLevel`, but short, because there are up to a hundred per video: labels are indices into
    `names`, outcomes into `OUTCOMES`. A threshold with alarms in the same snippets as the one below it has no row.
    """
    levels = np.arange(LEVEL_STEPS + 1) / LEVEL_STEPS
    own, *others = prediction.alarm_rule.alarmed(prediction.curves[0].anomaly, [prediction.alarm_threshold, *levels])
    steps = [0, *(step for step, (below, at) in enumerate(pairwise(others), 1) if (below != at).any())]
    at_own, *at_others = _at_levels(prediction, np.stack([own, *(others[step] for step in steps)]))
    places: dict[str, int] = {}

    def row(said: AtLevel) -> list[Any]:
        labels = [places.setdefault(label, len(places)) for label in said.labels]
        loudest = said.loudest and [places[said.loudest[0]], *said.loudest[1:]]
        outcome = None if said.outcome is None else OUTCOMES.index(said.outcome)
        return [said.n_alarms, said.seconds, labels, loudest, outcome]

    rows = [row(said) for said in (at_own, *at_others)]
    return {
        "names": list(places),
        "given": rows[0],
        "levels": [[step, *short] for step, short in zip(steps, rows[1:], strict=True)],
    }
