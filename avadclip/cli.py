"""``avadclip ...``: the command line. The stages of the pipeline do not use it."""

import json
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avadclip import config, paths, scripting
from avadclip.commands import corrections, interop, labels, sharing
from avadclip.commands.choose import choose
from avadclip.commands.encoders import train_audio_encoder
from avadclip.commands.predict import predict
from avadclip.commands.table import table
from avadclip.config import Params
from avadclip.errors import AvadclipError, printable, refused_write

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Audio-visual video anomaly detection.")
features = typer.Typer(no_args_is_help=True, help="Show, check and merge feature stores, and clean the work cache.")
app.add_typer(features, name="features")
label_files = typer.Typer(no_args_is_help=True, help="Convert temporal labels from and to other programs.")
app.add_typer(label_files, name="labels")
judged = typer.Typer(no_args_is_help=True, help="Turn judged alarms into labels.")
app.add_typer(judged, name="corrections")
console = Console()

ParamsFile = Annotated[Path, typer.Option("--params", help="Parameter file.")]
DatasetName = Annotated[str | None, typer.Argument(help="A data set of the parameter file; default: all of them.")]


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Print an :class:`AvadclipError`, or a refused write, as a message, without a traceback, and exit with 1."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except AvadclipError as error:
            typer.echo(printable(f"error: {error}"), err=True)
            raise typer.Exit(1) from None
        except OSError as error:
            if (refused := refused_write(error)) is None:
                raise
            typer.echo(printable(f"error: {refused}"), err=True)
            raise typer.Exit(1) from None

    return guarded


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"avadclip {version('avadclip')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    scripting.end_quickly()


app.command()(one_line_errors(train_audio_encoder))
app.command()(one_line_errors(predict))
app.command()(one_line_errors(choose))
app.command()(one_line_errors(table))
for interop_command in interop.COMMANDS:
    app.command()(one_line_errors(interop_command))


