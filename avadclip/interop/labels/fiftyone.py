"""``labels.json`` of a FiftyOneTemporalDetectionDataset (https://docs.voxel51.com), only written; times in seconds."""

from pathlib import Path

from avadclip.datasets import ids
from avadclip.errors import DatasetError
from avadclip.interop.labels import json_file
from avadclip.interop.labels.model import Clock, Labels


class FiftyOne:
    """Beside the file belongs the folder ``data`` with the videos, whose names without the suffix are the keys."""

    suffix, one_video = ".json", False

    def read(self, path: Path, clock: Clock) -> Labels:
        raise DatasetError(f"{path}: FiftyOne's labels are written and not read; export them as ActivityNet or CSV")

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        classes = sorted({e.label for events in labels.values() for e in events})
        detections = {
            ids.from_name(video): [
                {"label": classes.index(e.label), "timestamps": [e.start_seconds, e.end_seconds]} for e in events
            ]
            for video, events in labels.items()
        }
        json_file.write(path, {"classes": classes, "labels": detections})
