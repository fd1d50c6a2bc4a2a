"""A model folder, loaded once -> predictions for video files."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from avadclip.config.features import Extraction
from avadclip.detectors.description import FILE
from avadclip.errors import PredictionError
from avadclip.io import sha256_of
from avadclip.prediction.alarm import read_alarm
from avadclip.prediction.assembly import AboutVideo, assemble
from avadclip.prediction.document import Prediction
from avadclip.prediction.extractor import Extractor, Progress, with_given_path
from avadclip.prediction.familiarity import FAMILIARITY, distance, read_familiarity
from avadclip.prediction.model_folder import PREDICTOR, ModelFolder
from avadclip.prediction.naming import readable, safe_id
from avadclip.store.work_cache import WorkCache
from avadclip.workers import Task


class Predictor:
    """The detectors and encoders of a model folder.

    Decoding happens in a worker process, for which Python imports the program again, so a script that uses this class
    needs ``if __name__ == "__main__":``. It ends with the program, or with the ``with`` block of the predictor.

    Parameters
    ----------
    model : folder, for example ``runs/demo``; see :mod:`avadclip.prediction.model_folder`.
    device : ``auto`` (the first GPU if there is one), ``cpu``, ``cuda`` or ``cuda:1``.
    settings : how long the worker may give no sign of life.
    cache : from which features are taken, and where they are kept, so that a video is decoded once; None: no cache.

    Raises
    ------
    CheckpointError : not a model folder, or its detectors do not fit together or expect other features than this
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
        folder = self._folder = Path(model)
        self.description = ModelFolder.read(folder)
        self.alarm = read_alarm(folder)
        self._familiarity = read_familiarity(folder)
        settings = (settings or Extraction()).model_copy(update={"device": device})
        self._extractor = Extractor(self.description, self.description.modalities, settings, cache)
        try:
            # Here, because importing torch takes seconds, in which the worker imports its libraries.
            from avadclip.prediction.detectors import Detectors

            self._detectors = Detectors(folder, self.description, self._extractor.recipes, device)
            if cache is None:
                self._extractor.load()  # now, not during the first video
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker process; the next prediction would start a new one."""
        self._extractor.close()

    @cached_property
    def identity(self) -> str:
        """Hash of everything that predictions depend on beside the video, such as model and threshold."""
        from avadclip.detectors.checkpoint import WEIGHTS  # torch, which has been imported by now

        described, familiarity = self.description, self._folder / FAMILIARITY
        detectors = [self._folder / described.folder_of(name) for name in (described.detector, described.student)]
        facts = {
            "description": (self._folder / PREDICTOR).read_text(encoding="utf-8"),
            "alarm": self.alarm.model_dump(mode="json"),
            "detectors": [sha256_of(folder / name) for folder in detectors for name in (FILE, WEIGHTS)],
            "familiarity": sha256_of(familiarity) if familiarity.is_file() else None,
            "recipes": {name: dict(recipe) for name, recipe in self._extractor.recipes.items()},
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def in_worker(self, task: Task, path: Path) -> Any:
        """Run a picklable task on a file in the process that decodes; return its last result.

        Raises
        ------
        PredictionError : the task failed, crashed or hung.
        """
        return self._extractor.run(task, path)

    def predict(
        self, path: Path | str, *, video_id: str | None = None, on_progress: Progress | None = None
    ) -> Prediction:
        """Predict what happens when in one video.

        The detector decides if there is sound, and the student if there is none (depending on `missing_audio` of the
        model); the student's curve is given in any case.

        Parameters
        ----------
        path : a video file, in any container and codec that FFmpeg reads.
        video_id : its id in the result; default: the stem of the file name.
        on_progress : called after each batch.

        Raises
        ------
        PredictionError : the file cannot be decoded as its container promises, or it has no sound and the model's
            policy is to refuse that. The reason names the file and what to do.
        """
        path = Path(path)
        named = video_id or safe_id(path.name)
        extracted = self._extractor.extract(path, named, on_progress or (lambda done, total: None))
        try:
            scores = self._detectors.score(named, extracted.features)
        except PredictionError as error:
            raise PredictionError(with_given_path(str(error), path)) from None
        boundary_seconds = next(iter(extracted.features.values())).boundary_seconds
        about = AboutVideo(
            id=named,
            path=readable(path),
            n_frames=extracted.facts.n_frames,
            frame_rate=extracted.facts.frame_rate,
            has_audio=extracted.facts.has_audio,
            stride=self.description.visual.stride,
            boundary_seconds=boundary_seconds - boundary_seconds[0],
            clock_start_seconds=float(boundary_seconds[0]),
            distance_from_training=distance(self._familiarity, extracted.features),
            content_hash=extracted.facts.content_hash,
        )
        return assemble(about, scores, self._detectors.classes, self.alarm)
