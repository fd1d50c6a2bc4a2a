"""All predictions of a run as files: ``predictions.json`` and ``segments.csv``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avadclip.datasets import csv_file
from avadclip.io import write_text
from avadclip.prediction.document import FORMAT, Prediction
from avadclip.prediction.results import PREDICTIONS, SEGMENTS

# The description of ``predictions.json`` for other programs.
SCHEMA = Path(__file__).with_name("predictions.schema.json")
SEGMENTS_HEADER = (
    "id",
    "path",
    "label",
    "start_seconds",
    "end_seconds",
    "start_frame",
    "end_frame",
    "score",
    "uncertainty",
    "detector",
)


@dataclass(frozen=True)
class MadeBy:
    """Where predictions come from."""

    folder: str  # the model, as it was given
    dataset: str  # on which its detectors were trained
    detector: str  # decides if there is sound
    student: str  # decides if there is no sound
    alarm_branch: str
    alarm_threshold: float


def write_predictions(
    folder: Path, predictions: Sequence[Prediction], failures: Mapping[str, str], made_by: MadeBy
) -> None:
    """Write both files; earlier ones are replaced.

    Parameters
    ----------
    failures : path -> why there is no prediction.
    """
    content = {
        "format": FORMAT,
        "model": vars(made_by),
        "videos": [prediction.to_json() for prediction in predictions],
        "failures": [{"path": path, "reason": reason} for path, reason in failures.items()],
    }
    rows = [row for prediction in predictions for row in _rows(prediction)]
    csv_file.write(folder / SEGMENTS, SEGMENTS_HEADER, rows)
    write_text(folder / PREDICTIONS, json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")


def _rows(prediction: Prediction) -> list[tuple[str, ...]]:
    return [
        (
            prediction.id,
            prediction.path,
            segment.label,
            f"{segment.start_seconds:.6f}",  # a table data set reads the same frames from it
            f"{segment.end_seconds:.6f}",
            str(segment.start_frame),
            str(segment.end_frame),
            f"{segment.score:.4f}",
            "" if segment.uncertainty is None else f"{segment.uncertainty:.4f}",
            prediction.decided_by,
        )
        for segment in prediction.segments
    ]
