"""RTFM (Tian et al., ICCV 2021): anomalous videos should have snippets of large feature magnitude; names no classes.

From tianyu0207/RTFM at cf938f4, whose features are 2048 wide; narrower ones have narrower layers (`hidden`,
`parts/multi_scale.py`) as in CLIP-TSA. Their 15,000 steps are 15 rounds of 1,000; they released no settings for
XD-Violence. Theirs, and not here unless it is switched on: smoothness across the borders of videos.
"""

from avadclip.detectors.parts.magnitude import MagnitudeDetector, MagnitudeSettings, initialise, magnitude_recipe
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Dimensions
from avadclip.detectors.settings import Recipe


class RtfmSettings(MagnitudeSettings):
    """Constants of the authors' `model.py`, `train.py` and `main.py`."""

    recipe: Recipe = magnitude_recipe(rounds=15, steps_per_round=1000, batch_size=32)


class Rtfm(MagnitudeDetector):
    """Multi-scale temporal network over the features as they are."""

    Settings = RtfmSettings
    settings: RtfmSettings

    def __init__(self, settings: RtfmSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions)
        initialise(self)
