"""Stage ``prepare`` for released features: lists, annotations and .npy files -> rows of manifest and ground truth.

The release does not say how many frames a video has. It has whole snippets only, so ``n_frames`` is n x 16, and up to
15 frames at the end of a video are ignored, as in the authors' evaluation; annotations that reach into them are cut.
XD-Violence has 24 frames per second, which converts frames to seconds and hours.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avadclip.config.datasets import Dataset
from avadclip.config.features import ReleasedAudio
from avadclip.datasets.csv_file import did_you_mean
from avadclip.datasets.exclusion import unusable_message
from avadclip.datasets.model import Segment, Video
from avadclip.datasets.prepare import Prepared
from avadclip.datasets.released_files import Release, VideoFiles, check_lengths, load_rows
from avadclip.datasets.released_lists import ListedFeatures
from avadclip.datasets.xd_violence import read_segments
from avadclip.errors import DatasetError

logger = logging.getLogger(__name__)

FRAME_RATE = 24.0
# A video may be almost a snippet longer than its features, and annotations may be a second off, as elsewhere.
MAX_FRAMES_BEYOND = 16 + 24


@dataclass(frozen=True)
class _Contents:
    """What the files of one video contain."""

    files: VideoFiles
    n_snippets: int
    widths: tuple[int, int]  # of visual and audio features
    has_audio: bool


def prepare_release(name: str, dataset: Dataset) -> Prepared:
    """Open every listed file, check that they belong together, and convert the annotations to frames.

    Raises
    ------
    DatasetError : lists and annotations contradict each other; or files are missing or do not belong together, all of
        them in one error, with the lines that exclude them.
    """
    found = _find(name, dataset, check_sound=False)  # extraction does, by a parameter of its own
    videos = tuple(_row(video, found.contents.get(video.id), dataset) for video in found.listed)
    n_test = sum(video.split == "test" for video in videos if not video.excluded)
    n_used = len(found.contents)
    logger.info(
        "%s: released features of %d videos (%d train, %d test), %d excluded",
        *(name, n_used, n_used - n_test, n_test, len(videos) - n_used),
    )
    return Prepared(videos, found.segments)


def check_release(name: str, dataset: Dataset) -> None:
    """Raise everything that :func:`prepare_release` and extraction would raise, in one error."""
    _find(name, dataset, check_sound=True)


@dataclass(frozen=True)
class _Found:
    listed: tuple[ListedFeatures, ...]
    contents: dict[str, _Contents]
    segments: tuple[Segment, ...]


def _find(name: str, dataset: Dataset, check_sound: bool) -> _Found:
    release = Release.of(dataset)
    listed = tuple(release.listed.values())
    labels = {video.id: video.labels for video in listed}
    _check_exclude(dataset, labels)
    test_ids = [video.id for video in listed if video.split == "test"]
    segments = read_segments(Path(dataset.annotations), test_ids, labels)

    contents, problems = _open_all(release, dataset)
    annotated: dict[str, list[Segment]] = defaultdict(list)
    for segment in segments:
        annotated[segment.id].append(segment)
    fitted = []
    for id_, found in contents.items():
        try:
            n_frames = found.n_snippets * dataset.visual.stride
            fitted += [_cut(segment, n_frames) for segment in annotated[id_]]
            if check_sound and isinstance(dataset.audio, ReleasedAudio):
                check_lengths(found.n_snippets, len(load_rows(found.files.audio)), dataset.audio)
        except DatasetError as error:
            problems.setdefault(id_, str(error))
    if problems:
        raise DatasetError(unusable_message(name, problems, len(listed)))
    return _Found(listed, contents, tuple(fitted))


def _open_all(release: Release, dataset: Dataset) -> tuple[dict[str, _Contents], dict[str, str]]:
    """The contents of each video that is not excluded, and what is wrong with those that cannot be used."""
    contents, problems = {}, {}
    for video in release.listed.values():
        if video.id not in dataset.exclude:
            try:
                contents[video.id] = _open(release.files(video.id))
            except DatasetError as error:
                problems[video.id] = str(error)
    usual = Counter(found.widths for found in contents.values()).most_common(1)
    for id_, found in contents.items():
        if found.widths != usual[0][0]:
            problems[id_] = f"features of width {found.widths} (visual, audio); the others have {usual[0][0]}"
    views = Counter(len(video.views) for video in release.listed.values() if video.split == "train").most_common(1)
    for video in release.listed.values():
        if video.split == "train" and video.id not in dataset.exclude and len(video.views) != views[0][0]:
            problems.setdefault(video.id, f"{len(video.views)} views are listed; the others have {views[0][0]}")
    return contents, problems


def _open(files: VideoFiles) -> _Contents:
    if missing := files.missing:
        raise DatasetError(f"no file {', '.join(missing)}")
    views = [load_rows(path) for path in files.views]
    if len({rows.shape for rows in views}) > 1:
        shapes = ", ".join(f"{path.name} {rows.shape}" for path, rows in zip(files.views, views, strict=True))
        raise DatasetError(f"its views differ in shape: {shapes}")
    sound = load_rows(files.audio)
    return _Contents(files, len(views[0]), (views[0].shape[1], sound.shape[1]), has_audio=bool(np.any(sound)))


def _cut(segment: Segment, n_frames: int) -> Segment:
    if segment.start_frame >= n_frames or segment.end_frame > n_frames + MAX_FRAMES_BEYOND:
        raise DatasetError(
            f"annotated {segment.label} from frame {segment.start_frame} to {segment.end_frame}, but there are features"
            f" of only {n_frames} frames: they belong to another version of the video"
        )
    return Segment(segment.id, segment.label, segment.start_frame, min(segment.end_frame, n_frames))


def _row(video: ListedFeatures, found: _Contents | None, dataset: Dataset) -> Video:
    if found is None:
        return Video(video.id, "", video.split, video.labels, 0, 0.0, False, "", dataset.exclude[video.id])
    n_frames = found.n_snippets * dataset.visual.stride
    path, content_hash = found.files.views[0].as_posix(), found.files.content_hash
    return Video(video.id, path, video.split, video.labels, n_frames, FRAME_RATE, found.has_audio, content_hash)


def _check_exclude(dataset: Dataset, known: Mapping[str, object]) -> None:
    for id_, reason in dataset.exclude.items():
        if id_ not in known:
            raise DatasetError(f"`exclude` names {id_!r}, but no list does{did_you_mean(id_, known)}")
        if not reason.strip():
            raise DatasetError(f"`exclude` gives no reason for {id_!r}; write one, which is reported with the metrics")
