"""Records of made-up results, with the numbers that a test needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avadclip.tables.layout import TABLES, Row
from avadclip.tables.records import Data, Detector, Pinned, Record, Run, digest

ROWS = {row.variant: row for table in TABLES.values() for row in table.rows}
PROTOCOL = {
    "iou_thresholds": [0.1, 0.2, 0.3, 0.4, 0.5],
    "bootstrap_resamples": 200,
    "bootstrap_seed": 0,
    "confidence": 0.95,
    "missing_audio": "stand_in",
}
RECIPES = {
    "visual": {"encoder": "demo", "stride": 24, "weights_sha256": "1" * 64},
    "audio": {"encoder": "wav2clip", "stride": 24},
}


def make_data(**changes: Any) -> Data:
    """Describe six test videos of a user's own data set, all with sound."""
    facts: dict[str, Any] = {
        "name": "demo",
        "kind": "table",
        "classes": ("normal", "fighting", "riot"),
        "test_videos": 6,
        "normal": 3,
        "with_sound": 6,
        "sha256": "d" * 64,
        "excluded": (),
        "limits": (),
        "untrained": {},
    }
    return Data(**(facts | changes))


def make_record(
    name: str,
    ap: Sequence[float],
    average: Sequence[float] | None = None,
    *,
    resampled: Mapping[str, Sequence[float]] | None = None,
    data: Data | None = None,
    recipes: Mapping[str, Mapping[str, Any]] = RECIPES,
    protocol: Mapping[str, Any] = PROTOCOL,
    settings: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """Make the record of a detector with an AP and a mean mAP for each seed; without `average` it names no classes."""
    seeds = [_metrics(value, None if average is None else average[index]) for index, value in enumerate(ap)]
    mean = {key: float(np.mean([found[key] for found in seeds])) for key in seeds[0]}
    spread = {key: float(np.std([found[key] for found in seeds], ddof=1)) for key in mean} if len(seeds) > 1 else {}
    of_row = ROWS.get(name, Row("", "")).settings
    known = {key: value[0] if isinstance(value, tuple) else value for key, value in of_row.items()} | dict(
        settings or {}
    )
    facts: dict[str, Any] = {
        "format": "avadclip-record/1",
        "name": name,
        "data": data or make_data(),
        "features": {key: _pinned(recipe) for key, recipe in recipes.items()} if name != "random" else {},
        "protocol": _pinned(protocol),
        "detector": Detector(
            variant=name.split("_from_")[0],
            trained_on=name.split("_from_")[1] if "_from_" in name else (data or make_data()).name,
            kind=known.pop("kind", None),
            settings=known,
            modalities=("visual",),
            selection="last",
            imported=None,
        ),
        "runs": tuple(
            Run(seed=seed, round=1, checkpoint_sha256="c" * 64, released=found, strict=found)
            for seed, found in enumerate(seeds)
        ),
        "released": {key: value + 1 for key, value in mean.items()},
        "strict": mean,
        "deviation": {"released": spread, "strict": spread},
        "intervals": {key: (value - 2, value + 2) for key, value in mean.items()},
        "resampled": {key: tuple(values) for key, values in (resampled or {}).items()},
        "notes": (),
    }
    return Record(**(facts | changes))


def _metrics(ap: float, average: float | None) -> dict[str, float]:
    if average is None:
        return {"classification.AP": ap}
    by_iou = {f"mAP.{iou:g}": average + 10 * (0.3 - iou) for iou in PROTOCOL["iou_thresholds"]}
    return {"alignment.AP": ap, "classification.AP": ap - 1} | by_iou | {"mAP.AVG": average}


def _pinned(settings: Mapping[str, Any]) -> Pinned:
    return Pinned(settings=dict(settings), sha256=digest(settings))