@app.command()
@one_line_errors
def recipe(
    name: Annotated[
        str | None, typer.Argument(help="A published data set, `zoo`, or a table (`table_i` ...); default: list them.")
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Add it to the parameter file.")] = False,
    dataset: Annotated[str | None, typer.Option(help="For a table: the data set that it is about.")] = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Print the block of params.yaml for a published data set, all published detectors, or a table of the paper."""
    from avadclip import recipes
    from avadclip.recipes import table_variants

    if name is None:
        typer.echo("\n".join([*recipes.names(), *recipes.detector_names(), *recipes.TABLES]))
    elif add and name in recipes.TABLES:
        new = table_variants.add(name, params, dataset)
        targets = f"dvc repro evaluate@{dataset}" if dataset else "dvc repro"
        typer.echo(f"{params}: added {', '.join(new) or 'nothing, everything is there'}; `{targets}` fills the table")
    elif add and name in recipes.detector_names():
        new = recipes.add_detectors(name, params)
        typer.echo(f"{params}: {len(new)} more variants under train, which are scored: {', '.join(new) or 'none'}")
    elif add:
        recipes.add(name, params)
        typer.echo(f"{params}: added datasets.{name}")
    else:
        typer.echo(recipes.read(name), nl=False)


@app.command()
@one_line_errors
def results(dataset: DatasetName = None, params: ParamsFile = Path("params.yaml")) -> None:
    """Print the headline metrics of every scored detector, and where to find the rest."""
    from avadclip.evaluation.headline import read_headline

    names = _chosen(config.load(params), dataset)
    evaluated = [name for name in names if paths.details(name).exists()]
    for name in names:
        if evaluated and name not in evaluated:
            typer.echo(f"{name}: not evaluated yet; run `dvc repro`", err=True)
            continue
        found = read_headline(name)
        title = f"{name}, test split, strict protocol, in percent"
        if found.confidence is not None:
            title += f", with {100 * found.confidence:g}% intervals"
        # Fits into a terminal of 80 columns.
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("detector", no_wrap=True)
        for column in found.columns:
            table.add_column(column, justify="right")
        for row in found.rows:
            table.add_row(*row)
        console.print(table)
        for limit in found.limits:
            console.print(f"note: {escape(limit)}", soft_wrap=True, highlight=False)
        # Lines, not cells, so that paths are not wrapped.
        for what, path in (
            ("all numbers", paths.summary(name)),
            ("timelines", paths.figures(name)),
            ("to look at", paths.report(name) / "report.html"),
        ):
            console.print(f"{what}: {path}", soft_wrap=True, highlight=False)


@app.command()
@one_line_errors
def threshold(
    dataset: Annotated[str, typer.Argument(help="Name of a data set in the parameters.")],
    detector: Annotated[str | None, typer.Option(help="A variant; default: the one that decides.")] = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Print what each threshold would give on the test videos: false alarms per hour, events caught."""
    from avadclip.evaluation.budget import level_lines
    from avadclip.evaluation.trade_off import read_rows

    loaded = config.load(params)
    loaded.dataset(dataset)
    name = detector or loaded.score.detector
    table = Table(title=f"{dataset}, {name}, test split", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("threshold", "false alarms / h", "events caught, %"):
        table.add_column(column, justify="right")
    for row in read_rows(dataset, name):
        table.add_row(*row)
    console.print(table)
    if loaded.evaluate.budget is None:
        console.print(f"now: evaluate.alarm_threshold {loaded.evaluate.level:g}; choose it on other videos")
    else:
        console.print(f"now: evaluate.alarm_threshold {{false_alarms_per_hour: {loaded.evaluate.budget:g}}}")
        for line in level_lines(dataset, name):
            console.print(line, soft_wrap=True, highlight=False)


@features.command()
@one_line_errors
def show(dataset: DatasetName = None, params: ParamsFile = Path("params.yaml")) -> None:
    """Show what the feature stores contain and how they were made."""
    from avadclip.store import audit
    from avadclip.store.work_cache import WorkCache

    loaded = config.load(params)
    for name, modality in _stores(loaded, dataset):
        folder = paths.features(name, modality)
        if not folder.is_dir():
            console.print(f"[bold]{folder}[/bold]: nothing extracted yet")
            continue
        holdings = audit.describe(folder)
        table = Table("", "", title=str(folder), show_header=False, title_justify="left")
        table.add_row("videos", f"{holdings.n_videos}, {holdings.n_bytes / 1e6:.1f} MB")
        table.add_row("snippets", f"{holdings.n_snippets}, {holdings.n_valid_snippets} valid")
        table.add_row("read by", ", ".join(f"{decoder}: {n}" for decoder, n in sorted(holdings.decoders.items())))
        for key, value in holdings.recipe.items():
            table.add_row(key, json.dumps(value))
        console.print(table)
    usage = WorkCache(Path(loaded.extraction.work_cache)).usage()
    console.print(f"work cache {loaded.extraction.work_cache}: {usage.n_files} files, {usage.n_bytes / 1e6:.1f} MB")


@features.command()
@one_line_errors
def verify(dataset: DatasetName = None, params: ParamsFile = Path("params.yaml")) -> None:
    """Check every feature file: checksum, recipe and source, and that none is missing or superfluous. Exit 1 if not."""
    from avadclip.extraction.modalities import recipes
    from avadclip.store import audit

    loaded = config.load(params)
    found = 0
    for name, modality in _stores(loaded, dataset):
        n_problems = 0
        for problem in audit.problems(name, modality, recipes(loaded)[name][modality]):
            n_problems += 1
            typer.echo(printable(problem), err=True)
        typer.echo(f"{paths.features(name, modality)}: {n_problems or 'no'} problems")
        found += n_problems
    raise typer.Exit(1 if found else 0)


@features.command()
@one_line_errors
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, params: ParamsFile = Path("params.yaml")
) -> None:
    """Remove from the work cache what the current parameters and manifests do not need."""
    from avadclip.extraction.modalities import recipes
    from avadclip.store import audit
    from avadclip.store.work_cache import WorkCache

    loaded = config.load(params)
    cache = WorkCache(Path(loaded.extraction.work_cache))
    keep = audit.current_fingerprints(recipes(loaded))
    unneeded = cache.usage(without=keep)
    size = f"{unneeded.n_files} files, {unneeded.n_bytes / 1e6:.1f} MB"
    if unneeded.n_files and (yes or typer.confirm(f"Remove {size}? Going back to earlier parameters will cost time.")):
        cache.prune(keep)
        typer.echo(f"removed {size}")
    else:
        typer.echo(f"nothing removed ({size} are not needed now)")


features.command()(one_line_errors(sharing.extract))
features.command()(one_line_errors(sharing.merge))
features.command()(one_line_errors(sharing.compare))


@label_files.callback()
def _labels() -> None:
    """A group, although it has only one command."""


label_files.command()(one_line_errors(labels.convert))


@judged.callback()
def _corrections() -> None:
    """A group, although it has only one command."""


judged.command()(one_line_errors(corrections.apply))


@app.command()
@one_line_errors
def doctor(params: ParamsFile = Path("params.yaml")) -> None:
    """Check this machine for problems that would stop a run, and say what to do. Exit 1 if there is one."""
    from avadclip.commands.doctor import examine

    colours = {"ok": "green", "warning": "yellow", "problem": "red"}
    findings = list(examine(config.load(params)))
    for finding in findings:
        # Lines, not a table, so that addresses and paths are not wrapped.
        status = f"[{colours[finding.status]}]{finding.status:8}[/]"
        console.print(status, escape(f"{finding.subject}: {finding.found}"), soft_wrap=True, highlight=False)
        if finding.advice:
            console.print(" " * 8, escape(finding.advice), soft_wrap=True, highlight=False)
    raise typer.Exit(1 if any(finding.status == "problem" for finding in findings) else 0)


def _chosen(params: Params, dataset: str | None) -> list[str]:
    if dataset is not None:
        params.dataset(dataset)  # refuses an unknown name
    return [dataset] if dataset is not None else list(params.datasets)


def _stores(params: Params, dataset: str | None) -> list[tuple[str, str]]:
    return [(name, modality) for name in _chosen(params, dataset) for modality in params.dataset(name).modalities]
