"""The two detectors of a model folder: their scores, and which of them decides about a video."""

from collections.abc import Mapping
from pathlib import Path

from avadclip.config.features import Modality
from avadclip.detectors.checkpoint import Checkpoint, load_checkpoint
from avadclip.device import resolve_device
from avadclip.errors import CheckpointError, PredictionError
from avadclip.prediction.model_folder import ModelFolder
from avadclip.scoring.run import score_video
from avadclip.scoring.scores import VideoScores
from avadclip.scoring.stand_in import misses_sound
from avadclip.store import Features, Recipe
from avadclip.store.video import VideoFeatures, join_modalities


class Detectors:
    """Both detectors, loaded for scoring.

    Parameters
    ----------
    folder, description : the model folder.
    recipes : of the features that they will be given.

    Raises
    ------
    CheckpointError : one is missing, they have different classes, or expect other features.
    ConfigError : no such device.
    """

    def __init__(self, folder: Path, description: ModelFolder, recipes: Mapping[Modality, Recipe], device: str) -> None:
        self._description, self._device = description, resolve_device(device)
        self._detector = load_checkpoint(folder / description.folder_of(description.detector), self._device)
        self._student = load_checkpoint(folder / description.folder_of(description.student), self._device)
        if self._student.description.classes != self.classes:
            raise CheckpointError(
                f"{folder / description.student}: has the classes {self._student.description.classes}, but"
                f" {description.detector} has {self.classes}; train both on the same classes"
            )
        for checkpoint in (self._detector, self._student):
            for modality in checkpoint.detector.modalities:
                if modality not in recipes:
                    expected = f"expected detectors that need {' and '.join(recipes)} alone, found one for {modality}"
                    raise CheckpointError(f"{folder}: {expected}; run `dvc repro package` again")
                checkpoint.description.check_recipe(modality, recipes[modality])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; class 0 is `normal`."""
        return self._detector.description.classes

    def score(self, video_id: str, features: Mapping[Modality, Features]) -> dict[str, VideoScores]:
        """The scores of each detector, by its name; the deciding one first.

        Raises
        ------
        PredictionError : the video has no sound, and the model's policy is to refuse that.
        """
        named = {self._description.detector: self._detector, self._description.student: self._student}
        scores = {
            name: score_video(checkpoint, _seen_by(checkpoint, video_id, features), self._device)
            for name, checkpoint in named.items()
        }
        detector, policy = self._description.detector, self._description.missing_audio
        if policy != "fallback" and misses_sound(self._detector.detector.modalities, scores[detector].modality):
            if policy == "refuse":
                raise PredictionError("has no sound, and `score.missing_audio` of this model is `refuse`; leave it out")
            if detector != self._description.student:
                del scores[detector]
        return scores


def _seen_by(checkpoint: Checkpoint, video_id: str, features: Mapping[Modality, Features]) -> VideoFeatures:
    return join_modalities(video_id, {name: features[name] for name in checkpoint.detector.modalities})
