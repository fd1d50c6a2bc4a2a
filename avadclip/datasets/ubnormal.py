"""UBnormal (Acsintoae et al., CVPR 2022): rendered scenes, split by its lists, one class.

``annotations`` is a folder with the lists of lilygeorgescu/UBnormal (``scripts``), ``normal_training_video_names.txt``,
``abnormal_training_video_names.txt`` and the same for ``test``, with one name per line. When something happens is in
``<name>_tracks.txt``, which the data set has beside each abnormal video in ``<name>_annotations``: one line
``<object>,<first frame>,<last frame>`` per object, frames counted from 0, the last one included
(``ground_truth[start : end + 1] = 1``). These files are below ``videos`` or below ``annotations``. Objects that are
abnormal at the same time are one event.

The videos of the validation lists are left out: weak supervision has no frame labels for a choice.
"""

import logging
from pathlib import Path

from avadclip.config.datasets import Dataset
from avadclip.datasets import annotation_text, official
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.ground_truth import union
from avadclip.datasets.model import NORMAL, Listing, Segment, Split
from avadclip.errors import DatasetError, listed

logger = logging.getLogger(__name__)

ANOMALY = "anomaly"
_LISTS: tuple[tuple[Split, str], ...] = (("train", "training"), ("test", "test"))
_TRACKS = "_tracks.txt"


def load(dataset: Dataset, files: VideoFiles) -> Listing:
    """Read the lists, and the tracks of the abnormal test videos.

    Raises
    ------
    DatasetError : a list or a file of tracks is missing, a line is not valid, or a video is in two lists.
    """
    folder = Path(dataset.annotations)
    labels: dict[str, tuple[str, ...]] = {}
    splits: dict[str, Split] = {}
    for split, part in _LISTS:
        for kind, label in (("normal", NORMAL), ("abnormal", ANOMALY)):
            list_ = folder / f"{kind}_{part}_video_names.txt"
            for id_ in annotation_text.read_ids(list_):
                if id_ in labels:
                    raise DatasetError(f"{list_}: {id_!r} is in another list too; remove it from one")
                labels[id_], splits[id_] = (label,), split
    if unlisted := files.by_id().keys() - labels.keys():
        logger.info("%s: %d files are in none of these lists, %r among them", folder, len(unlisted), min(unlisted))
    test_ids = [id_ for id_, split in splits.items() if split == "test"]
    tracks = {path.name: path for place in (files.folder, folder) for path in sorted(Path(place).rglob(f"*{_TRACKS}"))}
    abnormal = [id_ for id_ in test_ids if labels[id_] == (ANOMALY,)]
    if absent := [id_ for id_ in abnormal if f"{id_}{_TRACKS}" not in tracks]:
        raise DatasetError(
            f"{files.folder}, {folder}: {len(absent)} abnormal test videos have no file <name>{_TRACKS}:"
            f" {listed(absent)}; take them from <name>_annotations of the data set"
        )
    segments = (segment for id_ in abnormal for segment in _events(id_, tracks[f"{id_}{_TRACKS}"]))
    return Listing(official.listed_videos(files, labels, test_ids), tuple(segments))


def _events(id_: str, path: Path) -> list[Segment]:
    spans = [_track(f"{path}, line {number}", line) for number, line in annotation_text.lines(path)]
    return [Segment(id_, ANOMALY, start, end) for start, end in union(spans)]


def _track(where: str, line: str) -> tuple[int, int]:
    try:
        _object, first, last = (float(word) for word in line.split(","))
    except ValueError:
        raise DatasetError(f"{where}: expected <object>,<first frame>,<last frame>, found {line[:80]!r}") from None
    if not (first.is_integer() and last.is_integer() and 0 <= first <= last):
        raise DatasetError(f"{where}: expected frames 0 <= first <= last, found {line[:80]!r}")
    return int(first), int(last) + 1
