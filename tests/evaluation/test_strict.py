"""The strict protocol joins by id, depends on no order, and names what does not fit."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from avadclip.config.evaluation import Evaluate
from avadclip.datasets.model import ANY_CLASS, Segment
from avadclip.errors import EvaluationError
from avadclip.evaluation import alarms, metrics, protocols, timeline
from avadclip.evaluation.assessment import Assessment, assess
from avadclip.evaluation.testset import TestSet
from avadclip.scoring.scores import collect
from tests.support.evaluation_factory import Case, detector_of, make_case, make_scores, make_video, rows_of

CLASSES = ("normal", "fighting", "riot")
SETTINGS = Evaluate(bootstrap_resamples=20)


def assess_case(case: Case, settings: Evaluate = SETTINGS) -> Assessment:
    test_set = TestSet("demo", "table", case.classes, case.stride, case.videos, case.segments)
    return assess(detector_of(case.scores), test_set, settings, settings.bootstrap_resamples)


def make_known_case(stride: int = 4) -> Case:
    videos = (
        make_video("a", 30, ["fighting"]),
        make_video("b", 40, ["normal"], has_audio=False),
        make_video("c", 35, ["riot"]),
    )
    segments = (Segment("a", "fighting", 4, 12), Segment("a", "fighting", 20, 30), Segment("c", "riot", 0, 9))
    return Case(videos, segments, make_scores(videos, CLASSES, stride, np.random.default_rng(3)), CLASSES)


def with_probabilities(case: Case, values: np.ndarray) -> Case:
    return replace(case, scores=replace(case.scores, class_probabilities=values.astype(np.float32)))


@pytest.mark.slow
@pytest.mark.parametrize("levels", [None, 4], ids=["distinct", "ties"])
def test_order_of_videos_segments_and_scores_changes_no_digit(levels: int | None) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(20):
        case = make_case(rng, levels=levels, n_videos=8)
        rows = rows_of(case.scores)
        rng.shuffle(rows)
        videos = [case.videos[v] for v in rng.permutation(len(case.videos))]
        segments = sorted(case.segments, key=lambda segment: rng.random())
        segments.sort(key=lambda segment: [s for s in case.segments if s.id == segment.id].index(segment))
        shuffled = Case(tuple(videos), tuple(segments), collect(case.scores.provenance, rows), case.classes)
        before, after = assess_case(case), assess_case(shuffled)
        assert before.strict.mean == pytest.approx(after.strict.mean, rel=0, abs=0, nan_ok=True)
        assert before.intervals == after.intervals


@pytest.mark.parametrize("seed", range(30))
def test_renaming_videos_changes_no_localisation(seed: int) -> None:
    """Proposals of equal score in different videos are ranked equally, so names cannot decide between them."""
    rng = np.random.default_rng(seed)
    case = make_case(rng, levels=2, n_videos=6)
    renamed = {video.id: f"{5 - index}" for index, video in enumerate(case.videos)}
    other = Case(
        tuple(replace(video, id=renamed[video.id]) for video in case.videos),
        tuple(replace(segment, id=renamed[segment.id]) for segment in case.segments),
        collect(case.scores.provenance, rows_of(case.scores, renamed)),
        case.classes,
    )
    # The same sums over videos in another order.
    assert assess_case(case).strict.mean == pytest.approx(assess_case(other).strict.mean, rel=1e-12, nan_ok=True)


def test_last_partial_snippet_counts_its_own_frames() -> None:
    case = make_known_case()
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    assert joined.frames[7] == 2  # video a: 30 frames are 7 snippets of 4 and one of 2
    assert joined.frames_inside(joined.anomalous)[:8].tolist() == [0, 4, 4, 0, 0, 4, 4, 2]
    assert joined.frames.sum() == 30 + 40 + 35


@pytest.mark.parametrize("seed", range(10))
def test_frames_inside_equals_counting_them(seed: int) -> None:
    case = make_case(np.random.default_rng(seed), stride=5)
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    expected = [
        any(s.id == v.id and s.start_frame <= f < s.end_frame for s in case.segments)
        for v in case.videos
        for f in range(v.n_frames)
    ]
    ends = np.cumsum(joined.frames)
    counted = [sum(expected[end - n : end]) for end, n in zip(ends, joined.frames, strict=True)]
    assert joined.frames_inside(joined.anomalous).tolist() == counted


def test_segments_of_any_class_alone_decide_which_frames_are_anomalous() -> None:
    case = make_known_case()
    segments = (*case.segments, Segment("a", ANY_CLASS, 5, 9))
    joined = timeline.strict(case.scores, case.videos, segments, case.classes)
    assert joined.frames_inside(joined.anomalous).sum() == 4 + 9
    assert len(joined.segments["fighting"]) == 2


def test_spans_and_the_highest_score_of_each_video() -> None:
    case = make_known_case()
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    assert [joined.anomalous.of(video) for video in range(3)] == [[(4, 12), (20, 30)], [], [(0, 9)]]
    rows = rows_of(case.scores)
    assert joined.highest("classification").tolist() == [row.anomaly_confidence.max() for row in rows]
    assert_allclose(joined.highest("alignment"), [1 - row.class_probabilities[:, 0].min() for row in rows], rtol=1e-6)


def test_segments_stay_in_the_order_of_their_annotation() -> None:
    """Of two that overlap a proposal as much, the first is matched."""
    case = make_known_case()
    joined = timeline.strict(case.scores, case.videos, case.segments[::-1], case.classes)
    assert joined.segments["fighting"].of(0) == [(20, 30), (4, 12)]
    assert joined.anomalous.of(0) == [(4, 12), (20, 30)]


def test_detector_without_classes_has_no_column() -> None:
    case = make_known_case()
    scores = replace(case.scores, class_probabilities=None)
    joined = timeline.strict(scores, case.videos, case.segments, case.classes)
    assert (joined.classes, joined.probabilities.shape) == ((), (len(joined.frames), 0))


@pytest.mark.parametrize("unlocated", ["0", "bb", "d"])
def test_videos_of_which_nobody_says_when_are_as_if_they_were_not_there(unlocated: str) -> None:
    case = make_known_case()
    videos = (*case.videos, make_video(unlocated, 21, ["riot"]))
    scores = make_scores(videos, CLASSES, 4, np.random.default_rng(0))
    others = collect(scores.provenance, [row for row in rows_of(scores) if row.id != unlocated])
    found = timeline.located(timeline.strict(scores, videos, case.segments, CLASSES))
    np.testing.assert_equal(asdict(found), asdict(timeline.strict(others, case.videos, case.segments, CLASSES)))


def test_perfect_detector_reaches_100_percent_and_the_opposite_one_is_worst() -> None:
    videos = (make_video("a", 64, ["fighting"]), make_video("b", 40, ["normal"]), make_video("c", 64, ["riot"]))
    segments = (Segment("a", "fighting", 16, 32), Segment("c", "riot", 40, 60))
    case = Case(videos, segments, make_scores(videos, CLASSES, 4, np.random.default_rng(0)), CLASSES)
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    truth = np.stack([joined.frames_inside(joined.segments[name]) / joined.frames for name in CLASSES[1:]], axis=1)
    perfect = np.concatenate([1 - truth.sum(axis=1, keepdims=True), truth], axis=1)
    found = assess_case(with_probabilities(case, perfect)).strict.mean
    assert {name: found[f"alignment.{name}"] for name in ("AP", "AUC")} == {"AP": 100, "AUC": 100}
    assert found["mAP.AVG"] == 100
    assert found["alarm.f1"] == 100
    opposite = assess_case(with_probabilities(case, 1 - perfect)).strict.mean
    assert opposite["alignment.AUC"] == 0


def test_normal_and_unannotated_classes_stay_out_of_the_mean() -> None:
    case = make_known_case()
    segments = tuple(segment for segment in case.segments if segment.label == "fighting")
    videos = (case.videos[0], case.videos[1], replace(case.videos[2], labels=("normal",)))
    other = replace(case, videos=videos, segments=segments)
    joined = timeline.strict(other.scores, other.videos, other.segments, other.classes)
    protocol = protocols.strict(joined, SETTINGS.strict, SETTINGS.iou_thresholds)
    assert [entry.name for entry in protocol.classes] == ["fighting", "riot"]
    assert protocol.without_segments == ("riot",)
    precision = protocol.class_precision(protocol.ones)
    assert_allclose(protocols.strict_map(precision), precision[0])
    assert any("riot" in note for note in assess_case(other).notes)


def test_breakdown_by_audio_equals_evaluating_these_videos_alone() -> None:
    case = make_case(np.random.default_rng(8), n_videos=12)
    heard = [index % 3 != 0 for index in range(12)]
    videos = tuple(replace(video, has_audio=has) for video, has in zip(case.videos, heard, strict=True))
    rows = rows_of(case.scores)
    ordered = sorted(videos, key=lambda video: video.id)
    whole = assess_case(replace(case, videos=videos))
    for part, wanted in (("with_audio", True), ("without_audio", False)):
        ids = {video.id for video in ordered if video.has_audio is wanted}
        alone = Case(
            tuple(video for video in videos if video.id in ids),
            tuple(segment for segment in case.segments if segment.id in ids),
            collect(case.scores.provenance, [row for row in rows if row.id in ids]),
            case.classes,
        )
        assert whole.n_videos_by_audio[part] == len(ids)
        # The same sums, with zeros in between.
        assert whole.by_audio[part] == pytest.approx(assess_case(alone).strict.mean, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_resampling_at_once_equals_evaluating_each_resample(seed: int) -> None:
    case = make_case(np.random.default_rng(seed), n_videos=10)
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    protocol = protocols.strict(joined, SETTINGS.strict, SETTINGS.iou_thresholds)
    counted = alarms.tally(joined, joined.alarm_scores("alignment") >= 0.5)
    weights = np.random.default_rng(seed).integers(0, 3, (8, 10)).astype(float)
    found = metrics.resampled(protocol, counted, SETTINGS.iou_thresholds, weights)
    for index, row in enumerate(weights):
        expected = metrics.strict(protocol, SETTINGS.iou_thresholds, row) | metrics.alarm(counted, row)
        # The same whole numbers, divided and summed in another order.
        assert {name: value[index] for name, value in found.items()} == pytest.approx(expected, rel=1e-12, nan_ok=True)


def break_case(case: Case, how: str) -> Case:
    """Make a consistent case inconsistent in one way."""
    a, b, c = case.videos
    extra = make_video("d", 10, ["normal"])
    segment = Segment("a", "fighting", 25, 31)
    return {
        "missing score": replace(case, videos=(*case.videos, extra)),
        "extra score": replace(case, videos=(a, b), segments=case.segments[:2]),
        "too few snippets": replace(case, videos=(a, replace(b, n_frames=41), c)),
        "too many snippets": replace(case, videos=(a, replace(b, n_frames=36), c)),
        "ground truth beyond the end": replace(case, segments=(*case.segments, segment)),
        "ground truth of an unknown video": replace(case, segments=(Segment("x", "riot", 0, 1), *case.segments)),
        "unknown class": replace(case, segments=(Segment("a", "arson", 0, 1), *case.segments)),
        "normal with an event": replace(case, segments=(Segment("b", "riot", 0, 1), *case.segments)),
    }[how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing score", r"d: no score .*1 videos missing"),
        ("extra score", r"c: .*not among its videos"),
        ("too few snippets", r"b: 10 snippets .*expected 11 for 41 frames at stride 4"),
        ("too many snippets", r"b: 10 snippets .*expected 9 for 36 frames at stride 4"),
        ("ground truth beyond the end", r"a: ground truth \[25, 31\) fighting: the video has 30 frames"),
        ("ground truth of an unknown video", r"x: ground truth .*no such video"),
        ("unknown class", r"a: ground truth .*arson: not an anomaly class"),
        ("normal with an event", r"b: ground truth .*labelled normal"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_video(how: str, message: str) -> None:
    case = make_known_case()
    assess_case(case)
    with pytest.raises(EvaluationError, match=f"^{message}"):
        assess_case(break_case(case, how))


def test_excluded_and_training_videos_need_no_scores() -> None:
    case = make_known_case()
    more = (
        make_video("e", 0, ["riot"], excluded="truncated file"),
        make_video("f", 99, ["riot"], split="train"),
    )
    assert assess_case(replace(case, videos=(*case.videos, *more))).strict.mean == assess_case(case).strict.mean


def test_detector_trained_on_other_classes_has_no_localisation_and_says_so() -> None:
    case = make_known_case()
    provenance = replace(case.scores.provenance, classes=("normal", "fighting", "explosion"), trained_on="other")
    found = assess_case(replace(case, scores=replace(case.scores, provenance=provenance)))
    assert "mAP.AVG" not in found.strict.mean
    assert "mAP.AVG" not in found.released.mean
    assert found.strict.mean["alignment.AP"] == assess_case(case).strict.mean["alignment.AP"]
    assert any("no localisation" in note for note in found.notes)


def test_detector_with_more_classes_is_localised_on_those_of_the_data_set() -> None:
    case = make_known_case()
    assert case.scores.class_probabilities is not None
    wider = np.insert(case.scores.class_probabilities, 1, 0.5, axis=1)
    provenance = replace(case.scores.provenance, classes=("normal", "explosion", "fighting", "riot"))
    other = replace(case, scores=replace(case.scores, provenance=provenance, class_probabilities=wider))
    assert assess_case(other).strict.mean == assess_case(case).strict.mean


def test_detector_without_classes_has_one_branch() -> None:
    case = make_known_case()
    found = assess_case(replace(case, scores=replace(case.scores, class_probabilities=None)))
    assert "classification.AP" in found.strict.mean
    assert not any(name.startswith(("alignment", "mAP")) for name in found.strict.mean | found.released.mean)


def test_selection_on_the_test_set_is_noted() -> None:
    case = make_known_case()
    provenance = replace(case.scores.provenance, selection="released_test_selected")
    assert any(
        "chosen on the test set" in note
        for note in assess_case(replace(case, scores=replace(case.scores, provenance=provenance))).notes
    )
