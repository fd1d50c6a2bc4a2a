"""UCF-Crime (Sultani et al., CVPR 2018): 1,610 videos for training, 290 for testing, 13 classes, named by their files.

``annotations`` is a folder with two official files: ``Anomaly_Train.txt`` (one path per line) and the annotation of the
test videos, ``Temporal_Anomaly_Annotation.txt`` or ``Temporal_Anomaly_Annotation_for_Testing_Videos.txt``: ``<name>
<class> <start> <end> <start> <end>``, with -1 where there is no (second) event. Folders in names do not count. Files
below ``videos`` that are in neither, such as those for event recognition, are left out.

Frames count from 0 and ranges are half-open, as in the ground truth that evaluations use (``gt[start:end] = 1``,
nwpu-zxr/VadCLIP and tianyu0207/RTFM); the authors' own Matlab code includes both ends.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from avadclip.config.datasets import Dataset
from avadclip.datasets import annotation_text, ids, official
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.model import NORMAL, Listing, Segment
from avadclip.errors import DatasetError

logger = logging.getLogger(__name__)

TRAIN = "Anomaly_Train.txt"
TEST = ("Temporal_Anomaly_Annotation.txt", "Temporal_Anomaly_Annotation_for_Testing_Videos.txt")
# As in the file names -> as in `classes`, which are the text prompts.
CLASSES = {
    "Normal": NORMAL,
    "Abuse": "abuse",
    "Arrest": "arrest",
    "Arson": "arson",
    "Assault": "assault",
    "Burglary": "burglary",
    "Explosion": "explosion",
    "Fighting": "fighting",
    "RoadAccidents": "road accidents",
    "Robbery": "robbery",
    "Shooting": "shooting",
    "Shoplifting": "shoplifting",
    "Stealing": "stealing",
    "Vandalism": "vandalism",
}
_NAME = re.compile(r"(?P<label>[A-Za-z]+?)(_Videos_?)?\d+_x264.*")


def load(dataset: Dataset, files: VideoFiles) -> Listing:
    """Read both lists.

    Raises
    ------
    DatasetError : a list is missing, a line is not valid, or a video is in both.
    """
    folder = Path(dataset.annotations)
    found = _test_list(folder)
    segments = _read(found)
    train_ids = annotation_text.read_ids(folder / TRAIN)
    if both := sorted(segments.keys() & set(train_ids)):
        raise DatasetError(f"{folder}: {len(both)} videos are in both lists, the first of them {both[0]!r}")
    labels = {id_: labels_of(id_, folder) for id_ in (*train_ids, *segments)}
    _check_annotated(found, segments, {id_: labels[id_] for id_ in segments})
    every = tuple(segment for own in segments.values() for segment in own)
    official.warn_of_other_labels(every, labels)
    if unlisted := files.by_id().keys() - labels.keys():
        logger.info("%s: %d files are in no list, %r among them", files.folder, len(unlisted), min(unlisted))
    return Listing(official.listed_videos(files, labels, segments), every)


def read_segments(folder: Path, labels: official.Labels) -> tuple[Segment, ...]:
    """Segments of the test videos that another list names, in its order.

    Parameters
    ----------
    labels : of each of these test videos.

    Raises
    ------
    DatasetError : a line is not valid, or the annotated videos are not the anomalous ones of that list.
    """
    path = _test_list(folder)
    found = _read(path)
    _check_annotated(path, found, labels)
    return tuple(segment for id_ in labels for segment in found.get(id_, ()))


def _check_annotated(path: Path, found: Mapping[str, tuple[Segment, ...]], labels: official.Labels) -> None:
    official.check_annotated(path, {id_ for id_, own in found.items() if own}, labels, labels)


def _test_list(folder: Path) -> Path:
    return next((folder / name for name in TEST if (folder / name).is_file()), folder / TEST[0])


def _read(path: Path) -> dict[str, tuple[Segment, ...]]:
    found: dict[str, tuple[Segment, ...]] = {}
    for number, line in annotation_text.lines(path):
        where, words = f"{path}, line {number}", line.split()
        if len(words) != 6 or words[1] not in CLASSES:
            known = ", ".join(CLASSES)
            raise DatasetError(
                f"{where}: expected <name> <class> and four frames, with a class of {known}, found {line!r}"
            )
        id_ = ids.from_name(PurePosixPath(words[0]).name)
        if id_ in found:
            raise DatasetError(f"{where}: {id_!r} appears twice")
        spans = [span for span in (words[2:4], words[4:6]) if span != ["-1", "-1"]]
        if spans and CLASSES[words[1]] == NORMAL:
            raise DatasetError(f"{where}: expected -1 four times after the class Normal, found {' '.join(words[2:])}")
        found[id_] = tuple(_segment(where, id_, CLASSES[words[1]], span) for span in spans)
    return found


def _segment(where: str, id_: str, label: str, span: list[str]) -> Segment:
    start, end = span
    if not (start.isdecimal() and end.isdecimal() and int(start) < int(end)):
        raise DatasetError(f"{where}: expected start frame < end frame, or -1 twice, found {start} {end}")
    return Segment(id_, label, int(start), int(end))


def labels_of(id_: str, folder: Path) -> tuple[str, ...]:
    """The class in a video's name; :class:`DatasetError` if there is none.

    Parameters
    ----------
    folder : of the list that names it, for the message.
    """
    match = _NAME.fullmatch(id_)
    if match is None or match["label"] not in CLASSES:
        raise DatasetError(
            f"{folder}: expected a name of UCF-Crime such as Abuse001_x264, found {id_!r}; take the official lists"
        )
    return (CLASSES[match["label"]],)
