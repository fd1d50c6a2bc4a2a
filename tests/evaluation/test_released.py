"""The released protocol against its slow definition, digit for digit."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from avadclip.config.evaluation import Localisation
from avadclip.datasets.model import Segment
from avadclip.evaluation import protocols, timeline
from tests.support.evaluation_factory import Case, make_case, make_scores, make_video
from tests.support.evaluation_oracle import OracleVideo, released_frame_metrics, released_map

IOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
XD_CODES = {"B1": "fighting", "B2": "shooting", "B4": "riot", "B5": "abuse", "B6": "car accident", "G": "explosion"}
RTOL = 1e-9  # the same sums of up to two million terms in another order


def prepare(case: Case) -> protocols.Protocol:
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    return protocols.released(joined, case.stride, Localisation(), IOU_THRESHOLDS)


def oracle_videos(case: Case) -> list[OracleVideo]:
    videos = []
    for index, video in enumerate(case.videos):
        first = case.scores.first_snippet[index]
        whole = slice(first, first + max(1, video.n_frames // case.stride))
        segments = [(s.label, s.start_frame, s.end_frame) for s in case.segments if s.id == video.id]
        assert case.scores.class_probabilities is not None
        videos.append(
            OracleVideo(case.scores.anomaly_confidence[whole], case.scores.class_probabilities[whole], segments)
        )
    return videos


def assert_equal_to_oracle(case: Case, iou_thresholds: tuple[float, ...] = IOU_THRESHOLDS) -> np.ndarray:
    protocol = prepare(case)
    videos = oracle_videos(case)
    found = protocol.frame_metrics(protocol.ones)
    truth = protocol.timeline.frames_inside(protocol.timeline.anomalous)
    if 0 < truth.sum() < protocol.timeline.frames.sum():  # otherwise there is no AUC to compare
        for branch, expected in released_frame_metrics(videos, case.stride).items():
            assert_allclose((found[branch].ap, found[branch].auc), expected, rtol=RTOL)
    at = [IOU_THRESHOLDS.index(threshold) for threshold in iou_thresholds]
    expected = [released_map(videos, case.classes, case.stride, threshold) for threshold in iou_thresholds]
    found_map = protocols.released_map(protocol)[at]
    assert_allclose(found_map, expected, rtol=RTOL)
    return found_map


@pytest.mark.slow
@pytest.mark.parametrize("levels", [None, 2, 8], ids=["distinct", "many ties", "some ties"])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_hundreds_of_random_cases_equal_the_slow_definition(stride: int, levels: int | None) -> None:
    rng = np.random.default_rng([stride, levels or 0])
    nonzero = 0
    for index in range(100):
        case = make_case(rng, stride=stride, levels=levels)
        nonzero += assert_equal_to_oracle(case, iou_thresholds=(IOU_THRESHOLDS[index % 5],))[0] > 0
    assert nonzero > 10  # the comparison is not one of zeros with zeros


@pytest.mark.parametrize(
    ("n_frames", "stride"), [(3, 16), (15, 4), (16, 4), (17, 4)], ids=["below a stride", "15", "16", "17"]
)
def test_short_videos(n_frames: int, stride: int) -> None:
    rng = np.random.default_rng(n_frames)
    videos = (
        make_video("a", n_frames, ["fighting"]),
        make_video("b", 160, ["fighting"]),
        make_video("c", 90, ["normal"]),
    )
    segments = (Segment("a", "fighting", 1, n_frames), Segment("b", "fighting", 20, 100))
    classes = ("normal", "fighting")
    assert_equal_to_oracle(Case(videos, segments, make_scores(videos, classes, stride, rng), classes))


def test_constant_column_makes_no_proposal_and_the_map_is_zero() -> None:
    videos = (make_video("a", 64, ["fighting"]), make_video("b", 64, ["normal"]))
    segments = (Segment("a", "fighting", 10, 40),)
    classes = ("normal", "fighting")
    scores = make_scores(videos, classes, 4, np.random.default_rng(0))
    assert scores.class_probabilities is not None
    scores.class_probabilities[:, 1] = 0.25
    case = Case(videos, segments, scores, classes)
    assert prepare(case).without_proposals == ("fighting",)
    assert protocols.released_map(prepare(case)).tolist() == [0.0] * 5
    assert_equal_to_oracle(case)


def test_class_without_ground_truth_counts_zero() -> None:
    rng = np.random.default_rng(1)
    videos = (make_video("a", 128, ["fighting"]), make_video("b", 128, ["normal"]))
    segments = (Segment("a", "fighting", 0, 128),)
    classes = ("normal", "fighting", "riot")
    case = Case(videos, segments, make_scores(videos, classes, 4, rng), classes)
    assert prepare(case).without_segments == ("riot",)
    assert_equal_to_oracle(case)


def test_ground_truth_in_the_dropped_last_snippet_is_cut_from_frames_but_stays_a_segment() -> None:
    videos = (make_video("a", 31, ["fighting"]), make_video("b", 64, ["normal"]))
    segments = (Segment("a", "fighting", 30, 31), Segment("a", "fighting", 2, 20))
    classes = ("normal", "fighting")
    case = Case(videos, segments, make_scores(videos, classes, 4, np.random.default_rng(2)), classes)
    protocol = prepare(case)
    assert protocol.timeline.frames_inside(protocol.timeline.anomalous).sum() == 18
    assert protocol.classes[1].n_segments.sum() == 2
    assert_equal_to_oracle(case)


@pytest.mark.slow
def test_real_annotations_of_xd_violence_at_full_size() -> None:
    """800 videos with real annotations and random scores. The slow mAP takes seconds per IoU, so one is compared."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "xd_violence"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the annotations of XD-Violence are not part of the project")
    assert_equal_to_oracle(xd_violence_case(folder), iou_thresholds=(0.3,))


def xd_violence_case(folder: Path, stride: int = 16) -> Case:
    """The 800 test videos; their lengths are not known, so each ends some time after its last segment."""
    rng = np.random.default_rng(0)
    classes = ("normal", *XD_CODES.values())
    segments = []
    for line in (folder / "annotations_multiclasses.txt").read_text().splitlines():
        name, *cells = line.split()
        for code, start, end in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
            segments.append(Segment(name.removesuffix(".mp4"), XD_CODES[code], int(start), int(end)))
    last = {video_id: 0 for video_id in (folder / "test_ids.txt").read_text().split("\n") if video_id}
    for segment in segments:
        last[segment.id] = max(last[segment.id], segment.end_frame)
    annotated = {segment.id: segment.label for segment in segments}
    videos = tuple(
        make_video(video_id, end + int(rng.integers(1, 3000)), [annotated.get(video_id, "normal")])
        for video_id, end in sorted(last.items())
    )
    return Case(videos, tuple(segments), make_scores(videos, classes, stride, rng), classes)
