"""CLIP-TSA (Joo et al., ICIP 2023): RTFM behind a gate that lets the most relevant snippets through; names no classes.

From joos2010kj/CLIP-TSA at a58353c, with their settings for XD-Violence; their 4,000 steps are 20 rounds of 200, and
their features have one view. Their tests draw new noise each time, so that scores are random; ours draw the same.
Theirs, and not here unless it is switched on: smoothness across the borders of videos, at most 1,000 snippets that are
let through in a test (`most_in_test`), and the reduction of features wider than 512 (`reduction`).
"""

from torch import Tensor, nn

from avadclip.detectors.parts.magnitude import MagnitudeDetector, MagnitudeSettings, initialise, magnitude_recipe
from avadclip.detectors.parts.soft_top_k import SnippetGate
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Dimensions
from avadclip.detectors.settings import Count, Positive, Recipe

# Of the two layers that reduce I3D's and C3D's features, if asked for; the second is as wide as CLIP's features.
REDUCTION = (1024, 512)


class ClipTsaSettings(MagnitudeSettings):
    """Constants of the authors' `model.py`, `hard_attention.py` and `runner.sh`."""

    kept: Positive = 0.9  # share of the snippets that the gate lets through; 0.95 for UCF-Crime
    n_draws: Count = 100
    noise: Positive = 0.05
    most_in_test: Count | None = None  # snippets; 1000 as released, where it saves memory
    reduction: bool = False  # true: as released for I3D and C3D, features are first reduced to 512
    recipe: Recipe = magnitude_recipe(rounds=20, steps_per_round=200, batch_size=16)


class ClipTsa(MagnitudeDetector):
    """Gate, multi-scale temporal network, head."""

    Settings = ClipTsaSettings
    settings: ClipTsaSettings

    def __init__(self, settings: ClipTsaSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, width=REDUCTION[1] if settings.reduction else None)
        self.reduction: nn.Sequential | None = None
        if settings.reduction:
            first, second = REDUCTION
            self.reduction = nn.Sequential(
                nn.Linear(self.width_in, first), nn.ReLU(), nn.Linear(first, second), nn.Sigmoid()
            )
        self.gate = SnippetGate(self.width, settings.kept, settings.n_draws, settings.noise, settings.most_in_test)
        initialise(self)

    def attended(self, x: Tensor, batch: Batch) -> Tensor:
        """Gated features."""
        gated: Tensor = self.gate(x if self.reduction is None else self.reduction(x), batch.n_snippets)
        return gated
