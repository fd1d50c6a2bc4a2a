"""A trained detector over the test videos of a data set -> scores of every snippet, once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from avadclip import paths
from avadclip.config.evaluation import MissingAudio
from avadclip.datasets.model import Video
from avadclip.detector.checkpoint import Checkpoint, load_checkpoint
from avadclip.errors import CheckpointError, EvaluationError
from avadclip.scores import Provenance, Scores, VideoScores, collect
from avadclip.training.video import Folders, VideoFeatures, open_folders, read_video
from avadclip.training.windows import detect

# A detector meets features of its own encoder only, but each data set samples its videos in its own way.
OWN_TO_A_DATASET = ("stride", "frame", "views", "resize", "window_seconds", "precision", "batch_size", "decoder")


@dataclass(frozen=True)
class Job:
    """Which detector is to score which videos, and how.

    Attributes
    ----------
    dataset : the tested one; its features are read.
    variant, trained_on : the detector is ``runs/<trained_on>/<variant>``.
    missing_audio : what happens to videos without any sound if the detector wants both modalities.
    student : the variant that scores them if `missing_audio` says so.
    """

    dataset: str
    variant: str
    trained_on: str
    missing_audio: MissingAudio
    student: str = "visual_student"


def score(job: Job, videos: Sequence[Video], device: torch.device | str) -> Scores:
    """Score the test videos of a manifest that are not excluded.

    Raises
    ------
    CheckpointError : there is no such detector, or no student to stand in, or it expects other features.
    FeatureError : features are missing or damaged.
    EvaluationError : there is no test video, or videos have no sound and that is to be refused.
    """
    checkpoint = _load(job, job.variant, device)
    folders = open_folders(job.dataset, checkpoint.detector.modalities)
    _check_features(checkpoint, folders, job)
    rows, silent = [], []
    for video in videos:
        if video.split != "test" or video.excluded:
            continue
        features = read_video(folders, video.id)
        if job.missing_audio != "visual_fallback" and misses_sound(features):
            silent.append(video)
        else:
            rows.append(score_video(checkpoint, features, device))
    if silent and job.missing_audio == "refuse":
        listed = ", ".join(video.id for video in silent)
        raise EvaluationError(
            f"{len(silent)} test videos of {job.dataset} have no sound and `score.missing_audio` is `refuse`: {listed};"
            " exclude them, or choose `visual_student` or `visual_fallback`"
        )
    if silent:
        rows += _score_silent(job, checkpoint, silent, device)
    description = checkpoint.description
    made_by = Provenance(
        job.dataset, job.variant, job.trained_on, description.selection, description.classes, _stride(folders)
    )
    return collect(made_by, rows)


def _score_silent(
    job: Job, checkpoint: Checkpoint, silent: Sequence[Video], device: torch.device | str
) -> list[VideoScores]:
    student = _load(job, job.student, device)
    if student.description.classes != checkpoint.description.classes:
        raise CheckpointError(
            f"{paths.run(job.trained_on, job.student)}: knows the classes {student.description.classes}, but"
            f" {job.variant} knows {checkpoint.description.classes}; train both on the same classes"
        )
    folders = open_folders(job.dataset, student.detector.modalities)
    _check_features(student, folders, job)
    return [score_video(student, read_video(folders, video.id), device) for video in silent]


def score_video(checkpoint: Checkpoint, features: VideoFeatures, device: torch.device | str) -> VideoScores:
    """What one detector says about one video.

    Raises
    ------
    CheckpointError : the features do not have the widths that the detector was built for.
    """
    found = detect(checkpoint.detector, features, device)
    return VideoScores(
        features.id,
        _modality_used(features),
        found.anomaly_confidence,
        found.class_probabilities,
        found.uncertainty,
    )


def _modality_used(features: VideoFeatures) -> str:
    has_sound = features.audio_valid is not None and bool(features.audio_valid.any())
    used = [name for name, there in (("audio", has_sound), ("visual", features.visual is not None)) if there]
    return "_".join(used) or "none"


def misses_sound(features: VideoFeatures) -> bool:
    """Whether a detector that gets these features looks and listens, and there is nothing to hear."""
    return features.visual is not None and features.audio_valid is not None and not features.audio_valid.any()


def _load(job: Job, variant: str, device: torch.device | str) -> Checkpoint:
    return load_checkpoint(paths.run(job.trained_on, variant), device)


def _check_features(checkpoint: Checkpoint, folders: Folders, job: Job) -> None:
    ignoring = () if job.dataset == job.trained_on else OWN_TO_A_DATASET
    for modality, folder in folders.items():
        checkpoint.description.check_recipe(modality, folder.recipe, ignoring)


def _stride(folders: Folders) -> int:
    return int(next(iter(folders.values())).recipe["stride"])
