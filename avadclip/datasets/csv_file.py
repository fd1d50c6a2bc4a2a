"""Strict reading of CSV tables: every error names file, line and column."""

import codecs
import csv
import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO, TypeVar

from avadclip.datasets.ids import composed
from avadclip.errors import DatasetError
from avadclip.io import replacing

S = TypeVar("S")
T = TypeVar("T")
_MOST_PROBLEMS = 20
_LONGEST_LINE = 1 << 20  # characters; a file without line ends would be read into memory whole
_SHOWN = 200  # characters of what was found, in a message
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # a byte order mark, which spreadsheets write
_MOST_DIGITS = 18  # of a whole number, so that it fits into 64 bits


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, with typed access to its cells."""

    path: Path
    line: int
    cells: dict[str, str]

    def fail(self, column: str, message: str) -> NoReturn:
        """Raise a :class:`DatasetError` that points at one cell."""
        raise DatasetError(f"{self.path}, line {self.line}, column {column}: {message}")

    def text(self, column: str) -> str:
        """A cell that must not be empty."""
        return self.cells[column] or self.fail(column, "empty")

    def choice(self, column: str, known: Sequence[str], value: str | None = None) -> str:
        """A cell (or `value`, a part of it) that must be one of `known`, in the Unicode form NFC."""
        value = composed(self.cells[column] if value is None else value)
        if value not in known:
            self.fail(column, f"{value!r} is not one of {', '.join(known)}{did_you_mean(value, known)}")
        return value

    def whole(self, column: str) -> int:
        """A cell with a whole number >= 0."""
        value = self.cells[column]
        # int() would also take "1_000", "+7" and Arabic digits.
        if not (value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS):
            self.fail(column, f"expected a whole number >= 0, found {shortened(value)!r}")
        return int(value)

    def number(self, column: str) -> float:
        """A cell with a finite number >= 0."""
        try:
            value = float(self.cells[column])
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            self.fail(column, f"expected a number >= 0, found {self.cells[column]!r}")
        return value


def shortened(text: str) -> str:
    """A text as a message shows it: a long one is cut."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of a text file, with their ends.

    Raises
    ------
    DatasetError : a line is too long for a table or a list.
    """
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise DatasetError(f"{path}, line {number}: longer than {_LONGEST_LINE} characters; is it a text file?")
        yield line


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest of `known`, or nothing."""
    near = difflib.get_close_matches(value, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def read(path: Path, *headers: tuple[str, ...], strip: bool = False) -> list[Row]:
    """Read a table whose header is one of `headers`; a byte order mark and CRLF are accepted.

    Parameters
    ----------
    headers : the column names allowed in line 1.
    strip : take white space off both ends of each cell (for tables that people write).

    Raises
    ------
    DatasetError : no such file, not UTF-8, another header, or a line with more or fewer cells than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_rows(path, file, headers, strip))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; expected a table with the header {_spelt(headers)}") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{_undecodable(path)}; save it as CSV UTF-8") from None
    except OSError as error:
        raise DatasetError(f"{path}: not readable as UTF-8 CSV: {error}") from None


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table atomically: UTF-8, line ends `\\n`; the same rows are always the same bytes."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def parse_all(rows: Iterable[S], parse: Callable[[S], T]) -> list[T]:
    """Apply `parse` to each row. The errors of several rows become one, with a line for each of the first 20."""
    parsed, problems = [], []
    for row in rows:
        try:
            parsed.append(parse(row))
        except DatasetError as error:
            problems.append(str(error))
        if len(problems) == _MOST_PROBLEMS:
            problems.append("... and perhaps more")
            break
    if problems:
        raise DatasetError("\n".join(problems))
    return parsed


def _rows(path: Path, file: TextIO, headers: Sequence[tuple[str, ...]], strip: bool) -> Iterator[Row]:
    records = _records(path, file)
    _, first = next(records, (1, []))
    header = tuple(name.strip() for name in first)
    if header not in headers:
        found = repr(shortened(",".join(header))) if header else "nothing"
        raise DatasetError(f"{path}, line 1: expected the header {_spelt(headers)}, found {found}")
    for line, cells in records:
        if not any(cell.strip() for cell in cells) and (strip or not cells):
            continue  # an empty line, which a spreadsheet writes as a row of commas
        if len(cells) != len(header):
            found = shortened(",".join(cells))
            raise DatasetError(f"{path}, line {line}: expected {len(header)} cells, found {len(cells)}: {found}")
        texts = [cell.strip() for cell in cells] if strip else cells
        yield Row(path, line, dict(zip(header, texts, strict=True)))


def _records(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """The last line and the cells of each record."""
    records = csv.reader(lines(path, file), strict=True)
    while True:
        first_line = records.line_num + 1
        try:
            cells = next(records, None)
        except csv.Error as error:
            raise DatasetError(
                f"{path}, line {first_line}: not readable as UTF-8 CSV: {error}; if it begins a cell with a quotation"
                " mark, end the cell with one, and double those in between"
            ) from None
        if cells is None:
            return
        yield records.line_num, cells


def _undecodable(path: Path) -> str:
    """The first line of a file that is not UTF-8, and what is there."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            number += 1
            try:
                line.decode()
            except UnicodeDecodeError as error:
                found = "it is UTF-16" if line.startswith(_UTF_16) else f"found byte {line[error.start]:#04x}"
                return f"{path}, line {number}: not readable as UTF-8 CSV: {found}"
    return f"{path}: not readable as UTF-8 CSV"


def _spelt(headers: Sequence[tuple[str, ...]]) -> str:
    return " or ".join(",".join(header) for header in headers)
