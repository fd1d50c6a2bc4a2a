"""Predictions without a model: scores from a seed, segments as `find_alarms` finds them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avadclip.evaluation.segments import find_alarms
from avadclip.prediction.document import AnnotatedSegment, Curve, DetectedSegment, Prediction

CLASSES = ("normal", "fighting", "car accident", "explosion")


def make_prediction(
    video_id: str = "video",
    *,
    seconds: float = 6.0,
    frame_rate: float = 25.0,
    stride: int = 5,
    seed: int = 0,
    highest: float = 1.0,
    path: str | None = None,
    has_audio: bool = True,
    classes: Sequence[str] = CLASSES,
    threshold: float = 0.5,
    annotated: Sequence[tuple[str, float, float]] | None = (),
    anomaly: NDArray[np.float32] | None = None,
) -> Prediction:
    """Make a prediction whose deciding curve reaches `highest`, in hundredths: some scores meet a threshold exactly."""
    random = np.random.default_rng(seed)
    n_frames = round(seconds * frame_rate)
    n_snippets = -(-n_frames // stride)
    boundaries = np.append(np.arange(n_snippets) * stride, n_frames) / frame_rate
    if anomaly is None:
        waves = sum(np.sin(np.arange(n_snippets) / n_snippets * k + random.uniform(0, 6)) for k in (6, 15, 40))
        anomaly = highest * (waves - waves.min()) / max(float(np.ptp(waves)), 1e-9)
        anomaly = np.round(anomaly, 2).astype(np.float32)
    names = ("audio_visual", "visual_student", "audio_student") if has_audio else ("visual_student",)
    curves = tuple(
        Curve(
            detector=name,
            modality=name.removesuffix("_student"),
            anomaly=anomaly if i == 0 else random.random(n_snippets, dtype=np.float32),
            class_probabilities=random.dirichlet(np.ones(len(classes)), n_snippets).astype(np.float32),
            uncertainty=random.normal(size=n_snippets).astype(np.float32) if "student" in name else None,
        )
        for i, name in enumerate(names)
    )
    return Prediction(
        id=video_id,
        path=path or f"videos/{video_id}.mp4",
        n_frames=n_frames,
        frame_rate=frame_rate,
        duration_seconds=n_frames / frame_rate,
        has_audio=has_audio,
        stride=stride,
        boundary_seconds=boundaries,
        classes=tuple(classes),
        alarm_threshold=threshold,
        decided_by=curves[0].detector,
        curves=curves,
        segments=segments_of(curves[0], boundaries, classes, threshold, stride, n_frames),
        annotated=None if annotated is None else tuple(AnnotatedSegment(*event) for event in annotated),
    )


def segments_of(
    curve: Curve,
    boundaries: NDArray[np.float64],
    classes: Sequence[str],
    threshold: float,
    stride: int = 1,
    n_frames: int = 10**9,
) -> tuple[DetectedSegment, ...]:
    """Return the alarms of a curve as segments."""
    return tuple(
        DetectedSegment(
            label="anomaly" if alarm.class_index is None else classes[alarm.class_index],
            start_frame=alarm.first * stride,
            end_frame=min(alarm.end * stride, n_frames),
            start_seconds=float(boundaries[alarm.first]),
            end_seconds=float(boundaries[alarm.end]),
            score=alarm.score,
            uncertainty=None,
        )
        for alarm in find_alarms(curve.anomaly, curve.class_probabilities, threshold)
    )
