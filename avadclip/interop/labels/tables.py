"""CSV of our own: ``segments.csv`` of a table, and the one that ``avadclip predict`` writes.

Columns `video` (or `id`) and `label`, and `start_seconds` with `end_seconds`, or `start_frame` with `end_frame`. If
all four exist, seconds count; other columns are ignored. A video without events has no row.
"""

import csv
from pathlib import Path

from avadclip.datasets import csv_file
from avadclip.datasets.csv_file import Row
from avadclip.errors import DatasetError
from avadclip.interop.labels.model import Clock, Event, Labels, event, grouped

_HEADER = ("video", "label", "start_{}", "end_{}")


class Table:
    """Times in seconds, or in frames.

    Parameters
    ----------
    unit : the one that is written.
    """

    suffix, one_video = ".csv", False

    def __init__(self, unit: str = "seconds") -> None:
        self._unit = unit

    def read(self, path: Path, clock: Clock) -> Labels:
        return grouped(csv_file.parse_all(_rows(path), lambda row: _event(row, clock)))

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        rows = []
        for video, events in labels.items():
            for e in events:
                times = (e.start_seconds, e.end_seconds)
                if self._unit == "seconds":
                    cells = [f"{seconds:.6f}" for seconds in times]
                else:
                    start, end = (clock.frame(video, seconds) for seconds in times)
                    cells = [str(start), str(max(end, start + 1))]
                rows.append((video, e.label, *cells))
        csv_file.write(path, [column.format(self._unit) for column in _HEADER], rows)


def _rows(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = [name.strip() for name in next(lines, [])]
            rows = []
            for cells in lines:
                if not any(cell.strip() for cell in cells):
                    continue  # an empty line, which a spreadsheet writes as a row of commas
                if len(cells) != len(header):
                    raise DatasetError(
                        f"{path}, line {lines.line_num}: expected {len(header)} cells, found {len(cells)}"
                    )
                rows.append(Row(path, lines.line_num, dict(zip(header, cells, strict=True))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: not readable as UTF-8 CSV: {error}") from None
    known = set(header)
    if not (known & {"video", "id"} and "label" in known and _unit(known)):
        expected = " or ".join(",".join(_HEADER).format(unit, unit) for unit in ("seconds", "frame"))
        raise DatasetError(f"{path}, line 1: expected the columns {expected}, found {','.join(header) or 'nothing'}")
    return rows


def _unit(columns: set[str]) -> str | None:
    return next((unit for unit in ("seconds", "frame") if {f"start_{unit}", f"end_{unit}"} <= columns), None)


def _event(row: Row, clock: Clock) -> tuple[str, Event]:
    video = row.text("video" if "video" in row.cells else "id").strip()
    unit = _unit(set(row.cells))
    read = row.number if unit == "seconds" else row.whole
    times = [read(f"{edge}_{unit}") for edge in ("start", "end")]
    if unit == "frame":
        times = [clock.seconds(video, int(frame)) for frame in times]
    return video, event(f"{row.path}, line {row.line}", row.cells["label"], *times)
