"""``avadclip export-features``: a feature store -> .npy files and lists in the authors' layout.

``visual/<id>__<view>.npy`` (float16 [n, width]), ``audio/<id>.npy`` (float16 [n, width], zero where there is no sound),
and ``list/`` with both lists and both annotation files. Our tests use view 0, so the test list names it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip import paths
from avadclip.datasets.ground_truth import anomalous_spans, class_segments, read_ground_truth
from avadclip.datasets.label_codes import CLASS_OF_CODE
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.datasets.released_lists import TEST_LIST, TRAIN_LIST, audio_name, visual_name, write_list
from avadclip.errors import DatasetError, FeatureError
from avadclip.io import replacing, write_text
from avadclip.store.video import Folders, open_folders, read_video

MAX_LABELS = 3
TESTED_VIEW = 0
CODE_OF_CLASS = {name: code for code, name in CLASS_OF_CODE.items()}


@dataclass(frozen=True)
class Exported:
    """How much was written."""

    n_videos: int
    n_files: int


def export_features(name: str, out: Path) -> Exported:
    """Write the features of every video of the manifest that is not excluded.

    Raises
    ------
    FeatureError : a feature file is missing or damaged, or the modalities have different numbers of snippets.
    DatasetError : a class has no code in the authors' lists.
    """
    videos = [video for video in read_manifest(paths.manifest(name)) if not video.excluded]
    labels = {video.id: _label(video) for video in videos}
    _write_annotations(out / "list", read_ground_truth(paths.ground_truth(name)))
    folders = open_folders(name, ("visual", "audio"))
    n_views = {video.id: _export(video.id, folders, out) for video in videos}
    for file, split in ((TRAIN_LIST, "train"), (TEST_LIST, "test")):
        rows = [
            (
                str((out / "visual" / visual_name(video.id, view)).resolve()),
                str((out / "audio" / audio_name(video.id)).resolve()),
                labels[video.id],
            )
            for video in videos
            if video.split == split
            for view in (range(n_views[video.id]) if split == "train" else [TESTED_VIEW])
        ]
        write_list(out / "list" / file, rows)
    return Exported(len(videos), sum(n_views.values()) + len(videos))


def _export(id_: str, folders: Folders, out: Path) -> int:
    features = read_video(folders, id_)
    if features.visual is None or features.audio is None:
        raise FeatureError(f"{id_}: a modality has no features; run `dvc repro`")
    for view, rows in enumerate(features.visual):
        _save(out / "visual" / visual_name(id_, view), rows)
    _save(out / "audio" / audio_name(id_), features.audio)
    return len(features.visual)


def _save(path: Path, rows: NDArray[Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, rows, allow_pickle=False)


def _label(video: Video) -> str:
    """``B1-B2-0`` as in the lists; a normal video is ``A``."""
    unknown = [name for name in video.labels if name not in CODE_OF_CLASS]
    if unknown or len(video.labels) > MAX_LABELS:
        raise DatasetError(
            f"{video.id}: labels {', '.join(video.labels)} cannot be written: the authors' lists have codes for up to"
            f" {MAX_LABELS} of {', '.join(CODE_OF_CLASS)}"
        )
    codes = [CODE_OF_CLASS[name] for name in video.labels]
    return codes[0] if video.is_normal else "-".join(codes + ["0"] * (MAX_LABELS - len(codes)))


def _write_annotations(folder: Path, segments: Sequence[Segment]) -> None:
    """``<id> <start> <end> ...`` and ``<id> <code> <start> <end> ...``, one line per video."""
    by_id: dict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        by_id[segment.id].append(segment)
    spans = {id_: [f"{a} {b}" for a, b in anomalous_spans(found)] for id_, found in by_id.items()}
    labelled = {
        id_: [f"{CODE_OF_CLASS.get(s.label, s.label)} {s.start_frame} {s.end_frame}" for s in class_segments(found)]
        for id_, found in by_id.items()
    }
    for file, events in (("annotations.txt", spans), ("annotations_multiclasses.txt", labelled)):
        lines = [" ".join([id_, *words]) for id_, words in sorted(events.items())]
        write_text(folder / file, "".join(f"{line}\n" for line in lines))
