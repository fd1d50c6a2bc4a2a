"""A training run from files to files: manifest and features -> checkpoint."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avadclip import paths
from avadclip.config.datasets import Dataset
from avadclip.config.features import Modality
from avadclip.config.training import Compute
from avadclip.config.variants import Variant
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Video
from avadclip.datasets.splitting import Split, split_training
from avadclip.detectors.checkpoint import (
    WEIGHTS,
    Checkpoint,
    dimensions_of,
    load_checkpoint,
    save_checkpoint,
    save_refusal,
)
from avadclip.detectors.description import Description, read_refusal
from avadclip.detectors.parts.text import TextTower, text_tower
from avadclip.detectors.protocol import Detector, Dimensions, Needs
from avadclip.detectors.registry import build, needs, settings_of, unmet
from avadclip.detectors.settings import Settings
from avadclip.device import resolve_device
from avadclip.errors import CheckpointError, TrainingError
from avadclip.graph.code import fingerprint, kind_module
from avadclip.io import sha256_of
from avadclip.store.video import Folders, open_folders
from avadclip.training.bags import sample_length
from avadclip.training.data import TrainingSet, load_training_set
from avadclip.training.fitness import check_trainable
from avadclip.training.loop import fit
from avadclip.training.reproducibility import seed_round
from avadclip.training.resume import forget_state
from avadclip.training.segments import read_shares
from avadclip.training.selection import RoundScore, released_test_score, validation_score

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One variant on one data set with one seed.

    Attributes
    ----------
    section, where : of the variant in params.yaml, and its name there.
    teacher : variant of the same data set and seed that may teach this one.
    """

    dataset: str
    dataset_section: Dataset
    variant: str
    section: Variant
    where: str
    seed: int
    teacher: str | None = None

    @cached_property
    def settings(self) -> Settings:
        """Of the detector on this data set; :class:`ConfigError` names every key that is wrong."""
        return settings_of(self.section.kind, self.section.settings_on(self.dataset), self.where)

    @cached_property
    def needs(self) -> Needs:
        """Of the detector."""
        return needs(self.section.kind, self.settings)

    @property
    def in_training(self) -> tuple[Modality, ...]:
        """What training sees; a privileged modality that the data set lacks is done without."""
        privileged = (name for name in self.needs.privileged if name in self.dataset_section.modalities)
        return tuple(dict.fromkeys((*self.needs.modalities, *privileged)))

    @property
    def teacher_folder(self) -> Path | None:
        """Where the teacher's checkpoint lies; None if nobody teaches this detector."""
        if not self.needs.teacher:
            return None
        if self.teacher is None:
            remedy = "move it from `train` to `distill` in params.yaml"
            raise TrainingError(f"{self.dataset}/{self.variant}: learns from a teacher, but none is named; {remedy}")
        return paths.run(self.dataset, self.teacher, self.seed)

    @property
    def folder(self) -> Path:
        """Where checkpoint, curves and state go."""
        return paths.run(self.dataset, self.variant, self.seed)


def train(run: Run, compute: Compute) -> None:
    """Train a detector, under its teacher if it has one, and write its checkpoint.

    Where the data set lacks what the detector needs, the reason is written in its place: the others go on.

    Raises
    ------
    TrainingError : the videos are not fit for training, or a loss is not finite.
    CheckpointError : there is no teacher, or it was trained on other features or classes.
    FeatureError, WeightsError, DatasetError, ConfigError : an input is missing or not what it should be.
    """
    if (reason := _unmet(run)) is not None:
        log.warning("%s/%s: not trained: %s", run.dataset, run.variant, reason)
        save_refusal(run.folder, reason)
        return
    device = resolve_device(compute.device)
    teacher = None if run.teacher_folder is None else load_checkpoint(run.teacher_folder, device)
    taught = () if teacher is None else teacher.detector.modalities
    folders = open_folders(run.dataset, dict.fromkeys((*run.in_training, *taught)))
    _check_teacher(run, teacher, folders)
    videos = [video for video in read_manifest(paths.manifest(run.dataset)) if not video.excluded]
    split = split_training(videos, run.dataset_section.selection)
    check_trainable(split.train, run.dataset_section.classes)
    detector, data = prepare(run, compute, split.train, folders, run.seed)
    own_folders = {modality: folders[modality] for modality in detector.modalities}
    chosen_round = fit(
        detector,
        data,
        run.seed,
        run.folder,
        identity=_identity(run, videos, folders, compute),
        score=_round_score(run, split, videos, own_folders, device),
        teacher=None if teacher is None else teacher.detector,
        goes_on_from_best=run.dataset_section.selection.by == "released_test_selected",
    )
    save_checkpoint(run.folder, detector, _describe(run, detector, own_folders, chosen_round))
    forget_state(run.folder)


