"""Stage ``prepare`` for features of any extractor: arrays and two tables -> rows of manifest and ground truth.

The tables are those of :mod:`avadclip.datasets.feature_tables`. Only the number of whole snippets of a video is known,
so ``n_frames`` is n x stride.
"""

import json
import logging
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip.config.datasets import Dataset
from avadclip.config.features import Extraction, ImportedAudio, ImportedVisual
from avadclip.datasets.array_files import ArrayFiles, Arrays, check_lengths, load_sound, load_views
from avadclip.datasets.array_shapes import Contents, check_axes, check_sound_axis, log_shapes, note_odd
from avadclip.datasets.doubts import log_unlisted, warn_of_copies, warn_of_unsegmented, warn_of_untaught
from avadclip.datasets.exclusion import unusable_message
from avadclip.datasets.feature_tables import read_tables
from avadclip.datasets.frame_spans import fit
from avadclip.datasets.model import ListedVideo, Listing, Segment, Video
from avadclip.datasets.prepare import Prepared
from avadclip.datasets.probe_cache import ProbeCache
from avadclip.errors import DatasetError

logger = logging.getLogger(__name__)

_FACTS_VERSION = 2  # of `_facts`; raise it when they are found in another way, so that none are recalled


@dataclass(frozen=True)
class EvenFrames:
    """The timeline of a video of which only the features are known: frames at a constant rate."""

    n_frames: int
    frame_rate: float

    @cached_property
    def frame_seconds(self) -> NDArray[np.float64]:
        return np.arange(self.n_frames) / self.frame_rate

    @property
    def end_seconds(self) -> float:
        return self.n_frames / self.frame_rate


def prepare_features(name: str, dataset: Dataset, settings: Extraction) -> Prepared:
    """Read every array once, check that all belong together, and convert the segments to frames.

    Files that have not changed since the last run (path, size and time) are not read again.

    Parameters
    ----------
    settings : say where the cache is: ``probes.sqlite`` beside the work cache.

    Raises
    ------
    DatasetError : cells of the tables are wrong, one line for each; or arrays are missing, damaged or do not belong
        together, all of them in one error, with the lines that exclude them.
    """
    files = ArrayFiles(dataset)
    listing = read_tables(dataset, files.ids)
    with ProbeCache.open(settings.probes) as cache:
        contents, problems = _open_all(listing.videos, files, dataset, cache)
    check_axes(name, listing.videos, contents, dataset)
    note_odd(listing.videos, contents, problems)
    n_unknown_frames = dataset.visual.stride - 1  # a video may be almost a snippet longer than its features
    segments: list[Segment] = []
    misfits: dict[str, list[str]] = defaultdict(list)
    for segment in listing.segments:
        if segment.id in contents:
            try:
                segments.append(fit(segment, _timeline(contents[segment.id], dataset), n_unknown_frames))
            except DatasetError as error:
                misfits[segment.id].append(str(error))
    for id_, reasons in misfits.items():
        problems.setdefault(id_, "; ".join(reasons))
    if problems:
        raise DatasetError(unusable_message(name, problems, len(listing.videos)))
    videos = tuple(_row(video, contents.get(video.id), dataset) for video in listing.videos)
    _log(name, videos)
    log_shapes(name, listing.videos, contents, dataset)
    _log_doubts(name, dataset, files, listing, videos)
    return Prepared(videos, tuple(segments))


def _open_all(
    listed: tuple[ListedVideo, ...], files: ArrayFiles, dataset: Dataset, cache: ProbeCache
) -> tuple[dict[str, Contents], dict[str, str]]:
    contents, problems, facts = {}, {}, {}
    how = dataset.model_dump_json(include={"visual", "audio"})
    for video in listed:
        if video.id not in dataset.exclude:
            try:
                key, contents[video.id] = _look_up(files.of(video.id), dataset, how, cache)
                facts[key] = _facts(contents[video.id])
            except DatasetError as error:
                problems[video.id] = str(error)
    cache.note(facts)
    return contents, problems


def _look_up(files: Arrays, dataset: Dataset, how: str, cache: ProbeCache) -> tuple[str, Contents]:
    states = [(str(path), *_state(path)) for path in (*files.visual, *files.audio)]
    key = json.dumps([_FACTS_VERSION, states, how])
    known = cache.recall(key)
    return key, _open(files, dataset) if known is None else Contents(files, **json.loads(known))


def _facts(found: Contents) -> str:
    return json.dumps({name: value for name, value in vars(found).items() if name != "files"})


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}; copy it again, or leave the video out") from None
    return status.st_size, status.st_mtime_ns


def _open(files: Arrays, dataset: Dataset) -> Contents:
    visual, audio = dataset.visual, dataset.audio
    assert isinstance(visual, ImportedVisual)
    assert isinstance(audio, ImportedAudio)
    views = load_views(files, visual) if files.visual else None
    sound = load_sound(files, audio) if files.audio else None
    if views is not None and sound is not None:
        check_sound_axis(files, views.shape, len(sound), dataset)
        check_lengths(views.shape[1], len(sound), audio)
    found = [array for array in (views, sound) if array is not None]
    return Contents(
        files=files,
        n_snippets=found[0].shape[-2],
        widths=[array.shape[-1] for array in found],
        n_views=1 if views is None else len(views),
        has_audio=sound is not None and (audio.zeros == "heard" or bool(np.any(sound.astype(np.float16)))),
        content_hash=files.content_hash,
    )


def _timeline(found: Contents, dataset: Dataset) -> EvenFrames:
    assert isinstance(dataset.visual, ImportedVisual)
    return EvenFrames(found.n_snippets * dataset.visual.stride, dataset.visual.frame_rate)


def _row(video: ListedVideo, found: Contents | None, dataset: Dataset) -> Video:
    if found is None:
        return Video(video.id, "", video.split, video.labels, 0, 0.0, False, "", dataset.exclude[video.id])
    timeline, path = _timeline(found, dataset), (*found.files.visual, *found.files.audio)[0]
    return Video(
        id=video.id,
        path=path.as_posix(),
        split=video.split,
        labels=video.labels,
        n_frames=timeline.n_frames,
        frame_rate=timeline.frame_rate,
        has_audio=found.has_audio,
        content_hash=found.content_hash,
    )


def _log(name: str, videos: tuple[Video, ...]) -> None:
    used = [video for video in videos if not video.excluded]
    n_test = sum(video.split == "test" for video in used)
    logger.info(
        "%s: features of %d videos (%d train, %d test), %.2f h, %d without audio, %d excluded",
        *(name, len(used), len(used) - n_test, n_test),
        sum(video.n_frames / video.frame_rate for video in used) / 3600,
        *(sum(not video.has_audio for video in used), len(videos) - len(used)),
    )


def _log_doubts(name: str, dataset: Dataset, files: ArrayFiles, listing: Listing, videos: tuple[Video, ...]) -> None:
    log_unlisted(dataset.videos, files.ids - {video.id for video in videos}, "videos with features")
    used = [video for video in listing.videos if video.id not in dataset.exclude]
    warn_of_unsegmented(used, {segment.id for segment in listing.segments})
    usable = [video for video in videos if not video.excluded]
    warn_of_copies(usable, "features")
    warn_of_untaught(name, usable, dataset.classes)
