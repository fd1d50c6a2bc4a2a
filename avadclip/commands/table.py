"""``avadclip table``: a table of the paper, from records of results alone."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from avadclip import config, paths
from avadclip.errors import ConfigError, EvaluationError
from avadclip.io import write_text

ALL = "all"


class Format(StrEnum):
    """How a table is printed."""

    text = "text"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"


def table(
    number: Annotated[str, typer.Argument(help="I to IX, or `all`, which writes files.")],
    dataset: Annotated[str | None, typer.Option(help="A data set; default: all that have been evaluated.")] = None,
    as_format: Annotated[Format, typer.Option("--format", help="Format of the printed table.")] = Format.text,
    theirs: Annotated[list[Path] | None, typer.Option("--with", help="A folder with records of others.")] = None,
    params: Annotated[Path, typer.Option("--params", help="Parameter file.")] = Path("params.yaml"),
) -> None:
    """Print a table of the paper, I to IX, of our results; `all` writes results/<data set>/tables/ in every format."""
    from avadclip.tables.comparing import Found
    from avadclip.tables.layout import TABLES
    from avadclip.tables.records import read_records
    from avadclip.tables.rendering import ENDINGS, FORMATS
    from avadclip.tables.sheets import sheet

    numbers = list(TABLES) if number == ALL else [number.upper()]
    if unknown := [name for name in numbers if name not in TABLES]:
        raise ConfigError(f"no table {unknown[0]!r}; there are: {', '.join([*TABLES, ALL])}")
    loaded = config.load(params)
    foreign = [Found(record, str(folder)) for folder in theirs or [] for record in read_records(folder)]
    if dataset is not None:
        loaded.dataset(dataset)
    evaluated = [name for name in loaded.datasets if paths.records(name).is_dir()]
    if not (names := [dataset] if dataset else evaluated):
        raise EvaluationError("no data set has been evaluated here; run `dvc repro`, or `dvc pull`")
    for name in names:
        own = read_records(paths.records(name))
        for sheet_of in (sheet(one, own, foreign, loaded) for one in numbers):
            if number != ALL:
                typer.echo(FORMATS[as_format](sheet_of))
                continue
            for kind, render in FORMATS.items():
                write_text(paths.tables(name) / f"table_{sheet_of.number.lower()}.{ENDINGS[kind]}", render(sheet_of))
        if number == ALL:
            typer.echo(f"{paths.tables(name)}: {len(numbers)} tables")
