"""Colours of detectors and classes, the same in figures and on the page."""

from collections.abc import Iterable, Sequence

# Colours that colour-blind people can distinguish (Okabe and Ito); detectors are lines, classes are bands.
DETECTOR_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
CLASS_COLORS = ("#D55E00", "#7B4FA3", "#8C564B", "#B5A300", "#5B6770", "#C4314B", "#2A9D9D", "#3D3D8F")
NORMAL_COLOR = "#ECECEC"
EVENT_COLOR = "#F7C9C2"
INK, FAINT = "#333333", "#8A8A8A"

# Drawn first by default, in this order, as in the paper: the detector, its student, and the baseline.
PREFERRED = ("audio_visual", "visual_student", "visual_baseline")


def class_colors(classes: Sequence[str]) -> dict[str, str]:
    """A colour for each class; they repeat from the ninth anomaly class on."""
    anomalies = {name: CLASS_COLORS[i % len(CLASS_COLORS)] for i, name in enumerate(classes[1:])}
    return {classes[0]: NORMAL_COLOR, **anomalies}


def preferred_first(detectors: Iterable[str]) -> list[str]:
    """The order in which detectors are drawn and coloured: those of `PREFERRED`, then the others in their order."""
    known = list(dict.fromkeys(detectors))
    return [name for name in PREFERRED if name in known] + [name for name in known if name not in PREFERRED]
