"""The audio-visual detector with every switch on that keeps it from overfitting to a few videos."""

from typing import Any

from torch import nn

from avadclip.detectors.audio_visual import AudioVisualDetector, AudioVisualSettings
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Dimensions
from avadclip.detectors.settings import Augment, Optimizer, Positive, Recipe, Share

ALL_ON: dict[str, Any] = {"feature_noise": 0.1, "feature_dropout": 0.1, "modality_dropout": 0.3, "mix_normal": 0.5}


class RegularisedSettings(AudioVisualSettings):
    """Settings with every such switch on."""

    mask_padding: bool = True
    temperature: Positive = 0.3
    feature_norm: Positive | None = 3.0
    feature_dropout: Share = 0.2
    positions: bool = False
    skip: bool = True
    freeze_prompts: bool = True
    recipe: Recipe = Recipe(
        augment=Augment(**ALL_ON),
        average_rounds=3,
        optimizer=Optimizer(learning_rate=3e-3),
        loss_weights={"binary": 1.0, "align": 1.0, "text": 1e-4},
    )


class Regularised(AudioVisualDetector):
    """The detector with its gate open from the start: a closed gate passes no gradient to the layers behind it."""

    Settings = RegularisedSettings

    def __init__(self, settings: RegularisedSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        nn.init.constant_(self.temporal.gate, 0.5)
