"""A training run: manifest and features -> checkpoint."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from avadclip import paths
from avadclip.config.evaluation import Branch
from avadclip.config.training import Compute
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Video
from avadclip.datasets.splitting import Split, split_training
from avadclip.detectors.calibration import Calibration, learn
from avadclip.detectors.checkpoint import (
    WEIGHTS,
    Checkpoint,
    dimensions_of,
    load_checkpoint,
    save_checkpoint,
    save_refusal,
)
from avadclip.detectors.description import Description, read_refusal
from avadclip.detectors.protocol import Detector
from avadclip.detectors.registry import unmet
from avadclip.device import resolve_device
from avadclip.errors import CheckpointError, ConfigError, HeldOutError
from avadclip.graph.code import fingerprint, kind_module
from avadclip.io import sha256_of
from avadclip.store.video import Folders, open_folders
from avadclip.training.bags import sample_length
from avadclip.training.cross_validation import best_round, cross_validate
from avadclip.training.fitness import check_trainable
from avadclip.training.loop import fit
from avadclip.training.preparation import Run, prepare
from avadclip.training.resume import forget_state
from avadclip.training.selection import RoundScore, released_test_score, validation_score

log = logging.getLogger(__name__)


def train(run: Run, compute: Compute) -> None:
    """Train a detector, with its teacher if it has one, and write its checkpoint.

    If the data set lacks what the detector needs, the reason is written in its place, and other detectors continue.

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
    decided = _decided_by_held_out(run, compute)
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
        n_rounds=decided.n_rounds,
    )
    save_checkpoint(run.folder, detector, _describe(run, detector, own_folders, chosen_round, decided))
    forget_state(run.folder)


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
        # It is not known which frames of an anomalous video without segments are anomalous.
        tests = [video for video in videos if video.split == "test" and (video.is_normal or video.id in annotated)]
        return released_test_score(tests, segments, run.dataset_section.visual.stride, folders, device)
    return None


def _stops(run: Run) -> bool:
    """Whether held-out snippets decide when training ends; a variant with a teacher is trained to its last round."""
    if run.dataset_section.selection.by != "ranking" or run.needs.teacher:
        return False
    if run.settings.recipe.average_rounds > 0:
        which = f"{run.where}.recipe.average_rounds"
        raise ConfigError(
            f"{which}: `selection.by: ranking` cannot choose the mean of the last rounds; set `average_rounds: 0`"
        )
    return True


@dataclass(frozen=True)
class _Decided:
    """What held-out snippets of the training decide.

    Attributes
    ----------
    n_rounds : when training ends; None: with its last round.
    calibration : of the scores, by branch.
    uncalibrated : why there is none, although the recipe asks for it.
    """

    n_rounds: int | None = None
    calibration: dict[Branch, Calibration] | None = None
    uncalibrated: str | None = None


def _decided_by_held_out(run: Run, compute: Compute) -> _Decided:
    """Ask them if the parameters say so. Too few for calibration is no error: scores then stay as they are."""
    stops, method, n_rounds = _stops(run), run.settings.recipe.calibrate, None
    if not stops and method == "none":
        return _Decided()
    try:
        n_folds = run.dataset_section.selection.folds
        rounds = cross_validate(run, compute, n_folds, fewer=not stops, every_round=stops)
        n_rounds = best_round(rounds) if stops else None
        if method == "none":
            return _Decided(n_rounds)
        last = rounds[(n_rounds or len(rounds)) - 1]
        return _Decided(n_rounds, {branch: learn(method, *each.judged()) for branch, each in last.items()})
    except HeldOutError as error:
        if stops and n_rounds is None:
            raise
        log.warning("%s/%s: scores are not calibrated: %s", run.dataset, run.variant, error)
        return _Decided(n_rounds, uncalibrated=str(error))


def _describe(
    run: Run,
    detector: Detector,
    folders: Folders,
    chosen_round: int,
    decided: _Decided,
) -> Description:
    clip = run.dataset_section.visual.text_tower if run.needs.text_tower else None
    selected = run.dataset_section.selection.by
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
        selection="last" if selected == "ranking" and run.needs.teacher else selected,
        round=chosen_round,
        seed=run.seed,
        calibration=decided.calibration,
        uncalibrated=decided.uncalibrated,
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
        # Nothing else uses it.
        "ground_truth": sha256_of(paths.ground_truth(run.dataset))
        if selection.by == "released_test_selected" or run.settings.recipe.learns_from_segments
        else None,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
