"""CSV of the VGG Image Annotator 3 (https://www.robots.ox.ac.uk/~vgg/software/via), temporal segments in seconds.

After lines of comments, one of which names the attributes, a row has the columns ``metadata_id, file_list, flags,
temporal_coordinates, spatial_coordinates, metadata``; all except the flags are JSON. The label is the value of an
attribute: the name of an option, or free text. Regions of single frames are skipped.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avadclip.errors import DatasetError
from avadclip.interop.labels.model import Clock, Event, Labels, event, grouped
from avadclip.io import write_text

MARK = "# Exported using VGG Image Annotator"
_COLUMNS = "metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata"
_SELECT = 4  # type of an attribute: one out of its options


class Via:
    """All videos in one file; those without events have no row."""

    suffix, one_video = ".csv", False

    def read(self, path: Path, clock: Clock) -> Labels:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{path}: not readable as UTF-8 text: {error}") from None
        options = _options(path, lines)
        events: list[tuple[str, Event]] = []
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.startswith("#"):
                events += _events(f"{path}, line {number}", line, options)
        return grouped(events)

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        names = sorted({e.label for events in labels.values() for e in events})
        attribute = {
            "aname": "label",
            "anchor_id": "FILE1_Z2_XY0",
            "type": _SELECT,
            "desc": "",
            "options": {str(number): name for number, name in enumerate(names)},
            "default_option_id": "",
        }
        text = io.StringIO()
        text.write(f"{MARK} (http://www.robots.ox.ac.uk/~vgg/software/via)\n# ATTRIBUTE = ")
        text.write(f"{_json({'1': attribute})}\n# CSV_HEADER = {_COLUMNS}\n")
        rows = csv.writer(text, lineterminator="\n")
        for view, (video, events) in enumerate(labels.items(), start=1):
            for number, e in enumerate(events):
                times = [round(e.start_seconds, 6), round(e.end_seconds, 6)]
                chosen = {"1": str(names.index(e.label))}
                rows.writerow([f"{view}_{number}", _json([video]), 0, _json(times), "[]", _json(chosen)])
        write_text(path, text.getvalue())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _options(path: Path, lines: list[str]) -> dict[str, dict[str, str]]:
    """Attribute -> option -> its name."""
    for line in lines:
        name, _, value = line.removeprefix("#").strip().partition(" = ")
        if line.startswith("#") and name in ("ATTRIBUTE", "ATTRIBUTES"):
            try:
                found = json.loads(value)
                return {key: dict(one["options"]) for key, one in found.items() if isinstance(one, dict)}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DatasetError(f"{path}: the attributes are not as VIA writes them: {error}") from None
    return {}


def _events(where: str, line: str, options: dict[str, dict[str, str]]) -> Iterator[tuple[str, Event]]:
    try:
        (cells,) = csv.reader([line], strict=True)
        _, files, _, temporal, spatial, metadata = cells[:6]
        (video,), times, region, values = (json.loads(cell) for cell in (files, temporal, spatial, metadata))
        labels = [name for key, value in values.items() for name in _names(str(value), options.get(key, {}))]
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DatasetError(f"{where}: expected {_COLUMNS}, found {line[:80]!r} ({error})") from None
    if region or len(times) != 2:
        return
    if not labels:
        raise DatasetError(f"{where}: a segment without a label; choose one in VIA")
    for label in labels:
        yield str(video), event(where, label, *times)


def _names(value: str, options: dict[str, str]) -> list[str]:
    if not options:
        return [value] if value.strip() else []
    return [options.get(option, option) for option in value.split(",") if option]  # check boxes give several
