"""Label Studio's JSON of video timelines (https://labelstud.io/tags/timelinelabels): frames from 1, both ends included.

A task names its video in ``data``; its results of type ``timelinelabels`` have ``ranges``, and labels for them.
"""

from pathlib import Path, PurePosixPath
from typing import Any

from avadclip.errors import DatasetError
from avadclip.interop.labels import json_file
from avadclip.interop.labels.json_file import expect
from avadclip.interop.labels.model import Clock, Event, Labels, event


class LabelStudio:
    """All videos in one file; those without events stay. Of several annotations of a task, the last counts."""

    suffix, one_video = ".json", False

    def read(self, path: Path, clock: Clock) -> Labels:
        found: dict[str, tuple[Event, ...]] = {}
        for number, task in enumerate(expect(str(path), json_file.read(path), list)):
            where = f"{path}, task {number}"
            video = _video(where, expect(where, task, dict))
            if video in found:
                raise DatasetError(f"{where}: {video!r} has a task already; keep one of them")
            kept = [a for a in expect(where, task.get("annotations"), list) if not a.get("was_cancelled")]
            results = expect(where, kept[-1].get("result"), list) if kept else []
            found[video] = tuple(e for result in results for e in _events(where, video, result, clock))
        return found

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        tasks = []
        for video, events in labels.items():
            results = []
            for number, e in enumerate(events):
                start = clock.frame(video, e.start_seconds) + 1
                end = max(clock.frame(video, e.end_seconds), start)
                value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [e.label]}
                results.append(
                    {
                        "id": str(number),
                        "type": "timelinelabels",
                        "from_name": "videoLabels",
                        "to_name": "video",
                        "value": value,
                    }
                )
            tasks.append({"data": {"video": video}, "annotations": [{"result": results}]})
        json_file.write(path, tasks)


def _video(where: str, task: dict[str, Any]) -> str:
    data = expect(f"{where}, data", task.get("data"), dict)
    names = [data["video"]] if "video" in data else [value for value in data.values() if isinstance(value, str)]
    if len(names) != 1 or not isinstance(names[0], str):
        raise DatasetError(f"{where}: expected the video as `data.video`, found {', '.join(data) or 'nothing'}")
    return PurePosixPath(names[0]).name


def _events(where: str, video: str, result: Any, clock: Clock) -> list[Event]:
    if expect(where, result, dict).get("type") != "timelinelabels":
        return []
    value = expect(f"{where}, value", result.get("value"), dict)
    events = []
    for span in expect(f"{where}, ranges", value.get("ranges"), list):
        first, last = (
            expect(f"{where}, {edge}", expect(where, span, dict).get(edge), int) for edge in ("start", "end")
        )
        if not 1 <= first <= last:
            raise DatasetError(f"{where}: expected frames 1 <= start <= end, found {first} and {last}")
        times = clock.seconds(video, first - 1), clock.seconds(video, last)
        labels = expect(f"{where}, timelinelabels", value.get("timelinelabels"), list)
        events += [event(where, label, *times) for label in labels]
    return events
