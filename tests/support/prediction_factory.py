"""A model folder with tiny random encoders and detectors that nobody trained: what they say is arbitrary, and exact."""

from pathlib import Path

import torch

from avadclip import paths
from avadclip.config import Params
from avadclip.config.detector import AudioVisual, Student
from avadclip.detectors.checkpoint import Description, save_checkpoint
from avadclip.detectors.protocol import Dimensions
from avadclip.detectors.registry import build
from avadclip.extraction.modalities import modality as modality_of
from avadclip.prediction.alarm import write_alarm
from avadclip.prediction.model_folder import package
from avadclip.training.run import text_tower
from tests.support.project_factory import NAME

MAX_SNIPPETS = 8  # so that a short video has several windows


def write_model_folder(params: Params, dataset: str = NAME) -> Path:
    """``runs/<dataset>`` in the working directory, with the detectors ``audio_visual`` and ``visual_student``."""
    section = params.dataset(dataset)
    tower = text_tower(section)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for variant, architecture in (("audio_visual", AudioVisual()), ("visual_student", Student())):
            seen = architecture.modalities if isinstance(architecture, AudioVisual) else (architecture.modality,)
            widths = dict.fromkeys(seen, 512)
            sizes = Dimensions(
                widths, len(section.classes), MAX_SNIPPETS, tower.embedding_width, tower.width, tower.context_length
            )
            recipes = {modality: dict(modality_of(modality, section).recipe) for modality in seen}
            weights = {"encoder": section.visual.encoder, "sha256": section.visual.weights.sha256}
            described = Description(
                dataset, variant, architecture, sizes, section.classes, recipes, weights, "last", epoch=1, seed=0
            )
            save_checkpoint(paths.run(dataset, variant), build(architecture, sizes, tower), described)
    write_alarm(paths.model(dataset), params.evaluate)
    package(paths.model(dataset), dataset, params)
    return paths.model(dataset)
