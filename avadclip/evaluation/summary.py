"""``summary.md``: tables like the paper's I to V, with every scored detector beside the published numbers."""

import math
from collections.abc import Mapping, Sequence

from avadclip.config.evaluation import Evaluate
from avadclip.detectors.alarm_score import branch_of
from avadclip.evaluation.assessment import Assessment, OverSeeds
from avadclip.evaluation.budget import CHOSEN_ON
from avadclip.evaluation.joining import videos_under_test
from avadclip.evaluation.markdown import code, plain, table
from avadclip.evaluation.published import ROWS
from avadclip.evaluation.resampling import Interval
from avadclip.evaluation.testset import TestSet
from avadclip.evaluation.trade_off import CAUGHT, within

BUDGETS = (60.0, 10.0, 1.0, 0.0)  # false alarms per hour
ABSENT = "–"  # noqa: RUF001 - a dash is what a table shows for "none"
UNDEFINED = "not defined"


def summarize(
    assessments: Sequence[Assessment], test_set: TestSet, settings: Evaluate, untrained: Mapping[str, str]
) -> str:
    """The whole page, in Markdown; `untrained`: reason by name of the detectors that are in no table."""
    sections = [
        f"# Results on {test_set.dataset}\n",
        _videos(assessments, test_set),
        _limits(test_set),
        _whole_videos(assessments, settings),
        _frame_level(assessments, test_set, settings),
        _localisation(assessments, test_set, settings),
        _budget(assessments, settings),
        _alarms(assessments, settings),
        _trade_off(assessments),
        _reliability(assessments, settings),
        _per_class(assessments),
        _by_audio(assessments),
        _notes(assessments, untrained),
    ]
    return "\n".join(section for section in sections if section)


def _videos(assessments: Sequence[Assessment], test_set: TestSet) -> str:
    videos = videos_under_test(test_set.videos)
    hours = sum(video.n_frames / video.frame_rate for video in videos) / 3600
    normal = sum(video.is_normal for video in videos)
    text = (
        f"{len(videos)} test videos ({normal} normal), {hours:.1f} hours. Metrics in percent unless said otherwise.\n"
    )
    if _deviates(assessments):
        seeds = ", ".join(f"`{entry.name}` {len(entry.seeds)}" for entry in assessments if len(entry.seeds) > 1)
        text += (
            f"\nTrained with several seeds: {seeds}. Their numbers are means over the seeds; after ± is the"
            f" standard deviation over the seeds, {ABSENT} for one seed.\n"
        )
    if test_set.excluded:
        listed = "".join(f"- {code(video_id)}: {plain(reason)}\n" for video_id, reason in test_set.excluded.items())
        text += f"\n{len(test_set.excluded)} test videos are excluded:\n\n{listed}"
    return text


def _limits(test_set: TestSet) -> str:
    listed = "".join(f"- {limit}\n" for limit in test_set.limits)
    return f"## What these numbers do not say\n\n{listed}" if listed else ""


def _whole_videos(assessments: Sequence[Assessment], settings: Evaluate) -> str:
    deviates = _deviates(assessments)
    rows = [
        (f"`{entry.name}`", *(_with_interval(entry, f"video.{name}", deviates) for name in ("AP", "AUC", "caught")))
        for entry in assessments
    ]
    explained = (
        f"Each video ranked by the highest score of the {settings.alarm_branch} branch against its label; the last"
        f" column is the share of anomalous videos with an alarm, {_rule(settings)}."
    )
    return table("Whole videos", explained, ("Detector", "AP", "AUC", "Anomalous videos with an alarm"), rows)


def _frame_level(assessments: Sequence[Assessment], test_set: TestSet, settings: Evaluate) -> str:
    header = ("Detector", "AP, released", "AUC, released", "AP, strict", "AUC, strict", "AP of classification branch")
    deviates, rows = _deviates(assessments), []
    for entry in assessments:
        branch = branch_of("alignment", entry.protocol.frames)
        rows.append(
            (
                f"`{entry.name}`",
                *(_value(entry.released, f"{branch}.{metric}", deviates) for metric in ("AP", "AUC")),
                *(_with_interval(entry, f"{branch}.{metric}", deviates) for metric in ("AP", "AUC")),
                _with_interval(entry, "classification.AP", deviates),
            )
        )
    rows += [
        (f"*{row.method} ({row.modality}), published*", _number(row.ap), *[ABSENT] * 4)
        for row in ROWS.get(test_set.kind, ())
        if row.ap is not None
    ]
    explained = (
        f"Frame level, of the alignment branch (1 - p(normal)), which the paper reports{_interval_note(settings)}."
    )
    alone = [f"`{entry.name}`" for entry in assessments if "alignment" not in entry.protocol.frames]
    if alone:
        explained += f" Without class probabilities, {', '.join(alone)} have the classification branch alone."
    return table("Coarse-grained (paper, tables I, II, V)", explained, header, rows)


