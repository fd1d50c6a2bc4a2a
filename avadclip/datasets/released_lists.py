"""The authors' lists: which feature files train and which test.

``xd_CLIP_rgb.csv`` (training) has a line for each view of a video, ``xd_CLIP_rgbtest.csv`` one for each test video,
both with the columns ``path`` (``.../<id>__<view>.npy``), ``audio_path`` (``.../<id>.npy``) and ``label``
(``B1-0-0``). The folders in them are those of the authors' machine; only the names count.

Views are numbered as our `ten_crop` is ordered: 0 is the centre, 5 its mirror image. The published test list names view
5 of all 800 videos, so that is what the published numbers were computed on; the paper says "centre crop".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from avadclip.datasets import csv_file, ids
from avadclip.datasets.csv_file import Row
from avadclip.datasets.label_codes import labels_of_codes
from avadclip.datasets.model import Split
from avadclip.errors import DatasetError

TRAIN_LIST, TEST_LIST = "xd_CLIP_rgb.csv", "xd_CLIP_rgbtest.csv"
HEADER = ("path", "audio_path", "label")
SUFFIX = ".npy"
_VISUAL_NAME = re.compile(r"(?P<id>.+)__(?P<view>\d+)\.npy")


@dataclass(frozen=True)
class ListedFeatures:
    """One video of the lists."""

    id: str
    split: Split
    labels: tuple[str, ...]
    views: tuple[int, ...]  # in the order of the list


def visual_name(id_: str, view: int) -> str:
    """File name of one view of one video."""
    return f"{id_}__{view}{SUFFIX}"


def audio_name(id_: str) -> str:
    """File name of the sound of one video."""
    return f"{id_}{SUFFIX}"


def parse_visual_name(name: str) -> tuple[str, int] | None:
    """Id and view; None if the name is of another form."""
    match = _VISUAL_NAME.fullmatch(name)
    return (match["id"], int(match["view"])) if match else None


def read_lists(folder: Path) -> tuple[ListedFeatures, ...]:
    """Read both lists, sorted by id. Without the training list there are only test videos.

    Raises
    ------
    DatasetError : no test list, lines that are not valid (all of them are named), or a video in both lists.
    """
    if not (folder / TEST_LIST).is_file():
        raise DatasetError(
            f"{folder / TEST_LIST}: no such file; the lists are in the folder `list` of the authors' repository"
        )
    test = _read(folder / TEST_LIST, "test")
    train = _read(folder / TRAIN_LIST, "train") if (folder / TRAIN_LIST).is_file() else {}
    if both := sorted(train.keys() & test.keys()):
        raise DatasetError(f"{folder}: {len(both)} videos are in both lists, the first of them {both[0]!r}")
    ids.check_distinct([*train, *test])
    return tuple(sorted([*train.values(), *test.values()], key=lambda video: video.id))


def write_list(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write a list; `rows` are the cells of `HEADER`."""
    csv_file.write(path, HEADER, rows)


def _read(path: Path, split: Split) -> dict[str, ListedFeatures]:
    videos: dict[str, ListedFeatures] = {}
    for line in csv_file.parse_all(csv_file.read(path, HEADER, strip=True), lambda row: _line(row, split)):
        before = videos.get(line.id)
        if before is not None and (line.views[0] in before.views or line.labels != before.labels):
            raise DatasetError(f"{path}: {visual_name(line.id, line.views[0])} appears twice, or with another label")
        videos[line.id] = line if before is None else replace(before, views=before.views + line.views)
    return videos


def _line(row: Row, split: Split) -> ListedFeatures:
    name = PurePosixPath(row.text("path")).name
    found = parse_visual_name(name)
    if found is None:
        row.fail("path", f"expected <id>__<view>{SUFFIX}, found {name!r}")
    id_, view = found
    audio = PurePosixPath(row.text("audio_path")).name
    if audio != audio_name(id_):
        row.fail("audio_path", f"expected {audio_name(id_)!r}, which belongs to {name!r}, found {audio!r}")
    try:
        ids.check(id_)
        labels = labels_of_codes(row.text("label"))
    except DatasetError as error:
        row.fail("label" if "label code" in str(error) else "path", str(error))
    return ListedFeatures(id_, split, labels, (view,))
