"""A model folder, loaded once -> what its detectors say about any video file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from avadclip import store
from avadclip.config.detector import Modality
from avadclip.config.features import Extraction
from avadclip.datasets.probe_cache import VideoFacts
from avadclip.datasets.probing import Examination
from avadclip.detector.checkpoint import Checkpoint, load_checkpoint
from avadclip.encoders.device import resolve_device
from avadclip.errors import CheckpointError, PredictionError
from avadclip.extraction.local import Encoding, Pending
from avadclip.extraction.modality import MODALITIES, Encoder
from avadclip.extraction.work_cache import WorkCache
from avadclip.media.probe import probe
from avadclip.media.timeline import n_snippets
from avadclip.prediction.alarm import read_alarm
from avadclip.prediction.assembly import AboutVideo, assemble
from avadclip.prediction.document import Prediction
from avadclip.prediction.model_folder import ModelFolder
from avadclip.prediction.naming import readable, safe_id
from avadclip.scores import VideoScores
from avadclip.scoring import misses_sound, score_video
from avadclip.store import Features, Source
from avadclip.training.video import VideoFeatures, join_modalities
from avadclip.workers import Failed, GuardedPool, Item

Progress = Callable[[int, int], None]  # snippets that are encoded, and how many there will be, all modalities together


class Predictor:
    """The detectors and encoders of a model folder.

    Decoding happens in worker processes, which Python starts by importing the program anew: a script that uses this
    class needs ``if __name__ == "__main__":``. They end with the program, or with the ``with`` block of the predictor.

    Parameters
    ----------
    model : folder, for example ``runs/demo``; see :mod:`avadclip.prediction.model_folder`.
    device : ``auto`` (the first GPU where there is one), ``cpu``, ``cuda`` or ``cuda:1``.
    settings : number of workers and their time limit.
    cache : where features are taken from and kept, so that a video costs its decoding once; None: nowhere.

    Raises
    ------
    CheckpointError : no model folder, or its detectors do not belong together or expect other features than this
        installation makes.
    WeightsError, ConfigError : its encoders are damaged; no such device.
    """

    def __init__(
        self,
        model: Path | str,
        device: str = "auto",
        *,
        settings: Extraction | None = None,
        cache: WorkCache | None = None,
    ) -> None:
        self._folder = Path(model)
        self.description = ModelFolder.read(self._folder)
        self.alarm = read_alarm(self._folder)
        self._settings = (settings or Extraction()).model_copy(update={"device": device})
        self._cache = cache
        self._device = resolve_device(device)
        self._detector = self._load(self.description.detector)
        self._student = self._load(self.description.student)
        self.classes = self._detector.description.classes
        wanted = dict.fromkeys((*self._detector.detector.modalities, *self._student.detector.modalities))
        self._modalities = {name: MODALITIES[name](self.description) for name in wanted}
        self._check()
        self._encoders: dict[Modality, Encoder] = {}
        if cache is None:
            for name in self._modalities:
                self._encoder(name)  # now, and not in the middle of the first video
        self._pool = self._new_pool()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes; the next prediction would start new ones."""
        self._pool.__exit__(None, None, None)
        self._pool = self._new_pool()

    def predict(
        self, path: Path | str, *, video_id: str | None = None, on_progress: Progress | None = None
    ) -> Prediction:
        """What happens when in one video.

        The detector decides where there is sound, the student where there is none (as `missing_audio` of the model's
        data set says); the student's curve is given in any case.

        Parameters
        ----------
        path : a video file, in any container and codec that FFmpeg reads.
        video_id : what it is called; default: its stem.
        on_progress : called after each batch.

        Raises
        ------
        PredictionError : the file cannot be decoded as its container promises, or it has no sound and the model
            refuses that. The reason names the file and what to do.
        """
        path = Path(path)
        named = video_id or safe_id(path.name)
        with self._whole_pool():
            facts = self._examine(path, named)
            source = Source(named, facts.content_hash, facts.n_frames, facts.frame_rate)
            features = self._features(path, source, on_progress or (lambda done, total: None))
        scores = self._score(path, named, features)
        video = AboutVideo(
            id=named,
            path=readable(path),
            n_frames=facts.n_frames,
            frame_rate=facts.frame_rate,
            has_audio=facts.has_audio,
            stride=self.description.visual.stride,
            boundary_seconds=next(iter(features.values())).boundary_seconds,
        )
        return assemble(video, scores, self.classes, self.alarm.threshold, self.alarm.branch)

    def _load(self, variant: str) -> Checkpoint:
        return load_checkpoint(self._folder / variant, self._device)

    def _check(self) -> None:
        if self._student.description.classes != self.classes:
            raise CheckpointError(
                f"{self._folder / self.description.student}: knows the classes {self._student.description.classes}, but"
                f" {self.description.detector} knows {self.classes}; train both on the same classes"
            )
        for checkpoint in (self._detector, self._student):
            for name in checkpoint.detector.modalities:
                checkpoint.description.check_recipe(name, self._modalities[name].recipe)

    def _encoder(self, name: Modality) -> Encoder:
        if name not in self._encoders:
            self._encoders[name] = self._modalities[name].load_encoder(self._settings.device)
        return self._encoders[name]

    def _new_pool(self) -> GuardedPool:
        return GuardedPool(self._settings.workers, self._settings.stall_seconds)

    @contextmanager
    def _whole_pool(self) -> Iterator[None]:
        """Whatever interrupts a prediction, its workers must not answer into the next one."""
        try:
            yield
        except PredictionError:
            raise  # every task has ended
        except BaseException:
            self.close()
            raise

    def _examine(self, path: Path, video_id: str) -> VideoFacts:
        self._pool.submit(video_id, Examination(str(path.absolute()), probe, with_times=False))
        found: VideoFacts | None = None
        reason = "nothing was found out"
        for event in self._pool.events():
            match event:
                case Item(_, VideoFacts() as facts):
                    found = facts
                case Failed():
                    found, reason = None, event.reason
        if found is None:
            raise PredictionError(_told(reason, path))
        return found

    def _features(self, path: Path, source: Source, on_progress: Progress) -> Mapping[Modality, Features]:
        total = n_snippets(source.n_frames, self.description.visual.stride) * len(self._modalities)
        features: dict[Modality, Features] = {}
        n_done = 0
        for name in self._modalities:
            for n_encoded in self._make(name, path, source, features):
                n_done += n_encoded
                on_progress(n_done, total)
        on_progress(total, total)
        return features

    def _make(self, name: Modality, path: Path, source: Source, features: dict[Modality, Features]) -> Iterator[int]:
        """Put the features of one modality into `features`; yields how many snippets were encoded."""
        modality = self._modalities[name]
        fingerprint = store.fingerprint(modality.recipe, source.id, source.content_hash)
        if self._cache is not None and self._cache.holds(fingerprint):
            features[name] = store.read(self._cache.path(fingerprint), modality.recipe)
            return

        def keep(made: Features) -> None:
            features[name] = made
            if self._cache is not None:
                self._cache.put(made)

        encoding = Encoding(modality, self._encoder(name), self._pool, keep)
        encoding.start(Pending(path.absolute(), source))
        for event in self._pool.events():
            yield encoding.handle(event)
        if name not in features:
            raise PredictionError(_told(encoding.failures[source.id], path))

    def _score(self, path: Path, video_id: str, features: Mapping[Modality, Features]) -> dict[str, VideoScores]:
        """By detector, the deciding one first."""
        speaking = {self.description.detector: self._detector, self.description.student: self._student}
        seen = _seen_by(self._detector, video_id, features)
        if self.description.missing_audio != "visual_fallback" and misses_sound(seen):
            if self.description.missing_audio == "refuse":
                raise PredictionError(_told("has no sound, and `score.missing_audio` of this model is `refuse`", path))
            del speaking[self.description.detector]
        return {
            name: score_video(checkpoint, _seen_by(checkpoint, video_id, features), self._device)
            for name, checkpoint in speaking.items()
        }


def _seen_by(checkpoint: Checkpoint, video_id: str, features: Mapping[Modality, Features]) -> VideoFeatures:
    return join_modalities(video_id, {name: features[name] for name in checkpoint.detector.modalities})


def _told(reason: str, path: Path) -> str:
    """A reason with the file as it was named. Workers know it by its absolute path: they may work in another folder."""
    absolute, named = readable(path.absolute()), readable(path)
    reason = readable(reason)
    return reason.replace(absolute, named) if absolute in reason else f"{named}: {reason}"