def _localisation(assessments: Sequence[Assessment], test_set: TestSet, settings: Evaluate) -> str:
    columns = [*(f"{threshold:g}" for threshold in settings.iou_thresholds), "AVG"]
    deviates, rows = _deviates(assessments), []
    for entry in assessments:
        for protocol, found in (("released", entry.released), ("strict", entry.strict)):
            if "mAP.AVG" in found.mean:
                values = [_number(found.mean.get(f"mAP.{column}")) for column in columns[:-1]]
                interval = entry.intervals.get("mAP.AVG") if protocol == "strict" else None
                average = _value(found, "mAP.AVG", deviates, interval)
                rows.append((f"`{entry.name}`", protocol, *values, average))
    for row in ROWS.get(test_set.kind, ()):
        if row.average is not None:
            published = dict(zip(("0.1", "0.2", "0.3", "0.4", "0.5"), row.map_by_iou, strict=False))
            values = [_number(published.get(column)) for column in columns[:-1]]
            rows.append((f"*{row.method} ({row.modality})*", "published", *values, _number(row.average)))
    explained = "mAP@IoU. `released` counts normal as a class and classes without segments as 0; `strict` does neither."
    return table("Fine-grained (paper, tables III, IV)", explained, ("Detector", "Protocol", *columns), rows)


def _budget(assessments: Sequence[Assessment], settings: Evaluate) -> str:
    if settings.budget is None:
        return ""
    some, deviates = assessments[0].levels[0], _deviates(assessments)
    rows = [
        (
            f"`{entry.name}`",
            ", ".join(f"{chosen.level:.9g}" for chosen in entry.levels),
            CHOSEN_ON[entry.levels[0].part],
            ", ".join(f"{chosen.false_alarms_per_hour:.2f}" for chosen in entry.levels),
            *(_with_interval(entry, f"alarm.{name}", deviates) for name in ("false_alarms_per_hour", "caught_events")),
        )
        for entry in assessments
    ]
    explained = (
        f"The budget is at most {settings.budget:g} false alarms per hour of normal video. Each detector has, for each"
        " seed, the lowest threshold from which on alarms keep to the budget on"
        f" {some.n_videos} normal videos ({some.hours:.1f} hours), none of which is a test video; the last two columns"
        " are its results on the test videos. A threshold from videos that a detector has learned from is optimistic."
    )
    if settings.budget * some.hours < 1:
        explained += (
            f"\n\n**Too little video for this budget**: a single false alarm there is {1 / some.hours:.2g} per hour,"
            " so the threshold is one without any there."
        )
    beyond = [
        f"`{entry.name}`" for entry in assessments if any(level.breaks(settings.budget) for level in entry.levels)
    ]
    if beyond:
        explained += (
            f"\n\n**No threshold keeps to it** for {', '.join(beyond)}: false alarms reach a score of 1. The highest"
            " threshold is taken."
        )
    header = (
        "Detector",
        "Threshold",
        "Chosen on",
        "False alarms / h there",
        "False alarms / h, test",
        "Events caught, test",
    )
    return table("Thresholds within the budget", explained, header, rows)


def _alarms(assessments: Sequence[Assessment], settings: Evaluate) -> str:
    names = ("precision", "recall", "f1", "caught_events", "false_alarms_per_hour", "delay_seconds")
    header = ("Detector", "Precision", "Recall", "F1", "Events caught", "False alarms / h of normal video", "Delay, s")
    deviates = _deviates(assessments)
    rows = [
        (f"`{entry.name}`", *(_with_interval(entry, f"alarm.{name}", deviates) for name in names))
        for entry in assessments
    ]
    explained = f"Alarms are raised by the score of the {settings.alarm_branch} branch, {_rule(settings)}."
    return table("Operating point", explained, header, rows)


def _trade_off(assessments: Sequence[Assessment]) -> str:
    rows = []
    for entry in assessments:
        found = [within(entry.trade_off, budget) for budget in BUDGETS]
        if any(row is not None and not math.isnan(row[CAUGHT]) for row in found):
            cells = [ABSENT if row is None else f"{_number(row[CAUGHT])} (from {row['level']:g})" for row in found]
            rows.append((f"`{entry.name}`", *cells))
    if not rows:
        return ""
    explained = (
        "Events caught with at most this many false alarms per hour of normal video, and the lowest threshold that"
        " keeps to it on these test videos, by the scores of the first seed. Choose a threshold on other videos: on"
        " those that it was chosen on, results are optimistic."
    )
    header = ("Detector", *(f"{budget:g} / h" if budget else "none" for budget in BUDGETS))
    return table("What a threshold costs", explained, header, rows)


