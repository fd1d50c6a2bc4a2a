"""CCTV-Fights_sub: surveillance videos with fights.

``annotations`` is a folder with ``annotations.txt`` (the fights of the 157 test videos, all of one class) and,
optionally, ``test_ids.txt`` with more test videos, for example normal ones; the published test set has none. All
other files below ``videos`` are for training.

File names contain labels as in XD-Violence (``fight_0006_label_B1-0-0``, ``..._label_A``). In CCTV-Fights itself the
same video is called ``fight_0006``; this name is accepted too, and means a fight.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from avadclip.config.datasets import Dataset
from avadclip.datasets import annotation_text, official
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.label_codes import labels_of
from avadclip.datasets.model import Listing
from avadclip.errors import DatasetError

_FIGHT = "fighting"
_ORIGINAL_NAME = re.compile(r"fight_\d+")


def load(dataset: Dataset, files: VideoFiles) -> Listing:
    """Read the annotations and the labels in the names of `files`.

    Raises
    ------
    DatasetError : the files contradict each other, or a name has no label.
    """
    folder = Path(dataset.annotations)
    annotated = annotation_text.read_spans(folder / "annotations.txt")
    _by_original_name(annotated, folder / "annotations.txt")  # two lines for one video are an error
    more_test_ids = folder / "test_ids.txt"
    test_names = {*annotated, *(annotation_text.read_ids(more_test_ids) if more_test_ids.exists() else ())}

    id_of = _by_original_name(files.by_id(), files.folder)
    annotated = {id_of.get(_original_name(name), name): segments for name, segments in annotated.items()}
    test_ids = {id_of.get(_original_name(name), name) for name in test_names}

    labels = {id_: _labels(id_) for id_ in {*id_of.values(), *test_ids}}
    official.check_annotated(folder / "annotations.txt", annotated, test_ids, labels)
    segments = tuple(
        replace(segment, id=id_, label=_FIGHT) for id_, segments in annotated.items() for segment in segments
    )
    return Listing(official.listed_videos(files, labels, test_ids), segments)


def _labels(id_: str) -> tuple[str, ...]:
    return (_FIGHT,) if _ORIGINAL_NAME.fullmatch(id_) else labels_of(id_)


def _original_name(id_: str) -> str:
    return id_.partition("_label_")[0]


def _by_original_name(ids: Iterable[str], place: str | Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for id_ in ids:
        other = found.setdefault(_original_name(id_), id_)
        if other != id_:
            raise DatasetError(f"{place}: {other!r} and {id_!r} are the same video of CCTV-Fights; keep one of them")
    return found
