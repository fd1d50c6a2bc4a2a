"""A model folder with tiny random encoders and untrained detectors, whose scores are arbitrary but reproducible."""

from pathlib import Path

import numpy as np
import torch

from avadclip import paths
from avadclip.config import Params
from avadclip.config.features import Modality
from avadclip.detectors.checkpoint import dimensions_of, save_checkpoint
from avadclip.detectors.description import Description
from avadclip.detectors.parts.text import text_tower
from avadclip.detectors.protocol import Dimensions
from avadclip.detectors.registry import build, needs, settings_of
from avadclip.extraction.modalities import modality as modality_of
from avadclip.prediction.alarm import write_alarm
from avadclip.prediction.familiarity import MIN_VIDEOS, Reference, describe
from avadclip.prediction.model_folder import package
from tests.support.project_factory import NAME

MAX_SNIPPETS = 8  # so that a short video has several windows
VARIANTS = {"audio_visual": ("audio_visual", {}), "visual_student": ("student", {"modality": "visual"})}


def write_model_folder(params: Params, dataset: str = NAME, seed: int = 0) -> Path:
    """Write ``runs/<dataset>`` in the working directory, with detectors ``audio_visual`` and ``visual_student``."""
    section = params.dataset(dataset)
    tower = text_tower(section.visual, section.classes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for variant, (kind, changes) in VARIANTS.items():
            settings = settings_of(kind, changes)
            seen = needs(kind, settings).modalities
            detector = build(
                kind,
                settings,
                Dimensions(
                    widths=dict.fromkeys(seen, 512),
                    n_classes=len(section.classes),
                    max_snippets=MAX_SNIPPETS,
                    embedding_width=tower.embedding_width,
                    text_width=tower.width,
                    context_length=tower.context_length,
                ),
                tower,
            )
            description = Description(
                dataset=dataset,
                variant=variant,
                kind=kind,
                settings=settings.model_dump(mode="json"),
                modalities=detector.modalities,
                dimensions=dimensions_of(detector),
                classes=section.classes,
                recipes={name: dict(modality_of(name, section).recipe) for name in seen},
                text_tower={"encoder": section.visual.encoder, "sha256": section.visual.weights.sha256 or ""},
                selection="last",
                round=1,
                seed=seed,
            )
            save_checkpoint(paths.run(dataset, variant, seed), detector, description)
    write_alarm(paths.model(dataset), params.evaluate)
    package(paths.model(dataset), dataset, params)
    return paths.model(dataset)


def strange_training(width: int = 512) -> dict[Modality, Reference]:
    """Describe training videos with random features, which no real video resembles."""
    videos = np.random.default_rng(0).standard_normal((MIN_VIDEOS, 8, width))
    reference = describe(videos / np.linalg.norm(videos, axis=-1, keepdims=True))
    assert reference is not None
    return {"visual": reference, "audio": reference}
