"""The page's data of a video: a few facts in the list, and its curves in a file that is loaded when it is shown.

Curves are little-endian arrays in base64: two hours with one snippet per four frames are 54,000 numbers per curve,
which would take more than 5 MB as text.
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from avadclip.errors import ReportError
from avadclip.prediction.document import UNLIKE_TRAINING, Curve, Prediction
from avadclip.report.levels import by_level

SPARK_BINS = 60  # steps of the small curve in the list


def facts(prediction: Prediction) -> dict[str, Any]:
    """One entry of the list; JSON values only."""
    annotated = prediction.annotated
    return {
        "id": prediction.id,
        "path": prediction.path,
        "contentHash": prediction.content_hash,
        "seconds": round(prediction.duration_seconds, 3),
        # Browsers count from here; if a clock begins below zero, they count from zero.
        "clockStart": round(max(prediction.clock_start_seconds, 0.0), 6),
        "hasAudio": prediction.has_audio,
        "alarm": _digits(prediction.alarm),
        "threshold": prediction.alarm_threshold,
        "distance": prediction.distance_from_training and round(prediction.distance_from_training, 2),
        "unlikeTraining": UNLIKE_TRAINING if prediction.is_unlike_training else None,
        "annotated": None if annotated is None else sorted({segment.label for segment in annotated}),
        **by_level(prediction),
        "doubt": doubt(prediction),
        "spark": _spark(prediction.curves[0]),
    }


def doubt(prediction: Prediction) -> dict[str, Any]:
    """What says, beside the score itself, how much a judgement of the video would teach; see ``orders.js``.

    Returns
    -------
    dict : ``uncertainty``: name of a detector, and its uncertainty in the snippet with the highest score of the
        deciding one; the deciding detector, or else the first one that has an uncertainty; None if none has.
        ``disagreement``: difference of the highest scores of the deciding detector and of the one shown beside it,
        0..1; None if there is only one.
    """
    deciding, *others = prediction.curves
    peak = int(deciding.anomaly.argmax())
    uncertain = (
        [curve.detector, _digits(curve.uncertainty[peak])]
        for curve in prediction.curves
        if curve.uncertainty is not None
    )
    return {
        "uncertainty": next(uncertain, None),
        "disagreement": _digits(abs(deciding.anomaly.max() - others[0].anomaly.max())) if others else None,
    }


def time_axis(prediction: Prediction) -> tuple[float, float]:
    """Beginning and end of the page's time axis, in seconds."""
    first, last = float(prediction.boundary_seconds[0]), float(prediction.boundary_seconds[-1])
    return min(first, 0.0), max(last, prediction.duration_seconds)


def curves(prediction: Prediction) -> dict[str, Any]:
    """Everything about one video that is drawn; arrays as base64.

    Raises
    ------
    ReportError : more classes than one byte can number.
    """
    if len(prediction.classes) > 256:
        raise ReportError(f"{prediction.id}: has {len(prediction.classes)} classes, but the page shows at most 256")
    start, end = time_axis(prediction)
    deciding = prediction.curves[0]
    annotated = prediction.annotated
    return {
        "startSeconds": start,
        "endSeconds": end,
        "nFrames": prediction.n_frames,
        "stride": prediction.stride,
        "alarmRule": vars(prediction.alarm_rule),
        "classes": list(prediction.classes),
        "boundarySeconds": _base64(prediction.boundary_seconds, "<f8"),
        # The deciding detector's probabilities name segments; for the others, the most probable class is enough.
        "anomalyProbabilities": None
        if deciding.class_probabilities is None
        else _base64(deciding.class_probabilities[:, 1:], "<f4"),
        "curves": [_curve(curve) for curve in prediction.curves],
        "annotated": None
        if annotated is None
        else [[segment.label, segment.start_seconds, segment.end_seconds] for segment in annotated],
    }


def _curve(curve: Curve) -> dict[str, Any]:
    probabilities, uncertainty = curve.class_probabilities, curve.uncertainty
    return {
        "detector": curve.detector,
        "modality": curve.modality,
        "anomaly": _base64(curve.anomaly, "<f4"),
        "seenClass": None if probabilities is None else _base64(probabilities.argmax(axis=1), "u1"),
        "uncertainty": None if uncertainty is None else _base64(uncertainty, "<f4"),
    }


def _spark(curve: Curve) -> list[int]:
    """The highest score, in percent, of each of up to `SPARK_BINS` equal parts."""
    n_bins = min(SPARK_BINS, len(curve.anomaly))
    firsts = np.arange(n_bins) * len(curve.anomaly) // n_bins
    return [round(100 * float(score)) for score in np.maximum.reduceat(curve.anomaly, firsts)]


def _digits(score: float) -> float:
    return float(f"{score:.9g}")  # enough to distinguish float32 numbers


def _base64(values: ArrayLike, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")
