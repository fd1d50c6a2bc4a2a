"""ActivityNet's JSON: ``{"database": {video: {"annotations": [{"segment": [start, end], "label": name}]}}}``, seconds.

Its evaluation and many tools read it; http://activity-net.org.
"""

from pathlib import Path

from avadclip.interop.labels import json_file
from avadclip.interop.labels.json_file import expect
from avadclip.interop.labels.model import Clock, Labels, event


class ActivityNet:
    """All videos in one file; those without events stay."""

    suffix, one_video = ".json", False

    def read(self, path: Path, clock: Clock) -> Labels:
        content = expect(str(path), json_file.read(path), dict)
        database = expect(f"{path}, database", content.get("database"), dict)
        found = {}
        for video, entry in database.items():
            where = f"{path}, database.{video}"
            annotations = expect(f"{where}.annotations", expect(where, entry, dict).get("annotations"), list)
            events = []
            for number, annotation in enumerate(annotations):
                here = f"{where}.annotations.{number}"
                segment = expect(f"{here}.segment", expect(here, annotation, dict).get("segment"), list)
                events.append(event(here, annotation.get("label"), *(*segment, None, None)[:2]))
            found[video] = tuple(events)
        return found

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        database = {
            video: {
                "annotations": [{"segment": [e.start_seconds, e.end_seconds], "label": e.label} for e in events],
            }
            for video, events in labels.items()
        }
        json_file.write(path, {"version": "VERSION 1.3", "database": database})
