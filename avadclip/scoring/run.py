"""A trained detector over the test videos of a data set -> scores of every snippet, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from avadclip import paths
from avadclip.config.evaluation import MissingAudio
from avadclip.datasets.model import Video
from avadclip.detectors.checkpoint import Checkpoint, load_checkpoint
from avadclip.detectors.inference import detect
from avadclip.errors import CheckpointError, EvaluationError
from avadclip.scoring.scores import Provenance, Scores, VideoScores, collect
from avadclip.store.video import Folders, VideoFeatures, open_folders, read_video

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


class Scorer:
    """A detector and its features; the student that stands in where there is no sound is loaded when it is needed.

    Raises
    ------
    CheckpointError : there is no such detector, or it expects other features.
    FeatureError : there are no features.
    """

    def __init__(self, job: Job, device: torch.device | str) -> None:
        self._job, self._device = job, device
        self._detector = self._load(job.variant)

    @property
    def provenance(self) -> Provenance:
        """Of what this scores."""
        job, description = self._job, self._detector.checkpoint.description
        return Provenance(
            job.dataset,
            job.variant,
            job.trained_on,
            description.selection,
            description.classes,
            _stride(self._detector.folders),
        )

    def score_video(self, video_id: str) -> VideoScores | None:
        """Scores of one video; None if it has no sound and that is to be refused.

        Raises
        ------
        FeatureError : features are missing or damaged.
        CheckpointError : there is no student to stand in.
        """
        features = read_video(self._detector.folders, video_id)
        if self._job.missing_audio == "visual_fallback" or not misses_sound(features):
            return score_video(self._detector.checkpoint, features, self._device)
        if self._job.missing_audio == "refuse":
            return None
        student = self._student
        return score_video(student.checkpoint, read_video(student.folders, video_id), self._device)

    @cached_property
    def _student(self) -> "_Loaded":
        job, student = self._job, self._load(self._job.student)
        wanted = self._detector.checkpoint.description.classes
        if student.checkpoint.description.classes != wanted:
            raise CheckpointError(
                f"{paths.run(job.trained_on, job.student)}: knows the classes"
                f" {student.checkpoint.description.classes}, but {job.variant} knows {wanted}; train both on the same"
                " classes"
            )
        return student

    def _load(self, variant: str) -> "_Loaded":
        checkpoint = load_checkpoint(paths.run(self._job.trained_on, variant), self._device)
        folders = open_folders(self._job.dataset, checkpoint.detector.modalities)
        _check_features(checkpoint, folders, self._job)
        return _Loaded(checkpoint, folders)


@dataclass(frozen=True)
class _Loaded:
    checkpoint: Checkpoint
    folders: Folders


def score(job: Job, videos: Sequence[Video], device: torch.device | str) -> Scores:
    """Score the test videos of a manifest that are not excluded.

    Raises
    ------
    CheckpointError : there is no such detector, or no student to stand in, or it expects other features.
    FeatureError : features are missing or damaged.
    EvaluationError : there is no test video, or videos have no sound and that is to be refused.
    """
    scorer = Scorer(job, device)
    rows = {video_id: scorer.score_video(video_id) for video_id in scored_ids(videos)}
    return put_together(job, scorer.provenance, rows)


def scored_ids(videos: Sequence[Video]) -> list[str]:
    """The test videos that are not excluded."""
    return [video.id for video in videos if video.split == "test" and not video.excluded]


def put_together(job: Job, provenance: Provenance, rows: Mapping[str, VideoScores | None]) -> Scores:
    """What was found for each video -> the scores of all.

    Raises
    ------
    EvaluationError : there is no video, or some were refused.
    """
    silent = sorted(video_id for video_id, row in rows.items() if row is None)
    if silent:
        raise EvaluationError(
            f"{len(silent)} test videos of {job.dataset} have no sound and `score.missing_audio` is `refuse`:"
            f" {', '.join(silent)}; exclude them, or choose `visual_student` or `visual_fallback`"
        )
    return collect(provenance, [row for row in rows.values() if row is not None])


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


def _check_features(checkpoint: Checkpoint, folders: Folders, job: Job) -> None:
    ignoring = () if job.dataset == job.trained_on else OWN_TO_A_DATASET
    for modality, folder in folders.items():
        checkpoint.description.check_recipe(modality, folder.recipe, ignoring)


def _stride(folders: Folders) -> int:
    return int(next(iter(folders.values())).recipe["stride"])