def _reliability(assessments: Sequence[Assessment], settings: Evaluate) -> str:
    rows = []
    for entry in assessments:
        found, before = entry.reliability(settings), entry.uncalibrated(settings)
        highest = f"{found.score[-1]:.2f} → {found.anomalous_share[-1]:.2f}" if len(found.score) else ABSENT
        why_not = entry.provenance.detector.get("uncalibrated")
        error_before = ABSENT if before is None else _number(before.error, 3)
        said = error_before if why_not is None else plain(f"not calibrated: {why_not}")
        rows.append((f"`{entry.name}`", _number(found.error, 3), said, highest))
    explained = (
        "How far the share of anomalous frames is from the score, on average over all frames (expected calibration"
        f" error, {settings.reliability_bins} bins of the {settings.alarm_branch} branch, first seed); and the highest"
        " scores, with the share of their frames that is anomalous. The curve is in `plots/reliability.csv`."
    )
    header = ("Detector", "Error", "Before it was calibrated", "Highest scores → anomalous")
    return table("What a score means", explained, header, rows)


def _rule(settings: Evaluate) -> str:
    beyond = str(settings.alarms)
    level = (
        f"{settings.level:g}" if settings.budget is None else "the threshold of the detector, which the budget gave it"
    )
    return f"where it reaches {level}" + (f" ({beyond})" if beyond else "")


def _per_class(assessments: Sequence[Assessment]) -> str:
    classes = next((list(entry.per_class) for entry in assessments if entry.per_class), [])
    if not classes:
        return ""
    rows = [
        (
            f"`{entry.name}`",
            *(f"{_number(found['AP'])} / {_number(found['AVG'])}" for found in entry.per_class.values()),
        )
        for entry in assessments
        if entry.per_class
    ]
    return table(
        "Per class", "Frame-level AP / localisation AVG, strict protocol.", ("Detector", *map(plain, classes)), rows
    )


def _by_audio(assessments: Sequence[Assessment]) -> str:
    rows = []
    for entry in assessments:
        used = ", ".join(f"{plain(modality)} {count}" for modality, count in entry.n_videos_by_modality.items())
        for part, found in entry.by_audio.items():
            values = [_number(found.get(name)) for name in ("alignment.AP", "classification.AP", "mAP.AVG")]
            count = str(entry.n_videos_by_audio[part])
            rows.append((f"`{entry.name}`", used, part.replace("_", " "), count, *values))
    header = ("Detector", "Videos by modality used", "Part", "Videos", "AP", "AP, classification", "mAP AVG")
    return table("With and without audio", "Strict protocol.", header, rows)


def _notes(assessments: Sequence[Assessment], untrained: Mapping[str, str]) -> str:
    # Notes have markup of their own and names of classes, but no HTML.
    lines = [f"- `{entry.name}`: {note.replace('<', '&lt;')}\n" for entry in assessments for note in entry.notes]
    lines += [f"- `{name}` was not trained here: {reason.replace('<', '&lt;')}\n" for name, reason in untrained.items()]
    return "## Notes\n\n" + "".join(lines) if lines else ""


def _interval_note(settings: Evaluate) -> str:
    if settings.bootstrap_resamples == 0:
        return ""
    return f"; [{settings.confidence:.0%} interval] from {settings.bootstrap_resamples} resamples of the videos"


def _deviates(assessments: Sequence[Assessment]) -> bool:
    """Whether any detector has several seeds: then each shows its standard deviation, or that it has one seed."""
    return any(len(entry.seeds) > 1 for entry in assessments)


def _with_interval(entry: Assessment, name: str, deviates: bool) -> str:
    return _value(entry.strict, name, deviates, entry.intervals.get(name))


def _value(found: OverSeeds, name: str, deviates: bool, interval: Interval | None = None) -> str:
    value = _number(found.mean.get(name))
    if value in (ABSENT, UNDEFINED):
        return value
    deviation = f" ± {_number(found.deviation.get(name))}" if deviates else ""
    return value + deviation + ("" if interval is None else f" [{interval[0]:.1f}, {interval[1]:.1f}]")


def _number(value: float | None, decimals: int = 2) -> str:
    """A value as text; it may be absent or undefined, as AP is if all videos are normal."""
    return ABSENT if value is None else UNDEFINED if math.isnan(value) else f"{value:.{decimals}f}"
