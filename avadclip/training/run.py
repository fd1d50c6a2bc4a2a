"""A training run from files to files: manifest and features -> checkpoint."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import open_clip
import torch

from avadclip import paths
from avadclip.config.datasets import Dataset
from avadclip.config.detector import AnyArchitecture, Modality, Student
from avadclip.config.training import Compute, Training
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Video
from avadclip.detectors.checkpoint import WEIGHTS, Checkpoint, Description, load_checkpoint, save_checkpoint
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Detector, Dimensions
from avadclip.detectors.registry import build
from avadclip.device import resolve_device
from avadclip.encoders.clip import load_clip
from avadclip.errors import CheckpointError, TrainingError
from avadclip.io import sha256_of
from avadclip.store.video import Folders, open_folders
from avadclip.training.data import TrainingSet, load_training_set
from avadclip.training.loop import fit
from avadclip.training.reproducibility import seed_epoch
from avadclip.training.resume import forget_state
from avadclip.training.selection import Judge, released_test_judge, validation_judge
from avadclip.training.splitting import Split, check_trainable, hold_out


@dataclass(frozen=True)
class Run:
    """One detector of one data set."""

    dataset: str
    section: Dataset
    variant: str
    architecture: AnyArchitecture
    teacher: str | None = None  # variant of the same data set; for students

    @property
    def teacher_folder(self) -> Path | None:
        """Where the teacher's checkpoint lies; None if nobody teaches this detector."""
        if not isinstance(self.architecture, Student) or self.architecture.distillation == "none":
            return None
        if self.teacher is None:
            raise TrainingError(f"{self.dataset}/{self.variant}: learns from a teacher, but none is named")
        return paths.run(self.dataset, self.teacher)

    @property
    def folder(self) -> Path:
        """Where checkpoint, curves and state go."""
        return paths.run(self.dataset, self.variant)


def train(run: Run, compute: Compute) -> None:
    """Train a detector, under its teacher if it has one, and write its checkpoint.

    Raises
    ------
    TrainingError : the videos are not fit for training, or a loss is not finite.
    CheckpointError : there is no teacher, or it was trained on other features or classes.
    FeatureError, WeightsError, DatasetError, ConfigError : an input is missing or not what it should be.
    """
    training, device = run.section.training, resolve_device(compute.device)
    teacher = None if run.teacher_folder is None else load_checkpoint(run.teacher_folder, device)
    taught = () if teacher is None else teacher.detector.modalities
    folders = open_folders(run.dataset, dict.fromkeys((*_modalities(run.architecture), *taught)))
    _check_teacher(run, teacher, folders)
    videos = [video for video in read_manifest(paths.manifest(run.dataset)) if not video.excluded]
    split = _split(videos, training)
    check_trainable(split.train, run.section.classes)
    tower = text_tower(run.section)
    data = load_training_set(split.train, folders, run.section.classes, training.max_snippets, compute.memory_gib)
    seed_epoch(training.seed, epoch=0)
    detector = build(run.architecture, _dimensions(run, data, tower), tower).to(device)
    seen = {modality: folders[modality] for modality in detector.modalities}
    chosen_epoch = fit(
        detector,
        data,
        training,
        run.folder,
        identity=_identity(run, videos, folders),
        judge=_judge(run, split, videos, seen, device),
        teacher=None if teacher is None else teacher.detector,
    )
    save_checkpoint(run.folder, detector, _describe(run, detector, seen, chosen_epoch))
    forget_state(run.folder)


def text_tower(section: Dataset) -> TextTower:
    """CLIP's text tower of the encoder that made the visual features, with the names of the classes."""
    clip = load_clip(section.visual)
    return TextTower(clip, open_clip.tokenize(list(section.classes), clip.context_length))


def _modalities(architecture: AnyArchitecture) -> tuple[Modality, ...]:
    return (architecture.modality,) if isinstance(architecture, Student) else architecture.modalities


def _check_teacher(run: Run, teacher: Checkpoint | None, folders: Folders) -> None:
    if teacher is None:
        return
    for modality in teacher.detector.modalities:
        teacher.description.check_recipe(modality, folders[modality].recipe)
    expected = {"classes": run.section.classes, "max_snippets": run.section.training.max_snippets}
    found = {"classes": teacher.description.classes, "max_snippets": teacher.description.dimensions.max_snippets}
    if found != expected:
        who = f"teacher {run.dataset}/{teacher.description.variant}"
        raise CheckpointError(f"{who}: expected {expected}, found {found}; train the teacher again")


def _split(videos: Sequence[Video], training: Training) -> Split:
    candidates = [video for video in videos if video.split == "train"]
    if training.selection == "validation":
        return hold_out(candidates, training.validation_fraction, training.seed)
    return Split(train=tuple(candidates), validation=())


def _judge(run: Run, split: Split, videos: Sequence[Video], folders: Folders, device: torch.device) -> Judge | None:
    selection = run.section.training.selection
    if selection == "validation":
        return validation_judge(split.validation, folders, device)
    if selection == "released_test_selected":
        tests = [video for video in videos if video.split == "test"]
        segments = read_ground_truth(paths.ground_truth(run.dataset))
        return released_test_judge(tests, segments, run.section.visual.stride, folders, device)
    return None


def _dimensions(run: Run, data: TrainingSet, tower: TextTower) -> Dimensions:
    own = _modalities(run.architecture)
    return Dimensions(
        widths={modality: width for modality, width in data.widths.items() if modality in own},
        n_classes=len(run.section.classes),
        max_snippets=run.section.training.max_snippets,
        embedding_width=tower.embedding_width,
        text_width=tower.width,
        context_length=tower.context_length,
    )


def _describe(run: Run, detector: Detector, folders: Folders, chosen_epoch: int) -> Description:
    visual, training = run.section.visual, run.section.training
    return Description(
        dataset=run.dataset,
        variant=run.variant,
        architecture=run.architecture,
        dimensions=detector.dimensions,
        classes=run.section.classes,
        recipes={modality: dict(folder.recipe) for modality, folder in folders.items()},
        text_tower={"encoder": visual.encoder, "sha256": visual.weights.sha256 or ""},
        selection=training.selection,
        epoch=chosen_epoch,
        seed=training.seed,
    )


def _identity(run: Run, videos: Sequence[Video], folders: Folders) -> str:
    """Hash of everything that the run's result depends on."""
    teacher = run.teacher_folder
    facts = {
        "training": run.section.training.model_dump(mode="json"),
        "architecture": run.architecture.model_dump(mode="json"),
        "classes": run.section.classes,
        "text_tower": run.section.visual.model_dump(mode="json"),
        "recipes": {modality: dict(folder.recipe) for modality, folder in folders.items()},
        "videos": [asdict(video) for video in videos],
        "teacher": None if teacher is None else sha256_of(teacher / WEIGHTS),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
