"""Features that other papers released, by their layout: lists of files -> the tables of kind ``features``.

- VadCLIP (AAAI 2024), its folder ``list``: ``ucf_CLIP_rgb.csv`` or ``xd_CLIP_rgb.csv`` with a line for each of ten
  views, ``..._rgbtest.csv`` with one view of each test video (which its authors chose), and the official annotations.
- XD-Violence (ECCV 2020): ``rgb.list`` with five crops of I3D features, ``audio.list`` with VGGish features
  ``<id>__vggish.npy``, ``rgb_test.list`` and ``audio_test.list``; the annotations are those of the data set.

Folders in the lists are those of the authors' machines; only the names count.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avadclip.config.features import Modality
from avadclip.datasets import annotation_text, csv_file, ids, ucf_crime, xd_violence
from avadclip.datasets.feature_tables import SEGMENTS, VIDEOS
from avadclip.datasets.label_codes import labels_of
from avadclip.datasets.model import ANY_CLASS, ListedVideo, Segment, Split
from avadclip.datasets.released_lists import parse_visual_name
from avadclip.errors import DatasetError

_VGGISH = "__vggish.npy"


@dataclass(frozen=True)
class ReleasedLists:
    """The content of the lists of a release.

    Attributes
    ----------
    files : name of a file -> its name in a data set of kind ``features``, for each modality.
    frame_rate : frames per second of the videos, which is not in the features.
    text_tower : the CLIP that made the visual features; None: another network made them.
    """

    videos: tuple[ListedVideo, ...]
    segments: tuple[Segment, ...]
    files: Mapping[Modality, Mapping[str, str]]
    extractors: Mapping[Modality, str]
    frame_rate: float
    text_tower: str | None
    stride: int = 16

    def write_tables(self, folder: Path) -> None:
        """Write ``videos.csv`` and ``segments.csv``."""
        csv_file.write(
            folder / VIDEOS,
            ("video", "labels", "split"),
            [(video.id, "|".join(video.labels), video.split) for video in self.videos],
        )
        csv_file.write(
            folder / SEGMENTS,
            ("video", "label", "start_frame", "end_frame"),
            [(s.id, s.label, str(s.start_frame), str(s.end_frame)) for s in self.segments],
        )


def read_released_lists(folder: Path) -> ReleasedLists | None:
    """Read a folder of lists; None if their layout is not known.

    Raises
    ------
    DatasetError : a line is not valid, a video is in both splits, or an annotation file is missing.
    """
    for list_, read in _LAYOUTS.items():
        if (folder / list_).is_file():
            return read(folder)
    return None


def _vadclip_ucf(folder: Path) -> ReleasedLists | None:
    train, test = _views(folder / "ucf_CLIP_rgb.csv"), _views(folder / "ucf_CLIP_rgbtest.csv")
    return _release(
        folder,
        train,
        test,
        label=lambda id_: ucf_crime.labels_of(id_, folder),
        segments=lambda labels: ucf_crime.read_segments(folder, labels),
        extractors={"visual": "CLIP ViT-B/16, released by VadCLIP"},
        frame_rate=30.0,
        text_tower="ViT-B-16-quickgelu",
    )


def _vadclip_xd(folder: Path) -> ReleasedLists | None:
    if _header(folder / "xd_CLIP_rgb.csv") != "path,label":
        return None  # AVadCLIP's lists have the same names, and a column for sound
    return _release(
        folder,
        _views(folder / "xd_CLIP_rgb.csv"),
        _views(folder / "xd_CLIP_rgbtest.csv"),
        label=labels_of,
        segments=lambda labels: _xd_segments(folder, labels),
        extractors={"visual": "CLIP ViT-B/16, released by VadCLIP"},
        frame_rate=24.0,
        text_tower="ViT-B-16-quickgelu",
    )


def _i3d(folder: Path) -> ReleasedLists | None:
    audio = [folder / name for name in ("audio.list", "audio_test.list")]
    sound = [id_ for list_ in audio if list_.is_file() for id_ in _sounds(list_)]
    return _release(
        folder,
        _views(folder / "rgb.list"),
        _views(folder / "rgb_test.list"),
        label=labels_of,
        segments=lambda labels: _xd_segments(folder, labels),
        extractors={"visual": "I3D, released with XD-Violence", "audio": "VGGish, released with XD-Violence"},
        frame_rate=24.0,
        text_tower=None,
        sounds=sound,
    )


_LAYOUTS: dict[str, Callable[[Path], ReleasedLists | None]] = {
    "ucf_CLIP_rgb.csv": _vadclip_ucf,
    "xd_CLIP_rgb.csv": _vadclip_xd,
    "rgb.list": _i3d,
}

_Views = Mapping[str, list[str]]  # id -> names of files


def _release(
    folder: Path,
    train: _Views,
    test: _Views,
    *,
    label: Callable[[str], tuple[str, ...]],
    segments: Callable[[Mapping[str, tuple[str, ...]]], tuple[Segment, ...]],
    extractors: Mapping[Modality, str],
    frame_rate: float,
    text_tower: str | None,
    sounds: list[str] | None = None,
) -> ReleasedLists:
    if both := sorted(train.keys() & test.keys()):
        raise DatasetError(f"{folder}: {len(both)} videos are in both lists, the first of them {both[0]!r}")
    splits: dict[str, Split] = {**dict.fromkeys(train, "train"), **dict.fromkeys(test, "test")}
    labels = {id_: label(id_) for id_ in splits}
    found = segments({id_: labels[id_] for id_ in test})
    for segment in found:  # one test video of XD-Violence is annotated with another class than its name has
        if segment.label not in (ANY_CLASS, *labels[segment.id]):
            labels[segment.id] += (segment.label,)
    files: dict[Modality, dict[str, str]] = {
        "visual": {name: name for views in (*train.values(), *test.values()) for name in views}
    }
    if sounds:
        files["audio"] = {f"{id_}{_VGGISH}": f"{id_}.npy" for id_ in sounds if id_ in splits}
    return ReleasedLists(
        videos=tuple(ListedVideo(id_, None, splits[id_], labels[id_]) for id_ in sorted(splits)),
        segments=found,
        files=files,
        extractors=extractors,
        frame_rate=frame_rate,
        text_tower=text_tower,
    )


def _xd_segments(folder: Path, labels: Mapping[str, tuple[str, ...]]) -> tuple[Segment, ...]:
    for name in ("annotations.txt", "annotations_multiclasses.txt"):
        if not (folder / name).is_file():
            raise DatasetError(
                f"{folder / name}: no such file; XD-Violence's project page has it, and VadCLIP's repository in `list`:"
                " copy it beside the lists"
            )
    return xd_violence.read_segments(folder, labels, labels)


def _views(list_: Path) -> _Views:
    found: dict[str, list[str]] = defaultdict(list)
    for where, name in _names(list_):
        parsed = parse_visual_name(name)
        if parsed is None:
            raise DatasetError(f"{where}: expected <id>__<view>.npy, found {name!r}")
        ids.check(parsed[0])
        if name in found[parsed[0]]:
            raise DatasetError(f"{where}: {name!r} appears twice")
        found[parsed[0]].append(name)
    return found


def _sounds(list_: Path) -> Iterator[str]:
    for where, name in _names(list_):
        if not name.endswith(_VGGISH):
            raise DatasetError(f"{where}: expected <id>{_VGGISH}, found {name!r}")
        yield name.removesuffix(_VGGISH)


def _names(list_: Path) -> Iterator[tuple[str, str]]:
    """The place of each line, and the file name in it."""
    if not list_.is_file():
        raise DatasetError(f"{list_}: no such file; it belongs to the lists beside it")
    if list_.suffix == ".csv":
        for row in csv_file.read(list_, ("path", "label"), strip=True):
            yield f"{list_}, line {row.line}", PurePosixPath(row.text("path")).name
    else:
        for number, line in annotation_text.lines(list_):
            yield f"{list_}, line {number}", PurePosixPath(line).name


def _header(list_: Path) -> str:
    with list_.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline(200).strip()
