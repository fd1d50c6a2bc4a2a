"""Score files and details of an evaluation -> a folder of timelines."""

import json
from collections.abc import Sequence
from pathlib import Path

from avadclip.config.evaluation import Figures
from avadclip.errors import ConfigError, EvaluationError
from avadclip.evaluation import timeline
from avadclip.evaluation.assessment import detector_name
from avadclip.evaluation.figures.drawing import compose, draw, save
from avadclip.evaluation.figures.palette import DETECTOR_COLORS, preferred_first
from avadclip.evaluation.figures.selection import most_instructive, named, scores_of
from avadclip.evaluation.testset import TestSet
from avadclip.evaluation.timeline import Timeline
from avadclip.scoring import scores


def draw_all(folder: Path, files: Sequence[Path], details: Path, test_set: TestSet, settings: Figures) -> list[Path]:
    """Draw the videos that `settings` name, or the most instructive ones; returns the files written.

    Parameters
    ----------
    folder : where pictures go, as ``<video id>.<format>``.
    files : score files of the data set.
    details : what stage `evaluate` wrote; branch and threshold of the alarms are taken from it.
    test_set : manifest and ground truth.
    settings : section `figures`.

    Raises
    ------
    ConfigError : `settings` name a video or a detector that there is not.
    EvaluationError : there are no details, or a score file does not fit the test set.
    """
    if not details.is_file():
        raise EvaluationError(f"{details}: no such file; run `dvc repro evaluate`")
    evaluated = json.loads(details.read_text(encoding="utf-8"))["settings"]
    views = {}
    for path in files:
        found = scores.read(path)
        view = timeline.strict(found, test_set.videos, test_set.segments, test_set.classes)
        views[detector_name(found.provenance)] = view
    shown = {name: views[name] for name in choose_detectors(tuple(views), settings.detectors)}
    branch = evaluated["alarm_branch"]
    first = next(iter(shown.values()))
    choices = named(first, settings.videos) if settings.videos else most_instructive(shown, branch, settings.n_videos)
    return [
        path
        for choice in choices
        for path in _draw_one(
            folder, shown, branch, choice.video, choice.reason, evaluated["alarm_threshold"], settings
        )
    ]


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
    folder: Path,
    views: dict[str, Timeline],
    branch: str,
    video: int,
    reason: str,
    alarm_threshold: float,
    settings: Figures,
) -> list[Path]:
    values = {name: scores_of(view, branch) for name, view in views.items()}
    picture = compose(views, values, video, reason, alarm_threshold)
    figure = draw(picture)
    written = [folder / f"{picture.title}.{suffix}" for suffix in settings.formats]
    for path in written:
        save(figure, path)
    return written
