"""Open every file of a data set once, in a worker process: what it contains, and the hash of its content."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from os import stat_result
from pathlib import Path
from typing import Protocol

from avadclip.config.features import Extraction
from avadclip.datasets.frame_spans import Timeline
from avadclip.datasets.model import ListedVideo
from avadclip.datasets.probe_cache import ProbeCache, VideoFacts
from avadclip.io import sha256_of
from avadclip.progress import rate_progress
from avadclip.pulse import beat
from avadclip.workers import Event, Failed, GuardedPool, Item

_SHORT_FRAMES = 2_000  # longer videos take so long to decode that probing them again does not matter

logger = logging.getLogger(__name__)


class ProbedVideo(Timeline, Protocol):
    """What a probe finds in a file."""

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""


Probe = Callable[[Path], ProbedVideo]  # picklable; raises on a file that cannot be used


@dataclass(frozen=True)
class Probed:
    """The result of :func:`probe_all`."""

    facts: dict[str, VideoFacts]  # by video id
    failures: dict[str, str]  # video id -> reason
    n_cached: int


@dataclass(frozen=True)
class Examination:
    """The task of a worker for one file; `probe` opens it."""

    path: str
    probe: Probe
    with_times: bool

    def __call__(self) -> Iterator[VideoFacts]:
        """Yield the facts."""
        probed = self.probe(Path(self.path))
        to_text = getattr(probed, "to_text", None)  # nor does every probe find all that extraction needs
        yield VideoFacts(
            n_frames=probed.n_frames,
            frame_rate=probed.frame_rate,
            end_seconds=probed.end_seconds,
            has_audio=probed.has_audio,
            content_hash=sha256_of(Path(self.path), beat),
            frame_seconds=probed.frame_seconds if self.with_times else None,
            notes=tuple(getattr(probed, "notes", ())),  # not every probe has notes
            info=to_text() if to_text is not None and probed.n_frames <= _SHORT_FRAMES else None,
        )


def probe_all(
    videos: Sequence[ListedVideo], with_times: Collection[str], probe: Probe, cache: ProbeCache, settings: Extraction
) -> Probed:
    """Probe and hash every video that the cache does not know; a file that fails, crashes or hangs stops no other.

    Parameters
    ----------
    videos : each with a path.
    with_times : ids of the videos whose frame times are wanted.
    probe : opens one file; runs in a worker process.
    """
    run = _Run(cache)
    with GuardedPool(settings.workers, settings.stall_seconds) as pool, rate_progress() as progress:
        for video in videos:
            if run.must_open(video, video.id in with_times):
                pool.submit(video.id, Examination(video.path or "", probe, video.id in with_times))
        n_cached = len(run.facts)
        bar = progress.add_task(
            f"probing {len(run.states)} videos", total=len(run.states), unit="videos", visible=bool(run.states)
        )
        for event in pool.events():
            progress.advance(bar, run.handle(event))
    return Probed(run.facts, run.failures, n_cached)


class _Run:
    """The state of one :func:`probe_all`."""

    def __init__(self, cache: ProbeCache) -> None:
        self._cache = cache
        self.facts: dict[str, VideoFacts] = {}
        self.failures: dict[str, str] = {}
        self.states: dict[str, tuple[str, stat_result]] = {}  # of the files that are opened, taken before that

    def must_open(self, video: ListedVideo, with_times: bool) -> bool:
        """Take what the cache knows; return whether the file itself has to be opened."""
        path = video.path or ""
        try:
            status = Path(path).stat()
        except OSError as error:
            self._fail(video.id, str(error))
            return False
        known = self._cache.get(path, status, with_times)
        if known is not None:
            self._take(video.id, known)
            return False
        self.states[video.id] = (path, status)
        return True

    def handle(self, event: Event) -> int:
        """Keep what a worker sent; return the number of videos that it completes."""
        match event:
            case Item(video_id, VideoFacts() as facts):
                self._take(video_id, facts)
                self._cache.put(*self.states[video_id], facts)
                return 0
            case Failed(video_id, reason):
                self._fail(video_id, reason)
        return 0 if isinstance(event, Item) else 1

    def _take(self, video_id: str, facts: VideoFacts) -> None:
        self.facts[video_id] = facts
        for note in facts.notes:
            logger.warning("%s: %s", video_id, note)

    def _fail(self, video_id: str, reason: str) -> None:
        self.failures[video_id] = reason
        logger.warning("%s: %s", video_id, reason)
