"""Records of a data set -> a table: cells, the paper's claims, what is missing and how to get it, limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from avadclip.config import Params
from avadclip.evaluation.published import I3D, published
from avadclip.tables.claims import judged
from avadclip.tables.comparing import Found, comparable, is_published
from avadclip.tables.layout import AVERAGE, CERTAINTY, MADE_FROM, TABLES, Layout, Row
from avadclip.tables.records import Data, Record, digest

TRAINED_ELSEWHERE = {"xd_violence": "XD-Violence", "cctv_fights": "CCTV-Fights_sub"}


@dataclass(frozen=True)
class Cell:
    """One number, in percent, with deviation and interval; or, in a word, why there is none."""

    value: float | None = None
    deviation: float | None = None
    interval: tuple[float, float] | None = None
    word: str = ""
    mark: Literal["", "best", "second"] = ""


@dataclass(frozen=True)
class Sheet:
    """A table before formatting; `rows` are labels and cells, `header` is of the cells, `lines` are below."""

    number: str
    dataset: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    lines: tuple[str, ...]


def sheet(number: str, own: Sequence[Record], foreign: Sequence[Found], params: Params) -> Sheet:
    """Fill a table of the paper for the data set of the records `own`.

    Parameters
    ----------
    foreign : records of others; those that are comparable get rows of their own.
    params : the variants, for the command that fills a missing cell.
    """
    layout, data = TABLES[number], own[0].data
    kept, refused = comparable(own, foreign)
    ours = {found.record.name: found.record for found in kept if not found.origin}
    rows = _rows(layout, data.name, ours, params)
    wrong = {row.variant: row.differing(_settings(ours[row.variant])) for row in rows if row.variant in ours}
    shown = {variant: ours[variant] for variant, differing in wrong.items() if not differing}
    columns, beside = _columns(layout, own[0]), is_published(own)
    lines = []
    for row in rows:
        guests = [found for found in kept if found.origin and _fills(found.record, row)]
        label = _label(row)
        lines.append((label, _cells(row, shown.get(row.variant), columns, data.kind, beside)))
        lines += [
            (f"{label} ({guest.origin})", _cells(row, guest.record, columns, data.kind, beside)) for guest in guests
        ]
    compared = [
        f"{name}, {what}" for name in columns if beside and _is_compared(name) for what in ("released", "published")
    ]
    return Sheet(
        number,
        data.name,
        layout.title,
        (*columns, *compared),
        _marked(lines, len(columns)),
        (
            *(judged(expectation, shown) for expectation in layout.expectations),
            *_missing(layout, rows, wrong, data, params),
            *refused,
            *_limits(layout, data, shown, beside),
            *_certainties(rows),
            _hashes(shown, own[0]),
        ),
    )


def _rows(layout: Layout, dataset: str, ours: Mapping[str, Record], params: Params) -> list[Row]:
    if layout.across:
        return _rows_across(layout.rows[0], dataset, params)
    of_paper = {row.variant for table in TABLES.values() for row in table.rows}
    others = [
        Row(f"{name} (not in the paper)", name, {"kind": record.detector.kind})
        for name, record in ours.items()
        if layout.others and name not in of_paper and record.detector.trained_on == dataset
    ]
    return [*layout.rows, *others]


def _rows_across(base: Row, dataset: str, params: Params) -> list[Row]:
    rows = [replace(base, label=f"trained on {dataset}")]
    for across in params.score.across.values():
        if (across.dataset, across.variant) == (dataset, base.variant):
            kind = params.dataset(across.trained_on).kind.removesuffix("_released")
            name, method = f"{base.variant}_from_{across.trained_on}", TRAINED_ELSEWHERE.get(kind)
            rows.append(Row(f"trained on {across.trained_on}", name, base.settings, f"AVadCLIP trained on {method}"))
    return rows


def _label(row: Row) -> str:
    return f"{row.label} [{mark}]" if (mark := _mark(row)) else row.label


def _certainties(rows: Sequence[Row]) -> list[str]:
    """The meaning of the marks."""
    marks = sorted({_mark(row) for row in rows} - {""})
    said = ", ".join(f"[{mark}] {MADE_FROM[mark]}" for mark in marks)
    return [f"made without the authors' code, so not a reproduction of their numbers: {said}"] if marks else []


def _mark(row: Row) -> str:
    """How certain it is that a row is the published system; empty if its authors' code was followed."""
    return CERTAINTY.get(row.settings.get("kind", ""), "")


def _settings(record: Record) -> dict[str, object]:
    return {"kind": record.detector.kind, **record.detector.settings}


def _fills(record: Record, row: Row) -> bool:
    return record.name == row.variant and not row.differing(_settings(record))


def _columns(layout: Layout, record: Record) -> tuple[str, ...]:
    if layout.columns != ("IoU",):
        return layout.columns
    return (*(f"{threshold:g}" for threshold in record.protocol.settings["iou_thresholds"]), AVERAGE)


