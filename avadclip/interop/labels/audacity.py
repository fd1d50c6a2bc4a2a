"""Audacity's label tracks: one line ``start<TAB>end<TAB>label`` per event, in seconds; one file per video."""

from pathlib import Path

from avadclip.errors import DatasetError
from avadclip.interop.labels.model import Clock, Event, Labels, event, one_line
from avadclip.io import write_text


class Audacity:
    """Lines that begin with a backslash are frequency ranges, which are skipped."""

    suffix, one_video = ".txt", True

    def read(self, path: Path, clock: Clock) -> Labels:
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: not readable as UTF-8 text: {error}") from None
        numbered = [(number, line.rstrip("\r")) for number, line in enumerate(lines, start=1)]
        events = [
            _event(f"{path}, line {number}", line)
            for number, line in numbered
            if line.strip() and not line.startswith("\\")
        ]
        return {path.stem: tuple(events)}

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        (events,) = labels.values()
        lines = [f"{e.start_seconds:.6f}\t{e.end_seconds:.6f}\t{one_line(e.label)}\n" for e in events]
        write_text(path, "".join(lines))


def _event(where: str, line: str) -> Event:
    cells = line.split("\t")
    if len(cells) < 3:
        raise DatasetError(f"{where}: expected start, end and label with tabs between them, found {line!r}")
    return event(where, "\t".join(cells[2:]), cells[0], cells[1])
