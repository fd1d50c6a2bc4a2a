"""The prediction for one video, and its form in ``predictions.json``. Without torch, because the page reads it, too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from avadclip.evaluation.alarm_rule import EVERY_RUN, AlarmRule

FORMAT = "avadclip-predictions/1"
UNLIKE_TRAINING = "unlike anything this model was trained on"

_ARRAYS = ("anomaly", "class_probabilities", "uncertainty")  # the arrays of a curve


@dataclass(frozen=True)
class DetectedSegment:
    """An uninterrupted alarm, frames half-open.

    Attributes
    ----------
    label : the anomaly class with the highest mean probability in the segment; ``anomaly`` from a detector that names
        no classes.
    start_frame, end_frame, start_seconds, end_seconds : source frames, and when they are presented.
    score : highest anomaly score of its snippets, 0..1.
    uncertainty : mean over its snippets; None if the detector is not a student.
    """

    label: str
    start_frame: int
    end_frame: int
    start_seconds: float
    end_seconds: float
    score: float
    uncertainty: float | None


@dataclass(frozen=True)
class AnnotatedSegment:
    """An event of the ground truth, in seconds; label ``*`` is an anomaly of any class."""

    label: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Curve:
    """Scores of one detector for the n snippets of a video.

    Attributes
    ----------
    detector : name of the variant, for example ``audio_visual``.
    modality : what it used: ``audio_visual``, ``visual`` or ``audio``.
    anomaly : float32 [n], 0..1, of the branch that raises alarms.
    class_probabilities : float32 [n, C], or None.
    uncertainty : float32 [n], mean log variance of a student's features, or None.
    """

    detector: str
    modality: str
    anomaly: NDArray[np.float32]
    class_probabilities: NDArray[np.float32] | None
    uncertainty: NDArray[np.float32] | None


@dataclass(frozen=True)
class Prediction:
    """The prediction for one video.

    Attributes
    ----------
    id, path : file stem (or id in the data set), and the file as it was given.
    boundary_seconds : float64 [n + 1], where snippets begin and the last one ends; like all times it counts from the
        first frame.
    classes : columns of the class probabilities; class 0 is `normal`.
    alarm_threshold : an alarm is on where the deciding curve reaches this.
    alarm_rule : the rest of the rule of alarms, in snippets.
    decided_by : detector whose curve gives the segments.
    curves : one per detector; the deciding one first.
    segments : in order of time.
    annotated : the ground truth, or None if there is none.
    clock_start_seconds : time of the first frame on the clock of the file, on which players of some containers count.
    content_hash : sha256 of the file, hex, so that judgements of this video are not applied to another one; empty if
        it is not known.
    distance_from_training : distance of its features from those of the training videos; above 1 it is unlike them;
        None if it is not known. See :mod:`avadclip.prediction.familiarity`.
    """

    id: str
    path: str
    n_frames: int
    frame_rate: float
    duration_seconds: float
    has_audio: bool
    stride: int
    boundary_seconds: NDArray[np.float64]
    classes: tuple[str, ...]
    alarm_threshold: float
    decided_by: str
    curves: tuple[Curve, ...]
    segments: tuple[DetectedSegment, ...]
    annotated: tuple[AnnotatedSegment, ...] | None = None
    clock_start_seconds: float = 0.0
    distance_from_training: float | None = None
    alarm_rule: AlarmRule = EVERY_RUN
    content_hash: str = ""

    @property
    def alarm(self) -> float:
        """Highest score of the deciding curve: how alarming the video is, 0..1."""
        return float(self.curves[0].anomaly.max())

    @property
    def is_unlike_training(self) -> bool:
        """Whether the video is unlike all training videos; then its scores mean little."""
        return self.distance_from_training is not None and self.distance_from_training > 1

    def to_json(self) -> dict[str, Any]:
        """JSON values only; scores keep nine digits, which distinguish all float32 numbers."""
        return {
            **{key: value for key, value in vars(self).items() if key not in ("curves", "segments", "annotated")},
            "boundary_seconds": [round(float(t), 6) for t in self.boundary_seconds],
            "classes": list(self.classes),
            "alarm_rule": vars(self.alarm_rule),
            "alarm": self.alarm,
            "unlike_training": self.is_unlike_training,
            "curves": [_curve(curve) for curve in self.curves],
            "segments": [vars(segment) for segment in self.segments],
            "annotated": None if self.annotated is None else [vars(segment) for segment in self.annotated],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`, except for rounded digits; KeyError or TypeError for any other content."""
        fields = {key: value for key, value in content.items() if key not in ("alarm", "unlike_training")}
        annotated = content["annotated"]
        read = {
            "boundary_seconds": np.array(content["boundary_seconds"], np.float64),
            "classes": tuple(content["classes"]),
            "alarm_rule": AlarmRule(**content["alarm_rule"]),
            "curves": tuple(_curve_of(curve) for curve in content["curves"]),
            "segments": tuple(DetectedSegment(**segment) for segment in content["segments"]),
            "annotated": None if annotated is None else tuple(AnnotatedSegment(**segment) for segment in annotated),
        }
        return cls(**(fields | read))


def _curve_of(content: Mapping[str, Any]) -> Curve:
    arrays: dict[str, Any] = {
        name: None if (values := content[name]) is None else np.array(values, np.float32) for name in _ARRAYS
    }
    return Curve(content["detector"], content["modality"], **arrays)


def _curve(curve: Curve) -> dict[str, Any]:
    values = {name: None if (array := getattr(curve, name)) is None else _digits(array) for name in _ARRAYS}
    return {"detector": curve.detector, "modality": curve.modality, **values}


def _digits(array: NDArray[np.float32]) -> Any:
    return [float(f"{value:.9g}") for value in array] if array.ndim == 1 else [_digits(row) for row in array]
