"""``avadclip corrections apply``: judgements from the page -> the tables of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avadclip.errors import printable

if TYPE_CHECKING:
    from avadclip.interop.corrections.decisions import Span
    from avadclip.interop.corrections.plan import Plan

console = Console()


def apply(
    corrections: Annotated[Path, typer.Argument(help="corrections.csv, as the page saves it.")],
    dataset: Annotated[str, typer.Option(help="The data set whose labels are corrected.")],
    videos: Annotated[
        Path | None, typer.Option(help="Folder of videos that `avadclip predict` was given; the judged ones are added.")
    ] = None,
    move_to_training: Annotated[
        bool, typer.Option("--move-to-training", help="Make judged test videos training videos.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")] = False,
    params: Annotated[Path, typer.Option("--params", help="Parameter file.")] = Path("params.yaml"),
) -> None:
    """Write judged alarms into videos.csv and segments.csv: wrong ones make a video normal, others become segments.

    The changes are shown first. If any row of the file cannot be used, nothing is changed.
    """
    from avadclip import config
    from avadclip.interop.corrections import apply as applying
    from avadclip.interop.corrections.plan import make_plan

    plan = make_plan(corrections, dataset, config.load(params), videos, move_to_training)
    edits = applying.edits(plan)
    if plan.changes:
        console.print(_table(plan, dataset))
    for note in [*plan.notes, *applying.notes(edits)]:
        typer.echo(printable(f"note: {note}"))
    if not plan.changes:
        typer.echo(plan.summary)
    elif dry_run or not (yes or typer.confirm(f"Write {' and '.join(map(str, edits.files))}?")):
        typer.echo(f"nothing is written; it would be: {plan.summary}")
    else:
        edits.write()
        typer.echo(f"{plan.summary}; now: dvc repro")


def _table(plan: "Plan", dataset: str) -> Table:
    table = Table(title=f"{dataset}: what changes", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("video", "labels", "become", "events"):
        table.add_column(column, overflow="fold")
    unit = plan.tables.unit
    for change in plan.changes:
        becomes = "|".join(change.labels) + (", moves from test to training" if change.is_moved else "")
        events = [f"- {_told(span, unit)}" for span in change.removed] + [
            f"+ {_told(span, unit)}" for span in change.added
        ]
        cells = (change.target.id, "|".join(change.was) or "(is added)", becomes, "\n".join(events))
        table.add_row(*(escape(printable(cell)) for cell in cells))
    return table


def _told(span: "Span", unit: str) -> str:
    within = "s" if unit == "seconds" else f"{unit}s"
    return f"{span.label} {span.start:g} to {span.end:g} {within}"
