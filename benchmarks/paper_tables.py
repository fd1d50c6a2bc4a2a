"""The demo world's tables of docs/tables.md, made from the records in docs/records/demo.

First, in a clone, run ``for t in vi vii viii; do avadclip recipe table_$t --add; done``, set three seeds in
``params.yaml``, and run ``dvc repro evaluate@demo``. Then, here, ``python -m benchmarks.paper_tables CLONE`` copies the
clone's records and writes the page. Without a clone it writes the page from the records that are here.
"""

import re
from pathlib import Path
from typing import Annotated

import typer

from avadclip import config, paths
from avadclip.io import write_text
from avadclip.tables.records import Record, read_records
from avadclip.tables.rendering import markdown
from avadclip.tables.sheets import sheet

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "tables.md"
RECORDS = ROOT / "docs" / "records" / "demo"
NUMBERS = ("VI", "VII", "VIII", "IX")
MARKS = tuple(f"<!-- tables of the demo world: {end} -->\n" for end in ("begin", "end"))


def main(clone: Annotated[Path | None, typer.Argument(help="A project whose demo has been evaluated.")] = None) -> None:
    """Copy the records of a project, if one is named, and write the page."""
    if clone is not None:
        take(read_records(clone / paths.records("demo")))
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8"), read_records(RECORDS)))


def take(records: list[Record]) -> None:
    """Replace the records that are here by these."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    for old in RECORDS.glob("*.json"):
        old.unlink()
    for record in records:
        write_text(RECORDS / f"{record.name}.json", record.model_dump_json() + "\n")


def page(text: str, records: list[Record]) -> str:
    """Return the page with the tables of these records between its marks."""
    params = config.load(ROOT / "params.yaml")
    seeds = {len(record.runs) for record in records if record.detector.kind}
    tables = "\n".join(markdown(sheet(number, records, [], params)) for number in NUMBERS)
    said = f"Over {' or '.join(map(str, sorted(seeds)))} seeds, by `python -m benchmarks.paper_tables`:\n\n"
    begin, end = MARKS
    return re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}{said}{tables}{end}", text)


if __name__ == "__main__":
    typer.run(main)
