"""The paper's claims judged by numbers, compared with slow resampling and with a simulation whose truth is known."""

import re

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.metrics import average_precision_score

from avadclip.config.evaluation import Evaluate
from avadclip.evaluation.assessment import assess
from avadclip.evaluation.testset import TestSet
from avadclip.tables.claims import FAILS, HOLDS, UNDECIDED, Difference, difference, judged
from avadclip.tables.layout import TABLES, Expectation
from tests.support.evaluation_factory import detector_of, make_case, make_scores
from tests.support.record_factory import make_record

UKD = TABLES["VIII"].expectations[2]
FUSION = TABLES["VII"].expectations[0]
FIRST = ("audio_visual", "fusion_cross_attention", "fusion_add", "fusion_concat_linear")


def resampled(value: float, spread: float = 0.0) -> dict[str, list[float]]:
    """AP in 200 resamples around a value."""
    return {"alignment.AP": (value + spread * np.random.default_rng(3).standard_normal(200)).tolist()}


def verdict(line: str) -> str:
    return re.search(rf": ({HOLDS}|{FAILS}|{UNDECIDED}),", line)[1]


@pytest.mark.parametrize(
    ("taught", "untaught", "expected"),
    [
        ([60.0, 60.2, 60.4], [50.0, 50.1, 50.6], HOLDS),
        ([50.0, 50.1, 50.6], [60.0, 60.2, 60.4], FAILS),
        ([60.0, 40.0, 59.0], [50.0, 50.1, 50.6], UNDECIDED),  # the seeds do not agree
        ([60.0, 60.2], [50.0, 50.1], HOLDS),
        ([60.0, 63.0], [50.0, 50.1], UNDECIDED),  # with two seeds, an interval is ± 12.7 standard errors
        ([60.0], [50.0], UNDECIDED),
    ],
)
def test_a_claim_holds_where_its_interval_lies_above_zero(
    taught: list[float], untaught: list[float], expected: str
) -> None:
    records = {
        name: make_record(name, values, values, resampled=resampled(float(np.mean(values))))
        for name, values in (("visual_student", taught), ("visual_untaught", untaught))
    }
    line = judged(UKD, records)
    assert verdict(line) == expected
    assert f"{np.mean(taught) - np.mean(untaught):+.2f}" in line
    if len(taught) > 1:  # all resamples are equal, so the videos add no uncertainty
        each = np.array(taught) - np.array(untaught)
        low, high = student.interval(0.95, len(each) - 1, each.mean(), each.std(ddof=1) / len(each) ** 0.5)
        assert f"[{low:+.2f}, {high:+.2f}] (95%)" in line


def test_first_means_above_every_other() -> None:
    aps = dict(zip(FIRST, (80.0, 70.0, 79.5, 60.0), strict=True))
    records = {
        name: make_record(name, [ap - 0.1, ap, ap + 0.1], [20.0] * 3, resampled=resampled(ap))
        for name, ap in aps.items()
    }
    line = judged(FUSION, records)
    assert verdict(line) == HOLDS
    assert "+0.50 [+0.50, +0.50] (95%) against fusion_add" in line
    records["fusion_add"] = make_record("fusion_add", [81.0, 81.1, 81.2], [20.0] * 3, resampled=resampled(81.1))
    assert verdict(judged(FUSION, records)) == FAILS
    del records["fusion_add"]
    assert judged(FUSION, records).endswith("undecided, not measured: fusion_add")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"resampled": {}}, "the videos were not resampled"),
        ({"deviation": {"strict": {}, "released": {}}}, "the seeds of one gave the same result"),
    ],
)
def test_nothing_is_decided_of_what_is_not_known(changes: dict, why: str) -> None:
    one = make_record("visual_student", [60.0, 60.1], [1.0, 2.0], resampled=resampled(60))
    other = make_record("visual_untaught", [50.0, 50.1], [1.0, 2.0], resampled=resampled(50)).model_copy(update=changes)
    found = difference(one, other, "AP")
    assert found == Difference(pytest.approx(10.0), None, why)
    assert found.verdict == UNDECIDED


