"""``corrections.csv``: one row per judged alarm, as the page saves it. UTF-8, header :data:`HEADER`.

- `dataset`: name of the data set; empty if `avadclip predict` made the page.
- `video`: its id. `content_hash`: sha256 of its file, as in ``manifest.csv``; empty if unknown.
- `judgement`: `right`, `wrong`, `unsure` or `other_class`.
- `start_seconds`, `end_seconds`: edges of the event as the person left them, and `class`, which counts if there is an
  event (`right` and `other_class`).
- `alarm_start_seconds`, `alarm_end_seconds`, `alarm_class`: the alarm as it was raised.

Seconds count from the first frame, as in ``segments.csv``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from avadclip.datasets import csv_file
from avadclip.datasets.csv_file import Row, shortened
from avadclip.errors import DatasetError

HEADER = (
    *("dataset", "video", "content_hash", "judgement", "start_seconds", "end_seconds", "class"),
    *("alarm_start_seconds", "alarm_end_seconds", "alarm_class"),
)
JUDGEMENTS = ("right", "wrong", "unsure", "other_class")
UNNAMED = "anomaly"  # class of an alarm if the detector names no classes
_EVENTS = ("right", "other_class")
_MOST_BYTES = 64 << 20  # some 400,000 judgements, more than a person makes in a lifetime
_SHA256 = re.compile("[0-9a-f]{64}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")  # no sign, exponent or NaN, as in tables


@dataclass(frozen=True)
class Judged:
    """One judged alarm; `row` is its row in the file. Spans are [start, end) in seconds."""

    row: Row
    judgement: str
    label: str  # as the person left it; empty unless this is an event
    span: tuple[float, float]  # as the person left it
    alarm_label: str
    alarm_span: tuple[float, float]

    @property
    def dataset(self) -> str:
        """Name of the data set; empty if the video is in none."""
        return self.row.cells["dataset"]

    @property
    def video(self) -> str:
        """Id of the video."""
        return self.row.cells["video"]

    @property
    def content_hash(self) -> str:
        """sha256 of the video file; empty if it is not known."""
        return self.row.cells["content_hash"]

    @property
    def is_event(self) -> bool:
        """Whether it is an event."""
        return self.judgement in _EVENTS


def read_corrections(path: Path) -> list[Judged]:
    """Read the file; whether its videos and classes exist is not checked here.

    Raises
    ------
    DatasetError : no such file, too large, cut off, another header, no rows; or one line for each wrong cell and each
        alarm that is judged twice, with file, line and column.
    """
    if path.is_file() and (size := path.stat().st_size) > _MOST_BYTES:
        raise DatasetError(f"{path}: expected at most {_MOST_BYTES} bytes, found {size}; is it a file of corrections?")
    rows = csv_file.read(path, HEADER)
    if not path.read_bytes().endswith(b"\n"):  # the page ends every line
        raise DatasetError(f"{path}: expected a last line that ends, found none: it is cut off; save it again")
    if not rows:
        raise DatasetError(
            f"{path}: expected judgements, found the header only; judge alarms on the page and save them again"
        )
    line_of: dict[tuple[object, ...], int] = {}

    def parse(row: Row) -> Judged:
        judged = _judged(row)
        first = line_of.setdefault((judged.dataset, judged.video, judged.alarm_span), row.line)
        if first != row.line:
            row.fail(
                "video", f"the same alarm as in line {first}; expected each alarm once, so remove one of the lines"
            )
        return judged

    return csv_file.parse_all(rows, parse)


def _judged(row: Row) -> Judged:
    row.text("video")
    judgement = row.choice("judgement", JUDGEMENTS)
    if (found := row.cells["content_hash"]) and not _SHA256.fullmatch(found):
        row.fail("content_hash", f"expected 64 hexadecimal digits, found {shortened(found)!r}; save the file again")
    return Judged(
        row=row,
        judgement=judgement,
        label=row.text("class") if judgement in _EVENTS else "",
        span=_span(row, "start_seconds", "end_seconds"),
        alarm_label=row.cells["alarm_class"],
        alarm_span=_span(row, "alarm_start_seconds", "alarm_end_seconds"),
    )


def _span(row: Row, start_column: str, end_column: str) -> tuple[float, float]:
    start, end = _seconds(row, start_column), _seconds(row, end_column)
    if start >= end:
        row.fail(end_column, f"expected an end after the start {start:.3f}, found {end:.3f}; drag an edge, save again")
    return start, end


def _seconds(row: Row, column: str) -> float:
    if not _SECONDS.fullmatch(found := row.cells[column]):
        row.fail(column, f"expected seconds >= 0 such as 12.500, found {shortened(found)!r}; save the file again")
    return float(found)
