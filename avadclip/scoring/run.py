"""A trained detector and the features of videos -> scores of every snippet."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from avadclip import paths
from avadclip.detectors.calibration import calibrated
from avadclip.detectors.checkpoint import WEIGHTS, Checkpoint, load_checkpoint
from avadclip.detectors.description import Description
from avadclip.detectors.inference import detect
from avadclip.io import sha256_of
from avadclip.scoring.scores import Provenance, Scores, VideoScores, collect
from avadclip.store.video import Folders, VideoFeatures, open_folders, read_video

# A detector is given only features of its own encoder, but each data set samples its videos in its own way.
OWN_TO_A_DATASET = (
    *("stride", "frame", "mean_of", "views", "resize", "window_seconds", "precision", "batch_size", "decoder"),
    *("frame_rate", "array", "views_axis"),  # of imported features
)


@dataclass(frozen=True)
class Job:
    """Which detector is to score which videos.

    Attributes
    ----------
    dataset : the one that is tested, whose features are read.
    variant, trained_on, seed : the detector is ``runs/<trained_on>/<variant>/seed<seed>``.
    """

    dataset: str
    variant: str
    trained_on: str
    seed: int


class Scorer:
    """A detector and its features.

    Raises
    ------
    CheckpointError : there is no such detector, or it expects other features.
    FeatureError : there are no features.
    """

    def __init__(self, job: Job, device: torch.device | str) -> None:
        self._job, self._device = job, device
        self._checkpoint = load_checkpoint(paths.run(job.trained_on, job.variant, job.seed), device)
        self._folders = open_folders(job.dataset, self._checkpoint.detector.modalities)
        _check_features(self._checkpoint, self._folders, job)

    @property
    def provenance(self) -> Provenance:
        """Which detector makes the scores."""
        job, description = self._job, self._checkpoint.description
        folder = paths.run(job.trained_on, job.variant, job.seed)
        return Provenance(
            dataset=job.dataset,
            variant=job.variant,
            trained_on=job.trained_on,
            seed=description.seed,
            modalities=description.modalities,
            selection=description.selection,
            classes=description.classes,
            stride=_stride(self._folders),
            detector={
                "kind": description.kind,
                "settings": description.settings,
                "round": description.round,
                "imported": description.imported,
                "checkpoint_sha256": sha256_of(folder / WEIGHTS),
                "recipes": {modality: dict(folder.recipe) for modality, folder in self._folders.items()},
                **_calibration(description),
            },
        )

    def score_video(self, video_id: str) -> VideoScores:
        """Scores of one video; :class:`FeatureError` if features are missing or damaged."""
        return score_video(self._checkpoint, read_video(self._folders, video_id), self._device)


def score(job: Job, video_ids: Sequence[str], device: torch.device | str) -> Scores:
    """Score these videos.

    Raises
    ------
    CheckpointError : there is no such detector, or it expects other features.
    FeatureError : features are missing or damaged.
    """
    scorer = Scorer(job, device)
    return collect(scorer.provenance, [scorer.score_video(video_id) for video_id in video_ids])


def score_video(checkpoint: Checkpoint, features: VideoFeatures, device: torch.device | str) -> VideoScores:
    """Scores of one detector for one video.

    Raises
    ------
    CheckpointError : the features do not have the widths that the detector was built for.
    """
    found = detect(checkpoint.detector, features, device)
    confidence, probabilities = found.anomaly_confidence, found.class_probabilities
    if (calibration := checkpoint.description.calibration) is not None:
        confidence, probabilities = calibrated(calibration, confidence, probabilities)
    return VideoScores(features.id, _modality_used(features), confidence, probabilities, found.uncertainty)


def _calibration(description: Description) -> dict[str, Any]:
    found, why_not = description.calibration, description.uncalibrated
    if found is None:
        return {} if why_not is None else {"uncalibrated": why_not}
    return {"calibration": {branch: asdict(each) for branch, each in found.items()}}


def _modality_used(features: VideoFeatures) -> str:
    has_sound = features.audio_valid is not None and bool(features.audio_valid.any())
    used = [name for name, there in (("audio", has_sound), ("visual", features.visual is not None)) if there]
    return "_".join(used) or "none"


def _check_features(checkpoint: Checkpoint, folders: Folders, job: Job) -> None:
    ignoring = () if job.dataset == job.trained_on else OWN_TO_A_DATASET
    for modality, folder in folders.items():
        checkpoint.description.check_recipe(modality, folder.recipe, ignoring)


def _stride(folders: Folders) -> int:
    return int(next(iter(folders.values())).recipe["stride"])