def test_a_detector_without_classes_has_no_localisation_to_compare() -> None:
    one, other = make_record("visual_student", [60.0], [20.0]), make_record("visual_untaught", [50.0])
    assert difference(one, other, "AVG") is None
    assert "not defined here" in judged(TABLES["VIII"].expectations[3], {one.name: one, other.name: other})


def test_other_settings_than_the_switch_are_told() -> None:
    one = make_record("visual_student", [60.0], [20.0], settings={"temperature": 0.07, "normalize_features": True})
    other = make_record("visual_untaught", [50.0], [20.0], settings={"temperature": 0.5, "normalize_features": True})
    assert judged(UKD, {one.name: one, other.name: other}).endswith("they differ in temperature, too")


def test_resamples_are_paired_as_if_both_were_evaluated_on_each_draw() -> None:
    """Compare with scikit-learn on the frames of each video, as often as it was drawn, for both detectors."""
    case = make_case(np.random.default_rng(5), n_videos=9)
    settings = Evaluate(bootstrap_resamples=40, bootstrap_seed=3)
    test_set = TestSet("demo", "table", case.classes, case.stride, case.videos, case.segments)
    scored = [make_scores(case.videos, case.classes, case.stride, np.random.default_rng(n)) for n in (1, 2)]
    found = [assess(detector_of(scores), test_set, settings, 40).resampled["classification.AP"] for scores in scored]

    anomalous, frames = [], [[], []]
    for index, video in enumerate(sorted(case.videos, key=lambda video: video.id)):
        inside = np.zeros(video.n_frames, bool)
        for segment in case.segments:
            if segment.id == video.id:
                inside[segment.start_frame : segment.end_frame] = True
        anomalous.append(inside)
        for scores, of_videos in zip(scored, frames, strict=True):
            own = slice(scores.first_snippet[index], scores.first_snippet[index + 1])
            of_videos.append(np.repeat(scores.anomaly_confidence[own], case.stride)[: video.n_frames])
    draws = np.random.default_rng(3).integers(9, size=(40, 9))
    for resample, drawn in enumerate(draws):
        positive = np.concatenate([anomalous[video] for video in drawn])
        aps = [
            100 * average_precision_score(positive, np.concatenate([of_videos[video] for video in drawn]))
            for of_videos in frames
        ]
        assert found[0][resample] - found[1][resample] == pytest.approx(aps[0] - aps[1], abs=1e-9)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """The true difference is 1.5, and seeds and videos both add noise; 95 of 100 intervals should contain it."""
    rng, inside, n_worlds = np.random.default_rng(0), 0, 400
    for _ in range(n_worlds):
        videos = rng.normal(0, 1.0)  # the error of this draw of videos, the same for all seeds
        seeds = 1.5 + videos + rng.normal(0, 1.0, 3)
        blur = rng.normal(0, 1.0, 200)  # the spread that resampling shows
        one = make_record("a", (50 + seeds).tolist(), [1.0] * 3, resampled={"alignment.AP": 50 + seeds.mean() + blur})
        other = make_record("b", [50.0, 50.0, 50.0], [1.0] * 3, resampled={"alignment.AP": [50.0] * 200})
        low, high = difference(one, other, "AP").interval
        inside += low <= 1.5 <= high
    # Combined half-widths are a little too wide where Student's t is wide, but never too narrow: the share is at least
    # 0.95 less three standard errors. Intervals that are too wide by far would contain it always.
    assert 0.95 - 3 * (0.95 * 0.05 / n_worlds) ** 0.5 < inside / n_worlds < 1.0


def test_the_verdict_is_that_of_the_interval() -> None:
    assert Difference(1.0, (0.5, 1.5)).verdict == HOLDS
    assert Difference(-1.0, (-1.5, -0.5)).verdict == FAILS
    assert Difference(1.0, (0.0, 2.0)).verdict == UNDECIDED
    assert Difference(1.0, None, "x").verdict == UNDECIDED


def test_every_expectation_names_rows_of_its_table() -> None:
    for table in TABLES.values():
        variants = {row.variant for row in table.rows}
        for expectation in table.expectations:
            assert isinstance(expectation, Expectation)
            assert {expectation.better, *expectation.worse} <= variants