def prepare(
    run: Run,
    compute: Compute,
    videos: Sequence[Video],
    folders: Folders,
    seed: int,
    kept: Mapping[str, NDArray[np.bool_]] | None = None,
) -> tuple[Detector, TrainingSet]:
    """The detector with its first weights, on its device, and the samples that it is to learn from.

    Parameters
    ----------
    kept : of each video the snippets that may be seen; None: all.
    """
    recipe, classes = run.settings.recipe, run.dataset_section.classes
    clip = run.dataset_section.visual.text_tower
    tower = text_tower(clip, classes) if run.needs.text_tower and clip is not None else None
    together = recipe.views == "together"
    stride = run.dataset_section.visual.stride
    shares = read_shares(run.dataset, videos, stride, folders) if recipe.learns_from_segments else None
    data = load_training_set(videos, folders, classes, recipe.bag, compute.memory_gib, together, kept, shares)
    seed_round(seed, 0)
    detector = build(run.section.kind, run.settings, _dimensions(run, data, tower), tower)
    return detector.to(resolve_device(compute.device)), data


def _unmet(run: Run) -> str | None:
    lacking = unmet(run.needs, run.dataset, run.dataset_section)
    if lacking is not None or run.teacher_folder is None:
        return lacking
    reason = read_refusal(run.teacher_folder)
    return None if reason is None else f"its teacher `{run.teacher}` is not trained there: {reason}"


def _check_teacher(run: Run, teacher: Checkpoint | None, folders: Folders) -> None:
    if teacher is None:
        return
    for modality in teacher.detector.modalities:
        teacher.description.check_recipe(modality, folders[modality].recipe)
    own_length = sample_length(run.settings.recipe.bag)
    expected = {"classes": run.dataset_section.classes, "positions of a sample": own_length}
    found = {"classes": teacher.description.classes, "positions of a sample": teacher.detector.dimensions.max_snippets}
    if found != expected:
        who = f"teacher {run.dataset}/{teacher.description.variant}"
        raise CheckpointError(f"{who}: expected {expected}, found {found}; train the teacher again")


def _round_score(
    run: Run, split: Split, videos: Sequence[Video], folders: Folders, device: torch.device
) -> RoundScore | None:
    selection = run.dataset_section.selection.by
    if selection == "validation":
        return validation_score(split.validation, folders, device)
    if selection == "released_test_selected":
        segments = read_ground_truth(paths.ground_truth(run.dataset))
        annotated = {segment.id for segment in segments}
        # An anomalous video without segments has frames of which nobody knows what they are.
        tests = [video for video in videos if video.split == "test" and (video.is_normal or video.id in annotated)]
        return released_test_score(tests, segments, run.dataset_section.visual.stride, folders, device)
    return None


def _dimensions(run: Run, data: TrainingSet, tower: TextTower | None) -> Dimensions:
    return Dimensions(
        widths={modality: width for modality, width in data.widths.items() if modality in run.in_training},
        n_classes=len(run.dataset_section.classes),
        max_snippets=sample_length(run.settings.recipe.bag),
        embedding_width=0 if tower is None else tower.embedding_width,
        text_width=0 if tower is None else tower.width,
        context_length=0 if tower is None else tower.context_length,
    )


def _describe(run: Run, detector: Detector, folders: Folders, chosen_round: int) -> Description:
    clip = run.dataset_section.visual.text_tower if run.needs.text_tower else None
    return Description(
        dataset=run.dataset,
        variant=run.variant,
        kind=run.section.kind,
        settings=run.settings.model_dump(mode="json"),
        modalities=detector.modalities,
        dimensions=dimensions_of(detector),
        classes=run.dataset_section.classes,
        recipes={modality: dict(folder.recipe) for modality, folder in folders.items()},
        text_tower=None if clip is None else {"encoder": clip.encoder, "sha256": clip.weights.sha256 or ""},
        selection=run.dataset_section.selection.by,
        round=chosen_round,
        seed=run.seed,
    )


def _identity(run: Run, videos: Sequence[Video], folders: Folders, compute: Compute) -> str:
    """Hash of everything that the run's result depends on: a state of another identity is not resumed."""
    teacher, selection = run.teacher_folder, run.dataset_section.selection
    kind = kind_module(run.section.kind)
    facts = {
        "seed": run.seed,
        "kind": run.section.kind,
        "settings": run.settings.model_dump(mode="json"),
        "selection": selection.model_dump(mode="json"),
        "classes": run.dataset_section.classes,
        "text_tower": run.dataset_section.visual.model_dump(mode="json"),
        "recipes": {modality: dict(folder.recipe) for modality, folder in folders.items()},
        "videos": [asdict(video) for video in videos],
        "teacher": None if teacher is None else sha256_of(teacher / WEIGHTS),
        "device": str(resolve_device(compute.device)),
        "code": fingerprint([Path(__file__), *([] if kind is None else [kind])]),
        # Nobody else looks at it.
        "ground_truth": sha256_of(paths.ground_truth(run.dataset))
        if selection.by == "released_test_selected" or run.settings.recipe.learns_from_segments
        else None,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
