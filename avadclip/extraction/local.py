"""The local engine: decode workers around one encoder, so that decoding and encoding overlap."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip.config.features import Extraction
from avadclip.errors import DatasetError, FeatureError
from avadclip.extraction.modality import Encoder, Modality
from avadclip.extraction.tasks import Chunk, Timeline
from avadclip.extraction.work_cache import WorkCache
from avadclip.media.timeline import n_snippets
from avadclip.progress import rate_progress
from avadclip.store import Features, Recipe, Source
from avadclip.workers import Event, Failed, Finished, GuardedPool, Item

log = logging.getLogger(__name__)

HOPELESS = {DatasetError.__name__, FileNotFoundError.__name__, PermissionError.__name__}


@dataclass(frozen=True)
class Pending:
    """A video that has no features yet."""

    path: Path
    source: Source


@dataclass(frozen=True)
class Outcome:
    """What an engine did; the features themselves are in the work cache."""

    failures: dict[str, str]  # video id -> reason
    n_encoded_snippets: int


@dataclass
class _Parts:
    """Features of a video that is being decoded."""

    values: list[NDArray[np.float16]] = field(default_factory=list)
    valid: list[NDArray[np.bool_]] = field(default_factory=list)
    timeline: Timeline | None = None

    def add(self, message: Chunk | Timeline, encoder: Encoder) -> int:
        """Take what the worker sent; the number of rows that were encoded."""
        if isinstance(message, Timeline):
            self.timeline = message
            return 0
        values = encoder.encode(message.inputs)
        values[..., ~message.valid, :] = 0
        self.values.append(values)
        self.valid.append(message.valid)
        return len(message.valid)

    def join(self, source: Source, recipe: Recipe, width: int) -> Features:
        """The finished features. A video without sound has sent no chunk: nothing is valid."""
        assert self.timeline is not None
        n = len(self.timeline.boundary_seconds) - 1
        return Features(
            source=source,
            recipe=recipe,
            values=np.concatenate(self.values, axis=-2) if self.values else np.zeros((n, width), np.float16),
            valid=np.concatenate(self.valid) if self.valid else np.zeros(n, bool),
            boundary_seconds=self.timeline.boundary_seconds,
            decoder=self.timeline.decoder,
        )


class Encoding:
    """Which video is tried with which decoder, and what has arrived of it.

    Parameters
    ----------
    pool : its tasks are named after the videos' ids; each of its events has to be handled.
    keep : takes the features of each video that is finished.
    """

    def __init__(
        self, modality: Modality, encoder: Encoder, pool: GuardedPool, keep: Callable[[Features], None]
    ) -> None:
        self._modality, self._encoder, self._pool, self._keep = modality, encoder, pool, keep
        self._videos: dict[str, Pending] = {}
        self._parts: dict[str, _Parts] = {}
        self._n_tried: Counter[str] = Counter()  # decoders that have failed on a video
        self.failures: dict[str, str] = {}
        self.n_encoded_snippets = 0

    def start(self, video: Pending) -> None:
        """Queue a video for its next decoder."""
        video_id = video.source.id
        self._videos[video_id] = video
        self._parts[video_id] = _Parts()
        decoder = self._modality.decoders[self._n_tried[video_id]]
        self._pool.submit(video_id, self._modality.task(video.path, video.source, decoder))

    def handle(self, event: Event) -> int:
        """React to what a worker sent; the number of snippets that were encoded now."""
        match event:
            case Item(video_id, message) if video_id not in self.failures:
                return self._encode(video_id, message)
            case Finished(video_id) if video_id not in self.failures:
                features = self._parts.pop(video_id).join(
                    self._videos[video_id].source, self._modality.recipe, self._encoder.width
                )
                self._keep(features)
            case Failed(video_id) if video_id not in self.failures:
                self._try_next_decoder(self._videos[video_id], event)
        return 0

    def _encode(self, video_id: str, message: Chunk | Timeline) -> int:
        try:
            n_encoded = self._parts[video_id].add(message, self._encoder)
        except FeatureError as error:  # not finite: what else the worker sends of this video is dropped
            self._fail(video_id, str(error))
            return 0
        self.n_encoded_snippets += n_encoded
        return n_encoded

    def _fail(self, video_id: str, reason: str) -> None:
        self.failures[video_id] = reason
        del self._parts[video_id]
        log.warning("%s: %s", video_id, reason)

    def _try_next_decoder(self, video: Pending, failed: Failed) -> None:
        video_id = video.source.id
        self._n_tried[video_id] += 1
        # Another decoder does not help against a file that is gone or was changed.
        if self._n_tried[video_id] == len(self._modality.decoders) or failed.error in HOPELESS:
            self._fail(video_id, failed.reason)
        else:
            log.info("%s: %s; trying %s", video_id, failed.reason, self._modality.decoders[self._n_tried[video_id]])
            self.start(video)


def encode_videos(pending: Sequence[Pending], modality: Modality, cache: WorkCache, settings: Extraction) -> Outcome:
    """Decode and encode every video and put its features into the work cache.

    A video that a decoder cannot read, crashes or hangs on is tried with the modality's next decoder; a video that none
    can read costs itself only.

    Raises
    ------
    WeightsError, ConfigError : the encoder cannot be loaded.
    """
    if not pending:
        return Outcome({}, 0)
    encoder = modality.load_encoder(settings.device)
    with GuardedPool(settings.workers, settings.stall_seconds) as pool, rate_progress() as progress:
        run = Encoding(modality, encoder, pool, cache.put)
        for video in pending:
            run.start(video)
        total = sum(n_snippets(video.source.n_frames, modality.stride) for video in pending)
        bar = progress.add_task(f"encoding {len(pending)} videos", total=total, unit="snippets")
        for event in pool.events():
            progress.advance(bar, run.handle(event))
    return Outcome(run.failures, run.n_encoded_snippets)
