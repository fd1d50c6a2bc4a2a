"""A CSV table as text: rows that do not change keep their bytes, so that git shows only the changes."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Cells = Sequence[str]


class Record(NamedTuple):
    """A row as text, with its line end; `line` is the last line that it is on."""

    line: int
    raw: str
    cells: tuple[str, ...]


def read_records(path: Path) -> list[Record]:
    """The header and all rows of a table that a strict reader has accepted."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(path.read_bytes().decode("utf-8"), newline=""):
            taken.append(line)
            yield line

    records = []
    reader = csv.reader(lines(), strict=True)
    for cells in reader:
        records.append(Record(reader.line_num, "".join(taken), tuple(cells)))
        taken.clear()
    return records


def edited(
    records: Sequence[Record],
    changed: Mapping[int, Cells | None],
    added: Mapping[int, Sequence[Cells]],
    column: Mapping[int, str] | None = None,
) -> str:
    """The text of a table after a change.

    Parameters
    ----------
    changed : line -> all its new cells; None: it is removed.
    added : line -> new rows after it.
    column : line -> cell of one more column, at the end of lines that are not in `changed`.
    """
    end = _split_end(records[0].raw)[1] or "\n"
    parts: list[str] = []
    for line, raw, _ in records:
        row, own_end = _split_end(raw)
        if line in changed:
            cells = changed[line]
            parts += [] if cells is None else [_joined(cells), end]
        else:
            parts += [row, "" if column is None else f",{column.get(line, '')}", own_end or end]
        for cells in added.get(line, ()):
            parts += [_joined(cells), end]
    return "".join(parts)


def _split_end(raw: str) -> tuple[str, str]:
    row = raw.rstrip("\r\n")
    return row, raw[len(row) :]


def _joined(cells: Cells) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
