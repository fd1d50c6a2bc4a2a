"""The state of videos during extraction, the same in every engine: which decoder is tried, and what has arrived."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avadclip.errors import DatasetError, FeatureError
from avadclip.extraction.means import SnippetMeans
from avadclip.extraction.protocol import Chunk, Encoder, Modality, Pending, SnippetTimes
from avadclip.store import Features, Packed, Recipe
from avadclip.workers import KILLED, Event, Failed, Finished, GuardedPool, Item

log = logging.getLogger(__name__)

HOPELESS = {DatasetError.__name__, FileNotFoundError.__name__, PermissionError.__name__}


@dataclass(frozen=True)
class Outcome:
    """What an engine did; the features themselves are in the work cache."""

    failures: dict[str, str]  # video id -> reason
    n_encoded_snippets: int


@dataclass(frozen=True)
class Encoded:
    """The result for one video: its features were kept, or `failure` says why not."""

    id: str
    n_snippets: int  # number that was encoded
    seconds: float  # since its start
    checksum: str | None  # of the features
    failure: str | None = None


@dataclass
class _Progress:
    """A video that is being decoded."""

    video: Pending
    n_tried: int = 0  # failed attempts to decode it
    n_killed: int = 0  # among these, the ones that were no decoder's fault
    n_snippets: int = 0
    started: float = field(default_factory=time.monotonic)
    values: list[NDArray[np.float16]] = field(default_factory=list)
    valid: list[NDArray[np.bool_]] = field(default_factory=list)
    means: SnippetMeans = field(default_factory=SnippetMeans)
    times: SnippetTimes | None = None
    packed: Packed | None = None  # features that did not have to be encoded

    def forget(self) -> None:
        """Drop what one decoder has sent: the next one starts from the beginning."""
        self.values, self.valid, self.means, self.times, self.packed = [], [], SnippetMeans(), None, None

    def join(self, recipe: Recipe, width: int) -> Features | Packed:
        """The finished features. A video without sound has sent no chunk: nothing is valid."""
        if self.packed is not None:
            return self.packed
        assert self.times is not None
        n = len(self.times.boundary_seconds) - 1
        return Features(
            source=self.video.source,
            recipe=recipe,
            values=np.concatenate(self.values, axis=-2) if self.values else np.zeros((n, width), np.float16),
            valid=np.concatenate(self.valid) if self.valid else np.zeros(n, bool),
            boundary_seconds=self.times.boundary_seconds,
            decoder=self.times.decoder,
        )


@dataclass(frozen=True)
class _Batch:
    """Some snippets of a video whose features are being computed."""

    progress: _Progress
    n_tried: int  # when the decoder sent this
    features: Callable[[], NDArray[np.float16]]
    valid: NDArray[np.bool_]
    ends: NDArray[np.bool_] | None


@dataclass(frozen=True)
class _Last:
    """Marks that there are no more batches of a video."""

    progress: _Progress
    n_tried: int


class Encoding:
    """Videos that one pool decodes and one encoder encodes; decoding may begin before the encoder is there.

    A video that makes a decoder fail, crash or hang is tried with the modality's next decoder; a video that none can
    read stops no other. A worker that is killed is not the decoder's fault, once per video.

    Parameters
    ----------
    keep : called with the features of each video.
    ended : called once for every video that was started, after its features were kept.
    """

    def __init__(
        self,
        modality: Modality,
        pool: GuardedPool,
        keep: Callable[[Features | Packed], None],
        ended: Callable[[Encoded], None],
    ) -> None:
        self._modality, self._pool = modality, pool
        self._keep, self._ended = keep, ended
        self._videos: dict[str, _Progress] = {}
        self._decoding: set[str] = set()  # ids
        self._begun: deque[_Batch | _Last] = deque()  # in the order in which the decoders sent it
        self._n_batches = 0  # among these

    def start(self, video: Pending) -> None:
        """Queue a video."""
        self._videos[video.source.id] = _Progress(video)
        self._submit(self._videos[video.source.id])

    def handle(self, event: Event, encoder: Encoder) -> int:
        """Handle what a worker sent; return the number of snippets whose features have arrived since the last call."""
        progress = self._videos.get(event.key)
        if progress is None:  # it has failed already; its decoder was still sending
            return 0
        match event:
            case Item(_, Chunk(inputs, valid, ends)):
                self._begun.append(_Batch(progress, progress.n_tried, encoder.begin(inputs), valid, ends))
                self._n_batches += 1
            case Item(_, SnippetTimes() as times):
                progress.times = times
            case Item(_, Packed() as packed):
                progress.packed, progress.n_snippets = packed, packed.n_snippets
            case Finished():
                self._decoding.discard(event.key)
                self._begun.append(_Last(progress, progress.n_tried))
            case Failed():
                self._decoding.discard(event.key)
                self._try_next_decoder(progress, event)
        return self._await(encoder.ahead if self._decoding else 0, encoder.width)

    def _submit(self, progress: _Progress) -> None:
        video, decoder = progress.video, self._modality.decoders[progress.n_tried - progress.n_killed]
        self._decoding.add(video.source.id)
        self._pool.submit(video.source.id, self._modality.task(video, decoder))

    def _await(self, n_left: int, width: int) -> int:
        """Wait until at most `n_left` batches are being computed; return the number of snippets that have arrived."""
        n_encoded = 0
        while self._begun and (self._n_batches > n_left or isinstance(self._begun[0], _Last)):
            begun = self._begun.popleft()
            self._n_batches -= isinstance(begun, _Batch)
            progress = begun.progress
            if self._videos.get(progress.video.source.id) is not progress or progress.n_tried != begun.n_tried:
                continue  # it has failed meanwhile, or another decoder has started
            if isinstance(begun, _Batch):
                n_encoded += self._take(begun)
            else:
                features = progress.join(self._modality.recipe, width)
                n_encoded += features.n_snippets if isinstance(features, Packed) else 0
                self._keep(features)
                self._end(progress, features.checksum)
        return n_encoded

    def _take(self, batch: _Batch) -> int:
        progress = batch.progress
        try:
            values = batch.features()
        except FeatureError as error:  # not finite: whatever else the worker sends of this video is dropped
            self._end(progress, None, str(error))
            return 0
        valid = batch.valid
        values[..., ~valid, :] = 0
        if batch.ends is not None:
            values = progress.means.add(values, batch.ends)
            valid = np.ones(values.shape[-2], bool)
        progress.values.append(values)
        progress.valid.append(valid)
        progress.n_snippets += len(valid)
        return len(valid)

    def _end(self, progress: _Progress, checksum: str | None, failure: str | None = None) -> None:
        video_id = progress.video.source.id
        del self._videos[video_id]
        self._decoding.discard(video_id)
        self._ended(Encoded(video_id, progress.n_snippets, time.monotonic() - progress.started, checksum, failure))

    def _try_next_decoder(self, progress: _Progress, failed: Failed) -> None:
        progress.n_tried += 1
        if (
            failed.error == KILLED
        ):  # try the same decoder again, because another makes other features; the second time the file is at fault
            progress.n_killed = 1
        n_failed = progress.n_tried - progress.n_killed
        # Another decoder does not help if a file is gone or was changed.
        if n_failed == len(self._modality.decoders) or failed.error in HOPELESS:
            self._end(progress, None, failed.reason)
        else:
            log.info("%s: %s; trying %s", failed.key, failed.reason, self._modality.decoders[n_failed])
            progress.forget()
            self._submit(progress)
