"""Scores of the detectors + facts about the video -> a prediction. Without torch, for stage ``report``."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Branch
from avadclip.detectors.alarm_score import alarm_score
from avadclip.evaluation.alarm_rule import AlarmRule
from avadclip.evaluation.segments import find_alarms
from avadclip.prediction.alarm import Alarm
from avadclip.prediction.document import AnnotatedSegment, Curve, DetectedSegment, Prediction
from avadclip.scoring.scores import VideoScores

UNNAMED = "anomaly"


@dataclass(frozen=True, eq=False)
class AboutVideo:
    """Facts about a video beside its scores; see :class:`Prediction` for the fields."""

    id: str
    path: str
    n_frames: int
    frame_rate: float
    has_audio: bool
    stride: int
    boundary_seconds: NDArray[np.float64]  # [n + 1], counting from the first frame
    clock_start_seconds: float = 0.0
    distance_from_training: float | None = None
    content_hash: str = ""


def assemble(
    video: AboutVideo,
    scores: Mapping[str, VideoScores],
    classes: tuple[str, ...],
    alarm: Alarm,
    annotated: tuple[AnnotatedSegment, ...] | None = None,
) -> Prediction:
    """Find the alarms of the first detector, and put everything together.

    Parameters
    ----------
    scores : by detector; the first one decides.
    classes : columns of the class probabilities; class 0 is `normal`.
    alarm : the operating point. If a detector names no classes, its confidence raises alarms.
    """
    curves = tuple(_curve(name, found, alarm.branch) for name, found in scores.items())
    rule = AlarmRule.of(alarm.rule, video.stride, video.frame_rate)
    return Prediction(
        id=video.id,
        path=video.path,
        n_frames=video.n_frames,
        frame_rate=video.frame_rate,
        duration_seconds=float(video.boundary_seconds[-1]),
        has_audio=video.has_audio,
        stride=video.stride,
        boundary_seconds=video.boundary_seconds,
        classes=classes,
        alarm_threshold=alarm.threshold,
        alarm_rule=rule,
        decided_by=curves[0].detector,
        curves=curves,
        segments=_segments(curves[0], video, classes, alarm.threshold, rule),
        annotated=annotated,
        clock_start_seconds=video.clock_start_seconds,
        distance_from_training=video.distance_from_training,
        content_hash=video.content_hash,
    )


def _curve(detector: str, found: VideoScores, branch: Branch) -> Curve:
    anomaly = alarm_score(found.anomaly_confidence, found.class_probabilities, branch)
    return Curve(detector, found.modality, anomaly, found.class_probabilities, found.uncertainty)


def _segments(
    curve: Curve, video: AboutVideo, classes: tuple[str, ...], threshold: float, rule: AlarmRule
) -> tuple[DetectedSegment, ...]:
    return tuple(
        DetectedSegment(
            label=UNNAMED if alarm.class_index is None else classes[alarm.class_index],
            start_frame=alarm.first * video.stride,
            end_frame=min(alarm.end * video.stride, video.n_frames),
            start_seconds=float(video.boundary_seconds[alarm.first]),
            end_seconds=float(video.boundary_seconds[alarm.end]),
            score=alarm.score,
            uncertainty=None
            if curve.uncertainty is None
            else float(curve.uncertainty[alarm.first : alarm.end].mean(dtype=np.float64)),
        )
        for alarm in find_alarms(curve.anomaly, curve.class_probabilities, threshold, rule)
    )
