"""A section ``datasets.<name>`` -> the rows of its manifest and ground truth."""

import logging
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from avadclip.config.datasets import Dataset
from avadclip.config.features import Extraction
from avadclip.datasets.doubts import warn_of_copies, warn_of_untaught
from avadclip.datasets.exclusion import exclude_lines
from avadclip.datasets.frame_spans import TOLERANCE_SECONDS, fit
from avadclip.datasets.load import load
from avadclip.datasets.model import ListedVideo, Listing, Segment, TimedSegment, Video
from avadclip.datasets.probe_cache import ProbeCache, VideoFacts
from avadclip.datasets.probing import Probe, probe_all
from avadclip.errors import DatasetError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A data set of which every usable file has been opened."""

    videos: tuple[Video, ...]
    segments: tuple[Segment, ...]


def prepare(name: str, dataset: Dataset, settings: Extraction, probe: Probe) -> Prepared:
    """List the videos of a data set, probe each, and convert its segments to frames.

    Excluded videos are not opened; they keep their row, with the reason, and lose their segments.

    Parameters
    ----------
    name : key of the data set in params.yaml, for messages.
    settings : number of processes, their time limit, and where the cache is: ``probes.sqlite`` beside the work cache.
    probe : opens one file, as :func:`avadclip.media.probe.probe` does; runs in worker processes.

    Raises
    ------
    DatasetError : see :func:`avadclip.datasets.load.load`; or files cannot be probed or do not fit their
        annotations, all of them in one error, with the lines that exclude them.
    """
    listing = load(dataset)
    usable = [video for video in listing.videos if video.id not in dataset.exclude]
    timed = {segment.id for segment in listing.segments if isinstance(segment, TimedSegment)}
    with ProbeCache.open(settings.probes) as cache:
        probed = probe_all(usable, timed, probe, cache, settings)
    segments, misfits = _fit_segments(listing, probed.facts)
    failures = {**probed.failures, **misfits}
    if failures:
        raise DatasetError(_failure_message(name, failures))
    videos = tuple(
        _excluded(video, dataset.exclude[video.id])
        if video.id in dataset.exclude
        else _row(video, probed.facts[video.id])
        for video in listing.videos
    )
    used = [video for video in videos if not video.excluded]
    warn_of_copies(used)
    warn_of_untaught(name, used, dataset.classes)
    _log_summary(name, videos, n_cached=probed.n_cached)
    return Prepared(videos, segments)


def _fit_segments(listing: Listing, facts: Mapping[str, VideoFacts]) -> tuple[tuple[Segment, ...], dict[str, str]]:
    fitted: list[Segment] = []
    misfits: dict[str, list[str]] = defaultdict(list)
    for id_ in listing.n_frames.keys() & facts.keys():
        misfits[id_] += _misfit(listing.n_frames[id_], facts[id_])
    for segment in listing.segments:
        if segment.id not in facts:
            continue  # its video has failed already
        try:
            fitted.append(fit(segment, facts[segment.id]))
        except DatasetError as error:
            misfits[segment.id].append(str(error))
    return tuple(fitted), {id_: "; ".join(reasons) for id_, reasons in misfits.items() if reasons}


def _misfit(n_annotated: int, facts: VideoFacts) -> list[str]:
    # As for segments: pictures that were made a video for this data set may become a few frames more or less.
    if abs(n_annotated - facts.n_frames) <= math.ceil(TOLERANCE_SECONDS * facts.frame_rate):
        return []
    return [
        f"its annotation is of {n_annotated} frames, but the video has {facts.n_frames}: the video is cut short, has"
        " another frame rate, or the annotation belongs to another version of it"
    ]


def _row(video: ListedVideo, facts: VideoFacts) -> Video:
    return Video(
        id=video.id,
        path=video.path or "",
        split=video.split,
        labels=video.labels,
        n_frames=facts.n_frames,
        frame_rate=facts.frame_rate,
        has_audio=facts.has_audio,
        content_hash=facts.content_hash,
    )


def _excluded(video: ListedVideo, reason: str) -> Video:
    return Video(video.id, video.path or "", video.split, video.labels, 0, 0.0, False, "", reason)


def _failure_message(name: str, failures: Mapping[str, str]) -> str:
    return "\n".join(
        [
            f"{len(failures)} videos of {name!r} cannot be used:",
            *(f"  {id_}: {failures[id_]}" for id_ in sorted(failures)),
            f"Repair the files, or leave them out: in params.yaml, under datasets.{name}.exclude:",
            exclude_lines(failures),
        ]
    )


def _log_summary(name: str, videos: tuple[Video, ...], n_cached: int) -> None:
    used = [video for video in videos if not video.excluded]
    n_test = sum(video.split == "test" for video in used)
    logger.info(
        "%s: %d videos (%d train, %d test), %.2f h, %d without audio, %d excluded, %d probed, %d unchanged",
        name,
        len(used),
        len(used) - n_test,
        n_test,
        sum(video.n_frames / video.frame_rate for video in used) / 3600,
        sum(not video.has_audio for video in used),
        len(videos) - len(used),
        len(used) - n_cached,
        n_cached,
    )
