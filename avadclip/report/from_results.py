"""What the graph knows of the test videos -> the page. No torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from avadclip import paths, scores
from avadclip.config import Params
from avadclip.datasets.model import Segment, Video
from avadclip.errors import DatasetError, EvaluationError
from avadclip.evaluation.assessment import detector_name
from avadclip.evaluation.evaluate import score_files
from avadclip.evaluation.joining import check_ground_truth, check_scores, videos_under_test
from avadclip.evaluation.testset import TestSet
from avadclip.media.probe import probe
from avadclip.prediction.assembly import AboutVideo, assemble
from avadclip.prediction.document import AnnotatedSegment, Prediction
from avadclip.report.page import PageVideo, ResultsTables, write_page
from avadclip.report.plots import draw_plots
from avadclip.scores import Scores, VideoScores


def write_report(folder: Path, test_set: TestSet, params: Params) -> None:
    """Write the page of a data set's test split, with annotations, and with the tables and plots of ``evaluate``.

    Parameters
    ----------
    params : `teacher` decides and `score.student` is shown beside it, as in ``avadclip predict``; `evaluate` has the
        threshold; of the most alarming videos whose files are here, `report.players` are copied into the page.

    Raises
    ------
    EvaluationError : there are no scores or results, or they do not fit manifest and ground truth.
    DatasetError, MediaError : a video file is not the one that stage ``prepare`` saw.
    """
    summary = paths.summary(test_set.dataset)
    if not summary.is_file():
        raise EvaluationError(f"{summary}: no such file; run `dvc repro evaluate`")
    predictions = list(predict_test_set(test_set, params))
    by_alarm = sorted(predictions, key=lambda prediction: -prediction.alarm)
    playable = [prediction.id for prediction in by_alarm if _is_video(prediction.path)]
    players = set(playable[: params.report.players])
    pages = [PageVideo(found, Path(found.path) if found.id in players else None) for found in predictions]
    with TemporaryDirectory() as pictures:
        figures = draw_plots(paths.results(test_set.dataset) / "plots", Path(pictures))
        results = ResultsTables(summary.read_text(encoding="utf-8"), figures)
        write_page(folder, pages, title=f"Test videos of {test_set.dataset}", results=results)


def predict_test_set(test_set: TestSet, params: Params) -> Iterator[Prediction]:
    """What the scores say about each test video, sorted by id.

    Raises
    ------
    EvaluationError, DatasetError, MediaError : as :func:`write_report`.
    """
    videos = videos_under_test(test_set.videos)
    check_ground_truth(test_set.segments, test_set.videos, test_set.classes)
    shown = _choose({params.teacher, params.score.student}, test_set.dataset, params.teacher)
    for found in shown.values():
        check_scores(found, videos)
    rows = {name: {row.id: row for row in scores.rows(found)} for name, found in shown.items()}
    for video in videos:
        clock = _Clock(video, test_set.stride)
        own = {name: of_video[video.id] for name, of_video in rows.items()}
        yield assemble(
            AboutVideo(
                id=video.id,
                path=video.path,
                n_frames=video.n_frames,
                frame_rate=video.frame_rate,
                has_audio=video.has_audio,
                stride=test_set.stride,
                boundary_seconds=clock.boundary_seconds,
                clock_start_seconds=clock.start_seconds,
            ),
            _without_stand_in(own),
            next(iter(shown.values())).provenance.classes,
            params.evaluate.alarm_threshold,
            params.evaluate.alarm_branch,
            annotated=tuple(clock.annotation(s) for s in test_set.segments if s.id == video.id),
        )


def _choose(wanted: set[str], dataset: str, first: str) -> dict[str, Scores]:
    """The scores of these detectors, `first` first; of any one detector if none of them was scored."""
    read = map(scores.read, score_files(paths.scores_folder(dataset)))
    known = {detector_name(found.provenance): found for found in read}
    chosen = {name: found for name, found in known.items() if name in wanted} or dict(list(known.items())[:1])
    return dict(sorted(chosen.items(), key=lambda item: item[0] != first))


def _without_stand_in(own: Mapping[str, VideoScores]) -> dict[str, VideoScores]:
    """Where a video has no sound the student's scores are those of the detector, too: they are the student's."""
    (first, deciding), *others = own.items()
    repeated = [name for name, row in others if np.array_equal(row.anomaly_confidence, deciding.anomaly_confidence)]
    return {name: row for name, row in own.items() if not (repeated and name == first)}


def _is_video(path: str) -> bool:
    """Whether there is something to play: not on a machine without the videos, nor in place of imported features."""
    return Path(path).suffix != ".npy" and Path(path).is_file()


class _Clock:
    """When the frames of one video are shown: as its file says, or evenly where the file is not here."""

    def __init__(self, video: Video, stride: int) -> None:
        if _is_video(video.path):
            info = probe(Path(video.path))
            if info.n_frames != video.n_frames:
                raise DatasetError(
                    f"{video.path}: {info.n_frames} frames, but the manifest says {video.n_frames}; run `dvc repro`"
                )
            self.start_seconds = float(info.frame_seconds[0])
            self._seconds = np.append(info.frame_seconds, info.end_seconds) - self.start_seconds
        else:
            self.start_seconds = 0.0
            self._seconds = np.arange(video.n_frames + 1) / video.frame_rate
        self._stride = stride

    @property
    def boundary_seconds(self) -> NDArray[np.float64]:
        """Where snippets begin, and where the last one ends [n + 1]."""
        return np.append(self._seconds[:-1][:: self._stride], self._seconds[-1])

    def annotation(self, segment: Segment) -> AnnotatedSegment:
        """A segment of the ground truth in seconds."""
        start, end = (float(self._seconds[frame]) for frame in (segment.start_frame, segment.end_frame))
        return AnnotatedSegment(segment.label, start, end)
