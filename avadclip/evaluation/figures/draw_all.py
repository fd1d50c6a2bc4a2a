"""Scored detectors -> a folder of timelines."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avadclip.config.evaluation import Evaluate, Figures
from avadclip.errors import ConfigError
from avadclip.evaluation import timeline
from avadclip.evaluation.detectors import ScoredDetector
from avadclip.evaluation.figures.drawing import compose, draw, save
from avadclip.evaluation.figures.palette import DETECTOR_COLORS, preferred_first
from avadclip.evaluation.figures.selection import Choice, most_instructive, named
from avadclip.evaluation.testset import TestSet
from avadclip.evaluation.timeline import Timeline


def draw_all(
    folder: Path, detectors: Sequence[ScoredDetector], test_set: TestSet, evaluate: Evaluate, settings: Figures
) -> list[Path]:
    """Draw the videos that `settings` name, or the most instructive ones; return the files.

    Parameters
    ----------
    folder : where the pictures are written, as ``<video id>.<format>``.
    detectors : of the data set; their first seed is drawn.
    test_set : manifest and ground truth.
    evaluate : section `evaluate`, for branch and threshold of the alarms.
    settings : section `figures`.

    Raises
    ------
    ConfigError : `settings` name a video or a detector that does not exist.
    EvaluationError : scores do not fit the test set.
    """
    folder.mkdir(parents=True, exist_ok=True)  # DVC expects it, and there may be no test video
    known = {detector.name: detector.first.scores for detector in detectors}
    shown = {
        name: timeline.strict(known[name], test_set.videos, test_set.segments, test_set.classes)
        for name in choose_detectors(tuple(known), settings.detectors)
    }
    first = next(iter(shown.values()))
    choices = (
        named(first, settings.videos)
        if settings.videos
        else most_instructive(shown, evaluate.alarm_branch, settings.n_videos)
    )
    return [path for choice in choices for path in _draw_one(folder, shown, choice, evaluate, settings)]


def choose_detectors(known: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Names of the detectors to be drawn, at most as many as there are colours.

    Raises
    ------
    ConfigError : one of `wanted` has not been scored, or there are too many.
    """
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(
            f"params.yaml: figures.detectors: {unknown[0]!r} was not scored; there are: {', '.join(known)}"
        )
    if len(wanted) > len(DETECTOR_COLORS):
        raise ConfigError(f"params.yaml: figures.detectors: at most {len(DETECTOR_COLORS)} are legible in one picture")
    return list(wanted) or preferred_first(known)[: len(DETECTOR_COLORS)]


def _draw_one(
    folder: Path, views: dict[str, Timeline], choice: Choice, evaluate: Evaluate, settings: Figures
) -> list[Path]:
    values = {name: view.alarm_scores(evaluate.alarm_branch).astype(np.float64) for name, view in views.items()}
    picture = compose(views, values, choice.video, choice.reason, evaluate.level)
    figure = draw(picture)
    written = [folder / f"{picture.title}.{suffix}" for suffix in settings.formats]
    for path in written:
        save(figure, path)
    return written
