"""What training starts from: one variant on one data set, its detector with fresh weights, its samples."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip import paths
from avadclip.config.datasets import Dataset
from avadclip.config.features import Modality
from avadclip.config.training import Compute
from avadclip.config.variants import Variant
from avadclip.datasets.model import Video
from avadclip.detectors.parts.text import TextTower, text_tower
from avadclip.detectors.protocol import Detector, Dimensions, Needs
from avadclip.detectors.registry import build, needs, settings_of
from avadclip.detectors.settings import Settings
from avadclip.device import resolve_device
from avadclip.errors import TrainingError
from avadclip.store.video import Folders
from avadclip.training.bags import sample_length
from avadclip.training.data import TrainingSet, load_training_set
from avadclip.training.reproducibility import seed_round
from avadclip.training.segments import read_shares


@dataclass(frozen=True)
class Run:
    """One variant on one data set with one seed.

    Attributes
    ----------
    section, where : the variant's section in params.yaml, and the name of the section.
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
        """The settings of the detector on this data set; :class:`ConfigError` names every key that is wrong."""
        return settings_of(self.section.kind, self.section.settings_on(self.dataset), self.where)

    @cached_property
    def needs(self) -> Needs:
        """The needs of the detector."""
        return needs(self.section.kind, self.settings)

    @property
    def in_training(self) -> tuple[Modality, ...]:
        """The modalities that training uses; a privileged modality that the data set lacks is left out."""
        privileged = (name for name in self.needs.privileged if name in self.dataset_section.modalities)
        return tuple(dict.fromkeys((*self.needs.modalities, *privileged)))

    @property
    def teacher_folder(self) -> Path | None:
        """Folder of the teacher's checkpoint; None if this detector has no teacher."""
        if not self.needs.teacher:
            return None
        if self.teacher is None:
            remedy = "move it from `train` to `distill` in params.yaml"
            raise TrainingError(f"{self.dataset}/{self.variant}: learns from a teacher, but none is named; {remedy}")
        return paths.run(self.dataset, self.teacher, self.seed)

    @property
    def folder(self) -> Path:
        """Folder for checkpoint, curves and state."""
        return paths.run(self.dataset, self.variant, self.seed)


def prepare(
    run: Run,
    compute: Compute,
    videos: Sequence[Video],
    folders: Folders,
    seed: int,
    kept: Mapping[str, NDArray[np.bool_]] | None = None,
) -> tuple[Detector, TrainingSet]:
    """The detector with its initial weights, on its device, and its training samples.

    Parameters
    ----------
    kept : of each video, the snippets that may be used; None: all.
    """
    recipe, classes = run.settings.recipe, run.dataset_section.classes
    clip = run.dataset_section.visual.text_tower
    tower = text_tower(clip, classes) if run.needs.text_tower and clip is not None else None
    together = recipe.views == "together"
    stride = run.dataset_section.visual.stride
    shares = read_shares(run.dataset, videos, stride, folders) if recipe.learns_from_segments else None
    data = load_training_set(videos, folders, classes, recipe.bag, compute.memory_gib, together, kept, shares)
    seed_round(seed, 0)
    seconds = statistics.median(stride / video.frame_rate for video in videos)
    detector = build(run.section.kind, run.settings, _dimensions(run, data, tower, seconds), tower)
    return detector.to(resolve_device(compute.device)), data


def _dimensions(run: Run, data: TrainingSet, tower: TextTower | None, snippet_seconds: float) -> Dimensions:
    return Dimensions(
        widths={modality: width for modality, width in data.widths.items() if modality in run.in_training},
        n_classes=len(run.dataset_section.classes),
        max_snippets=sample_length(run.settings.recipe.bag),
        snippet_seconds=snippet_seconds,
        embedding_width=0 if tower is None else tower.embedding_width,
        text_width=0 if tower is None else tower.width,
        context_length=0 if tower is None else tower.context_length,
    )
