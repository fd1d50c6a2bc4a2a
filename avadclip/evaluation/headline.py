"""The few most important numbers, read from what stage ``evaluate`` wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avadclip.detectors.alarm_score import branch_of
from avadclip.evaluation.files import read_details

# The most important first. If the first are not defined (the times of events are not known), others are shown.
COLUMNS = {
    "AP": "{branch}.AP",
    "AUC": "{branch}.AUC",
    "mAP AVG": "mAP.AVG",
    "events caught": "alarm.caught_events",
    "false alarms / h": "alarm.false_alarms_per_hour",
    "AP of videos": "video.AP",
    "AUC of videos": "video.AUC",
    "videos caught": "video.caught",
}
MOST_COLUMNS = 5  # of those that are defined; more do not fit into a terminal


@dataclass(frozen=True)
class Headline:
    """A table for the terminal.

    Attributes
    ----------
    columns : metrics that are defined for any detector, at most five.
    rows : the name of each detector, and its cells. In a cell, the interval over videos, if there is one, has a line
        of its own. So has the standard deviation over seeds, if any detector has several; ``± -`` for one seed.
    limits : what cannot be measured on these videos, and why.
    confidence : of the intervals; None if there are none.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    limits: tuple[str, ...]
    confidence: float | None


def read_headline(dataset: str) -> Headline:
    """The results of stage ``evaluate`` for a data set.

    Raises
    ------
    EvaluationError : the data set has not been evaluated, or its results are damaged.
    """
    details = read_details(dataset)
    found: dict[str, Any] = details["detectors"]
    deviates = any(detail["n_seeds"] > 1 for detail in found.values())
    cells = {name: _cells(detail["strict"], detail, deviates) for name, detail in found.items()}
    defined = [column for column in COLUMNS if any(of_detector[column] != "-" for of_detector in cells.values())]
    columns = tuple(defined[:MOST_COLUMNS])
    rows = tuple((name, *(of_detector[column] for column in columns)) for name, of_detector in cells.items())
    settings = details["settings"]
    confidence = settings["confidence"] if settings["bootstrap_resamples"] else None
    return Headline(columns, rows, tuple(details.get("limits", ())), confidence)


def _cells(strict: Mapping[str, Any], detail: Mapping[str, Any], deviates: bool) -> dict[str, str]:
    branch = branch_of("alignment", strict)
    return {column: _cell(strict, detail, key.format(branch=branch), deviates) for column, key in COLUMNS.items()}


def _cell(strict: Mapping[str, Any], detail: Mapping[str, Any], key: str, deviates: bool) -> str:
    value = _of(strict, key)
    if value is None:
        return "-"
    lines = [f"{value:.1f}"]
    if ends := detail["intervals"].get(key):
        lines.append(f"{ends[0]:.1f}-{ends[1]:.1f}")
    if deviates:
        deviation = _of(detail["std"].get("strict", {}), key)
        lines.append("± -" if deviation is None else f"± {deviation:.1f}")
    return "\n".join(lines)


def _of(nested: Mapping[str, Any], key: str) -> Any:
    group, name = key.split(".")
    return nested.get(group, {}).get(name)
