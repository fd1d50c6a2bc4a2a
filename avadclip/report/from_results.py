"""Results of the stages for the test videos -> the page. Needs no torch and opens no video."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from avadclip import paths
from avadclip.config import Params
from avadclip.errors import EvaluationError
from avadclip.evaluation.detectors import ScoredDetector, read_detectors
from avadclip.evaluation.joining import check_ground_truth, videos_under_test
from avadclip.evaluation.testset import TestSet
from avadclip.prediction.alarm import ALARM, read_alarm
from avadclip.prediction.assembly import AboutVideo, assemble
from avadclip.prediction.document import AnnotatedSegment, Prediction
from avadclip.prediction.familiarity import read_distances
from avadclip.report.footage import Footage, read_footage
from avadclip.report.page import PageVideo, ResultsTables, write_page
from avadclip.report.plots import draw_plots
from avadclip.report.shown import shown_on_page
from avadclip.scoring import scores
from avadclip.scoring.scores import VideoScores


def write_report(folder: Path, test_set: TestSet, params: Params) -> None:
    """Write the page of a data set's test split, with annotations, and with the tables and plots of ``evaluate``.

    The page plays the copies in ``players/`` beside `folder`: DVC never pushes that folder, and may push the page.

    Raises
    ------
    EvaluationError : there are no scores or results, or they do not fit manifest and ground truth.
    ReportError : stage ``players`` has not run, or has run with another manifest.
    DatasetError : a table is damaged.
    """
    name = test_set.dataset
    summary, footage = paths.summary(name), read_footage(paths.footage(name))
    for file in (summary, paths.model(name) / ALARM):
        if not file.is_file():
            raise EvaluationError(f"{file}: no such file; run `dvc repro evaluate`")
    pages = [
        PageVideo(
            found,
            media=paths.players(name) / footage.players[found.id] if found.id in footage.players else None,
            sound=footage.strips.get(found.id),
        )
        for found in predict_test_set(test_set, params, footage, read_distances(paths.distances(name)))
    ]
    with TemporaryDirectory() as pictures:
        figures = draw_plots(paths.results(name) / "plots", Path(pictures))
        results = ResultsTables(summary.read_text(encoding="utf-8"), figures)
        title = f"Test videos of {name}"
        write_page(folder, pages, title=title, dataset=name, results=results, copy_media=False)


def predict_test_set(
    test_set: TestSet, params: Params, footage: Footage, distances: Mapping[str, float | None]
) -> Iterator[Prediction]:
    """The prediction for each test video by the scores of the first seed, sorted by id.

    Parameters
    ----------
    distances : distance from the training by video id; see :func:`avadclip.prediction.familiarity.read_distances`.

    Raises
    ------
    EvaluationError, ReportError : as :func:`write_report`.
    """
    check_ground_truth(test_set.segments, test_set.videos, test_set.classes)
    unknown = frozenset(test_set.without_segments)
    shown = shown_on_page(read_detectors(test_set, params), params)
    rows = [{row.id: row for row in scores.rows(detector.first.scores)} for detector in shown]
    alarm = read_alarm(paths.model(test_set.dataset))  # also a threshold that a budget chose
    for video in videos_under_test(test_set.videos):
        clock = footage.clock(video)
        start_seconds = float(clock[0])
        clock = clock - start_seconds  # times count from the beginning of the file
        yield assemble(
            AboutVideo(
                id=video.id,
                path=video.path,
                n_frames=video.n_frames,
                frame_rate=video.frame_rate,
                has_audio=video.has_audio,
                stride=test_set.stride,
                boundary_seconds=np.append(clock[:-1][:: test_set.stride], clock[-1]),
                clock_start_seconds=start_seconds,
                distance_from_training=distances.get(video.id),
                content_hash=video.content_hash,
            ),
            _speaking(shown, [of_detector[video.id] for of_detector in rows], params.score.student),
            shown[0].first.scores.provenance.classes,
            alarm,
            annotated=None
            if video.id in unknown
            else tuple(
                AnnotatedSegment(segment.label, float(clock[segment.start_frame]), float(clock[segment.end_frame]))
                for segment in test_set.segments
                if segment.id == video.id
            ),
        )


def _speaking(shown: Sequence[ScoredDetector], rows: Sequence[VideoScores], student: str) -> dict[str, VideoScores]:
    """Scores of one video by detector, the deciding one first; those of the stand-in are shown once, under its name."""
    speaking: dict[str, VideoScores] = {}
    for detector, row in zip(shown, rows, strict=True):
        speaking.setdefault(student if row.id in detector.first.stood_in else detector.name, row)
    return speaking
