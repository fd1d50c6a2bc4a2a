"""The few numbers that one looks at first, read back from what stage ``evaluate`` wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avadclip import paths
from avadclip.errors import EvaluationError

COLUMNS = ("AP", "AUC", "mAP AVG", "events caught", "false alarms / h")
METRICS = (
    ("alignment.AP", "classification.AP"),  # the second where a detector has no branch for classes
    ("alignment.AUC", "classification.AUC"),
    ("mAP.AVG",),
    ("alarm.caught_events",),
    ("alarm.false_alarms_per_hour",),
)


def read_headline(dataset: str) -> list[tuple[str, ...]]:
    """One row a detector: its name, and the cells of `COLUMNS`, with intervals on a second line where there are any.

    Raises
    ------
    EvaluationError : the data set has not been evaluated.
    """
    metrics, details = (_read(path) for path in (paths.metrics(dataset), paths.details(dataset)))
    rows = []
    for name, detail in details["detectors"].items():
        cells = [_cell(metrics[name]["strict"], detail["intervals"], choices) for choices in METRICS]
        rows.append((name, *cells))
    return rows


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EvaluationError(f"{path}: no such file; run `dvc repro`") from None


def _cell(metrics: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], choices: tuple[str, ...]) -> str:
    for choice in choices:
        group, name = choice.split(".")
        value = metrics.get(group, {}).get(name)
        if value is not None:
            ends = intervals.get(choice)
            return f"{value:.1f}" + (f"\n{ends[0]:.1f}-{ends[1]:.1f}" if ends else "")
    return "-"
