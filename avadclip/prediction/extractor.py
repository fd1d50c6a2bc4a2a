"""Single videos -> features, with the recipe of a model folder, in a lasting worker. Torch is imported when needed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from avadclip import store
from avadclip.config.features import Extraction, Modality
from avadclip.datasets.probe_cache import VideoFacts
from avadclip.datasets.probing import Examination
from avadclip.errors import PredictionError
from avadclip.extraction.encoding import Encoded, Encoding
from avadclip.extraction.modalities import modality
from avadclip.extraction.protocol import Encoder, Pending, Sections
from avadclip.extraction.warm_up import warm_up
from avadclip.media.probe import probe
from avadclip.media.timeline import n_snippets
from avadclip.prediction.naming import readable
from avadclip.store import Features, Packed, Recipe, Source
from avadclip.store.work_cache import WorkCache
from avadclip.workers import Failed, GuardedPool, Item, Task

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # snippets that are encoded, and their number in total, over all modalities


@dataclass(frozen=True, eq=False)
class Extracted:
    """Features of one video in the modalities that were asked for, on one timeline."""

    facts: VideoFacts
    features: dict[Modality, Features]


class Extractor:
    """One decode worker, and the encoders.

    The worker begins to import its libraries at once, in parallel to the caller; on two cores, a second worker would
    only slow the caller down.

    Parameters
    ----------
    sections : the recipe.
    modalities : those to extract.
    settings : the device, and how long the worker may give no sign of life.
    cache : from which features are taken, and where they are kept; None: no cache.
    """

    def __init__(
        self, sections: Sections, modalities: tuple[Modality, ...], settings: Extraction, cache: WorkCache | None
    ) -> None:
        self._settings, self._cache = settings, cache
        self._modalities = {name: modality(name, sections) for name in modalities}
        self._encoders: dict[Modality, Encoder] = {}
        self._pool = self._new_pool()
        self._pool.submit("", partial(warm_up, modalities))  # "" is not an id
        self._pool.start()

    @property
    def recipes(self) -> dict[Modality, Recipe]:
        """The recipe of each modality."""
        return {name: modality.recipe for name, modality in self._modalities.items()}

    def load(self) -> None:
        """Load the encoders, and wait until the worker is ready.

        Raises
        ------
        WeightsError, ConfigError : an encoder cannot be loaded.
        """
        for name in self._modalities:
            self._encoder(name)
        for _ in self._pool.events():
            pass

    def close(self) -> None:
        """End the worker; the next video would start a new one."""
        self._pool.__exit__(None, None, None)
        self._pool = self._new_pool()

    def extract(self, path: Path, video_id: str, on_progress: Progress) -> Extracted:
        """The features of one video file.

        Raises
        ------
        PredictionError : the file cannot be decoded as its container promises.
        """
        with self._no_leftovers():
            facts = self._examine(path, video_id)
            source = Source(video_id, facts.content_hash, facts.n_frames, facts.frame_rate)
            pending = Pending(path.absolute(), source, info=facts.info)  # probed once, unless it is long
            stride = next(iter(self._modalities.values())).stride
            total = n_snippets(source.n_frames, stride) * len(self._modalities)
            features: dict[Modality, Features] = {}
            n_done = 0
            for name in self._modalities:
                for n_encoded in self._make(name, pending, path, features):
                    n_done += n_encoded
                    on_progress(min(n_done, total), total)  # a second decoder starts again
            on_progress(total, total)
        return Extracted(facts, features)

    def run(self, task: Task, path: Path) -> Any:
        """Run a task on this file in the worker, where a crash or a hang ends only the task; return its last result.

        Raises
        ------
        PredictionError : the task failed.
        """
        last = None
        with self._no_leftovers():
            self._pool.submit(str(path), task)
            for event in self._pool.events():
                match event:
                    case Item(key, value) if key == str(path):
                        last = value
                    case Failed(key, reason) if key == str(path):
                        raise PredictionError(with_given_path(reason, path))
        return last

    def _examine(self, path: Path, video_id: str) -> VideoFacts:
        self._pool.submit(video_id, Examination(str(path.absolute()), probe, with_times=False))
        found: VideoFacts | str = "the file could not be examined"
        for event in self._pool.events():
            match event:
                case Item(_, VideoFacts() as facts):
                    found = facts
                case Failed(key, reason) if key == video_id:
                    found = reason
        if isinstance(found, str):
            raise PredictionError(with_given_path(found, path))
        for note in found.notes:
            logger.warning("%s: %s", readable(path), note)
        return found

    def _make(self, name: Modality, video: Pending, named: Path, features: dict[Modality, Features]) -> Iterator[int]:
        """Put the features of one modality into `features`; yield the numbers of snippets that were encoded."""
        modality, source = self._modalities[name], video.source
        fingerprint = store.fingerprint(modality.recipe, source.id, source.content_hash)
        if self._cache is not None and self._cache.holds(fingerprint):
            features[name] = store.read(self._cache.path(fingerprint), modality.recipe)
            return

        def keep(made: Features | Packed) -> None:
            assert isinstance(made, Features)  # model folders do not import features
            features[name] = made
            if self._cache is not None:
                self._cache.put(made)

        ends: list[Encoded] = []
        encoding = Encoding(modality, self._pool, keep=keep, ended=ends.append)
        encoding.start(video)
        self._pool.start()
        encoder = self._encoder(name)
        for event in self._pool.events():
            if event.key == source.id:
                yield encoding.handle(event, encoder)
        if name not in features:
            raise PredictionError(with_given_path(ends[0].failure or "", named))

    def _encoder(self, name: Modality) -> Encoder:
        if name not in self._encoders:
            self._encoders[name] = self._modalities[name].load_encoder(self._settings.device)
        return self._encoders[name]

    def _new_pool(self) -> GuardedPool:
        return GuardedPool(1, self._settings.stall_seconds)

    @contextmanager
    def _no_leftovers(self) -> Iterator[None]:
        """If an extraction is interrupted, results of its worker must not get into the next one."""
        try:
            yield
        except PredictionError:
            raise  # nothing is running any more
        except BaseException:
            self.close()
            raise


def with_given_path(reason: str, path: Path) -> str:
    """A reason with the file as it was given; workers have its absolute path, because their folder may differ."""
    absolute, named, reason = readable(path.absolute()), readable(path), readable(reason)
    return reason.replace(absolute, named) if absolute in reason else f"{named}: {reason}"
