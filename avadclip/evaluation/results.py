"""Assessments -> the JSON that ``dvc metrics`` compares, the JSON with all details, and the tables behind the plots."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from avadclip.config.evaluation import Branch, Evaluate
from avadclip.detectors.alarm_score import branch_of
from avadclip.evaluation.assessment import Assessment
from avadclip.evaluation.joining import videos_under_test
from avadclip.evaluation.metrics import Metrics
from avadclip.evaluation.reliability import Reliability
from avadclip.evaluation.testset import TestSet
from avadclip.evaluation.trade_off import TABLE

Row = tuple[str | float, ...]

CURVE_POINTS = 200


# What `dvc metrics show`, `dvc metrics diff` and `dvc exp show` print about a detector: one column each.
HEADLINE = {
    "AP": ("strict", "{branch}.AP"),
    "AUC": ("strict", "{branch}.AUC"),
    "mAP": ("strict", "mAP.AVG"),
    "released_AP": ("released", "{branch}.AP"),
    "released_mAP": ("released", "mAP.AVG"),
    "video_AP": ("strict", "video.AP"),
    "events_caught": ("strict", "alarm.caught_events"),
    "false_alarms_per_hour": ("strict", "alarm.false_alarms_per_hour"),
}


def headline(assessments: Sequence[Assessment], test_set: TestSet) -> dict[str, Any]:
    """At most eight numbers per detector: those of `HEADLINE` that are defined for it and for these videos."""
    n_videos = len(videos_under_test(test_set.videos))
    by_detector = {entry.name: _headline(entry) for entry in assessments}
    return {"videos": {"evaluated": n_videos, "excluded": len(test_set.excluded)}, **by_detector}


def _headline(entry: Assessment) -> dict[str, float]:
    branch = branch_of("alignment", entry.protocol.frames)
    protocols = {"released": entry.released.mean, "strict": entry.strict.mean}
    found = {
        name: protocols[protocol].get(key.format(branch=branch), math.nan) for name, (protocol, key) in HEADLINE.items()
    }
    defined = {name: value for name, value in found.items() if not math.isnan(value)}
    # The authors' code gives a number even without any segment: then its mAP is 0.
    return {name: value for name, value in defined.items() if name.removeprefix("released_") in defined}


def details(assessments: Sequence[Assessment], test_set: TestSet, settings: Evaluate) -> dict[str, Any]:
    """All results: metrics, intervals, seeds, classes, with and without audio, notes, exclusions."""
    return {
        "dataset": test_set.dataset,
        "settings": settings.model_dump(mode="json"),
        "excluded": test_set.excluded,
        "limits": test_set.limits,
        "detectors": {entry.name: _detail(entry, settings) for entry in assessments},
    }


def plot_tables(assessments: Sequence[Assessment], settings: Evaluate) -> dict[str, pd.DataFrame]:
    """The table behind each plot of ``dvc plots``, by file name."""
    branch = settings.alarm_branch
    curves = pd.DataFrame(
        _curves(assessments, branch), columns=["detector", "recall", "precision", "false_positive_rate"]
    )
    trade_offs = [(entry.name, entry.trade_off) for entry in assessments]
    per_class = pd.DataFrame(
        (
            (entry.name, name, found["AP"], found["AVG"])
            for entry in assessments
            for name, found in entry.per_class.items()
        ),
        columns=["detector", "class", "AP", "AVG"],
    )
    return {
        "precision_recall.csv": curves[["detector", "recall", "precision"]],
        "roc.csv": _roc(curves),
        "map_over_iou.csv": pd.DataFrame(_map_over_iou(assessments), columns=["detector", "protocol", "iou", "mAP"]),
        "per_class.csv": per_class.dropna(subset=["AP"]),
        "reliability.csv": pd.DataFrame(
            _reliability_rows(assessments, settings),
            columns=["detector", "score", "anomalous_share", "frames"],
        ),
        TABLE: pd.concat([table.assign(detector=name) for name, table in trade_offs], ignore_index=True),
    }


def _nest(flat: Metrics) -> dict[str, dict[str, float]]:
    """``{"mAP.0.1": x}`` -> ``{"mAP": {"0.1": x}}``."""
    nested: dict[str, dict[str, float]] = {}
    for key, value in flat.items():
        group, name = key.split(".", maxsplit=1)
        nested.setdefault(group, {})[name] = value
    return nested


def _detail(entry: Assessment, settings: Evaluate) -> dict[str, Any]:
    both = {"released": entry.released, "strict": entry.strict}
    return {
        **{key: getattr(entry.provenance, key) for key in ("variant", "trained_on", "selection")},
        "notes": entry.notes,
        "videos_scored_with": entry.n_videos_by_modality,
        "intervals": {name: list(ends) for name, ends in entry.intervals.items()},
        **{name: _nest(found.mean) for name, found in both.items()},
        "n_seeds": len(entry.seeds),
        # Only for several seeds.
        "std": {name: _nest(found.deviation) for name, found in both.items() if found.deviation},
        "by_seed": {
            str(seed): {name: _nest(found.of_each[index]) for name, found in both.items()}
            for index, seed in enumerate(entry.seeds if len(entry.seeds) > 1 else ())
        },
        # Only with a budget.
        **({"levels": _levels(entry)} if entry.levels else {}),
        "per_class": entry.per_class,
        "reliability": _reliability(entry, settings),
        "by_audio": {
            part: {"videos": entry.n_videos_by_audio[part], **_nest(found)} for part, found in entry.by_audio.items()
        },
    }


def _levels(entry: Assessment) -> list[dict[str, Any]]:
    return [
        {"seed": seed, **vars(chosen), "false_alarms_per_hour": chosen.false_alarms_per_hour}
        for seed, chosen in zip(entry.seeds, entry.levels, strict=True)
    ]


def _curves(assessments: Sequence[Assessment], branch: Branch) -> Iterable[tuple[str, float, float, float]]:
    for entry in assessments:
        ranking, positives = entry.protocol.frames[branch_of(branch, entry.protocol.frames)]
        curve = positives.curve(ranking.cumulate(entry.protocol.ones), CURVE_POINTS)
        for point in np.stack([curve.recall, curve.precision, curve.false_positive_rate], axis=1).tolist():
            yield entry.name, *point


def _roc(curves: pd.DataFrame) -> pd.DataFrame:
    """The curve with both ends: nothing is admitted, and everything is, as the last frames may be negative ones."""
    inner = curves[["detector", "false_positive_rate", "recall"]].rename(columns={"recall": "true_positive_rate"})
    ends = [(detector, end, end) for detector in inner["detector"].unique() for end in (0.0, 1.0)]
    whole = pd.concat([inner, pd.DataFrame(ends, columns=inner.columns)])
    return whole.sort_values(list(whole.columns), ignore_index=True)


def _map_over_iou(assessments: Sequence[Assessment]) -> Iterable[Row]:
    for entry in assessments:
        for protocol, found in (("released", entry.released), ("strict", entry.strict)):
            for name, value in found.mean.items():
                group, _, iou = name.partition(".")
                if group == "mAP" and iou != "AVG":
                    yield entry.name, protocol, iou, value


def _reliability_rows(assessments: Sequence[Assessment], settings: Evaluate) -> Iterable[Row]:
    """Mean score and share of anomalous frames by bin of the score; calibrated scores are on the diagonal."""
    for entry in assessments:
        found = entry.reliability(settings)
        for row in zip(found.score.tolist(), found.anomalous_share.tolist(), found.frames.tolist(), strict=True):
            yield entry.name, *row


def _reliability(entry: Assessment, settings: Evaluate) -> dict[str, Any]:
    """Reliability of the scores that raise alarms, also before they were calibrated."""
    before = entry.uncalibrated(settings)
    return _bins(entry.reliability(settings)) | ({} if before is None else {"uncalibrated": _bins(before)})


def _bins(found: Reliability) -> dict[str, Any]:
    return {"error": found.error, **{name: values.tolist() for name, values in vars(found).items()}}