def _is_compared(column: str) -> bool:
    """Whether a column has ours by the authors' protocol and theirs beside it."""
    return column in ("AP", AVERAGE)


def _cells(row: Row, record: Record | None, columns: Sequence[str], kind: str, beside: bool) -> tuple[Cell, ...]:
    cells = []
    for column in columns:
        if record is None:
            cells.append(Cell(word="missing"))
        else:
            key = _key(column, record)
            interval = record.intervals.get(key) if _is_compared(column) else None  # six of them do not fit on a page
            cells.append(Cell(record.strict.get(key), record.deviation["strict"].get(key), interval))
    theirs = published(kind, row.method) if beside and row.method else None
    for column in filter(_is_compared, columns if beside else ()):
        value = None if theirs is None else theirs.ap if column == "AP" else theirs.average
        hears = theirs is not None and value is not None and theirs.modality == I3D
        cells.append(Cell(None if record is None else record.released.get(_key(column, record))))
        cells.append(Cell(value, word="I3D" if hears else ""))
    return tuple(cells)


def _key(column: str, record: Record) -> str:
    return f"{record.branch}.AP" if column == "AP" else f"mAP.{column}"


def _marked(rows: Sequence[tuple[str, tuple[Cell, ...]]], n_columns: int) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    """Mark the best and the second of the first columns; equal text is equally good."""
    marked = [list(cells) for _, cells in rows]
    for column in range(n_columns):
        values = {round(cells[column].value or 0.0, 2) for cells in marked if cells[column].value is not None}
        first, second, *_ = [*sorted(values, reverse=True), None, None]
        for cells in marked:
            value = None if cells[column].value is None else round(cells[column].value or 0.0, 2)
            if value is not None and second is not None and value in (first, second):
                cells[column] = replace(cells[column], mark="best" if value == first else "second")
    return tuple((label, tuple(cells)) for (label, _), cells in zip(rows, marked, strict=True))


def _missing(
    layout: Layout, rows: Sequence[Row], wrong: Mapping[str, list[str]], data: Data, params: Params
) -> list[str]:
    """A line about everything that is missing, with the command that fills it."""
    lines: list[str] = []
    to_add: list[str] = []
    to_run: list[str] = []
    known = {*params.score.variants, *(f"{a.variant}_from_{a.trained_on}" for a in params.score.across.values())}
    for row in rows:
        if wrong.get(row.variant) == []:
            continue
        if row.variant in wrong:
            lines.append(f"missing: {row.variant} is not the detector of this row: {', '.join(wrong[row.variant])}")
        elif row.variant in data.untrained:
            lines.append(f"missing: {row.variant} was not trained here: {data.untrained[row.variant]}")
        else:
            (to_run if row.variant in known else to_add).append(row.variant)
    if layout.across and len(rows) == 1:
        to_add.append("detectors trained on other data sets")
    run = f"dvc repro evaluate@{data.name}"
    if to_add:
        recipe = f"avadclip recipe table_{layout.number.lower()} --add --dataset {data.name}"
        lines.append(f"missing: {', '.join(to_add)}; filled by `{recipe}` and `{run}`")
    if to_run:
        lines.append(f"missing: {', '.join(to_run)}; filled by `{run}`")
    return lines


def _limits(layout: Layout, data: Data, shown: Mapping[str, Record], beside: bool) -> list[str]:
    """What these numbers do not say."""
    locates, lines = layout.columns != ("AP",), list(data.limits)
    if locates and len(data.classes) == 2:
        lines.append(
            "there is one anomaly class: mAP says whether events are found, not whether classes are distinguished"
        )
    if data.with_sound == 0:
        lines.append("no test video has sound: these numbers do not say how a detector uses sound")
    if locates and any("classification.AP" in one.strict and "mAP.AVG" not in one.strict for one in shown.values()):
        lines.append("empty cells: a detector that names no classes has no localisation")
    if data.excluded:
        lines.append(f"{len(data.excluded)} test videos are excluded")
    if beside:
        lines.append(
            "released: ours by the authors' protocol, as published ones are; I3D: from other features than ours"
        )
    by_note: dict[str, list[str]] = {}
    for name, record in shown.items():
        for note in record.notes:
            by_note.setdefault(note, []).append(name)
    return lines + [f"{', '.join(names)}: {note}" for note, names in by_note.items()]


def _hashes(shown: Mapping[str, Record], reference: Record) -> str:
    """Hashes of what made the numbers: settings and seeds of all rows, and what all rows have in common."""
    rows = {name: [_settings(record), [run.seed for run in record.runs]] for name, record in shown.items()}
    features = {name: one.sha256 for record in shown.values() for name, one in record.features.items()}
    hashes: dict[str, str] = {"params": digest([rows, reference.protocol.settings]), "data": reference.data.sha256}
    hashes |= dict(sorted(features.items()))
    return "sha256: " + ", ".join(f"{name} {sha256[:12]}" for name, sha256 in hashes.items())
