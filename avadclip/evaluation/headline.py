"""The few numbers that one looks at first, read back from what stage ``evaluate`` wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avadclip import paths
from avadclip.detectors.alarm_score import branch_of
from avadclip.errors import EvaluationError

COLUMNS = ("AP", "AUC", "mAP AVG", "events caught", "false alarms / h")
METRICS = ("{branch}.AP", "{branch}.AUC", "mAP.AVG", "alarm.caught_events", "alarm.false_alarms_per_hour")


def read_headline(dataset: str) -> list[tuple[str, ...]]:
    """One row a detector: its name, and the cells of `COLUMNS`.

    In a cell, the interval over videos has a line of its own where there is one, and so has the standard deviation over
    seeds where any detector has several; ``± -`` for those that have one.

    Raises
    ------
    EvaluationError : the data set has not been evaluated.
    """
    metrics, details = (_read(path) for path in (paths.metrics(dataset), paths.details(dataset)))
    found: dict[str, Any] = details["detectors"]
    deviates = any(detail["n_seeds"] > 1 for detail in found.values())
    rows = []
    for name, detail in found.items():
        strict = metrics[name]["strict"]
        branch = branch_of("alignment", strict)
        keys = [key.format(branch=branch) for key in METRICS]
        rows.append((name, *(_cell(strict, detail, key, deviates) for key in keys)))
    return rows


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EvaluationError(f"{path}: no such file; run `dvc repro`") from None


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
