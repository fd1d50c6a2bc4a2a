"""Architecture -> detector. A new detector is a section with a `kind` of its own, a file, and a line here."""

from avadclip.config.detector import AnyArchitecture, AudioVisual
from avadclip.detectors.audio_visual import AudioVisualDetector
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Detector, Dimensions
from avadclip.detectors.student import StudentDetector


def build(architecture: AnyArchitecture, dimensions: Dimensions, tower: TextTower | None = None) -> Detector:
    """A detector with fresh weights (from torch's global random state), on the CPU, in training mode.

    Parameters
    ----------
    tower : CLIP's text tower with the class names; None for a detector that only scores and gets its weights loaded.

    Raises
    ------
    ConfigError : a class name with its learned vectors is too long for the tower.
    """
    if isinstance(architecture, AudioVisual):
        return AudioVisualDetector(architecture, dimensions, tower)
    return StudentDetector(architecture, dimensions, tower)
