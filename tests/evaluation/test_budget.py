"""The level that a budget of false alarms gives: it keeps the budget on the videos it is chosen on, and is reported."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from avadclip import config, paths
from avadclip.cli import app
from avadclip.config.evaluation import Alarms, Budget, Evaluate
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.datasets.splitting import level_videos
from avadclip.errors import ConfigError, EvaluationError
from avadclip.evaluation.alarm_rule import AlarmRule
from avadclip.evaluation.budget import HIGHEST, choose, level_lines
from avadclip.evaluation.segments import find_alarms
from avadclip.evaluation.testset import random_scores, read_test_set
from avadclip.prediction.alarm import read_alarm
from avadclip.scoring import scores
from avadclip.scoring.scores import Scores, VideoScores, collect
from pipeline.evaluate import main
from tests.support.evaluation_factory import CLASSES, make_scores, make_video

STRIDE = 4
RULES = (
    Alarms(),
    Alarms(off=0.6),
    Alarms(smooth_seconds=0.4, off=0.7, bridge_seconds=0.2, shortest_seconds=0.3, pad_seconds=0.2),
)


def settings(per_hour: float, rule: Alarms = RULES[0]) -> Evaluate:
    budget = Budget(false_alarms_per_hour=per_hour)
    return Evaluate(alarm_threshold=budget, alarm_branch="classification", alarms=rule)


def normal_videos(random: np.random.Generator) -> tuple[Video, ...]:
    lengths = random.integers(1, 60, int(random.integers(1, 5))).tolist()
    return tuple(make_video(f"v{index}", length, ["normal"]) for index, length in enumerate(lengths))


class Slowly:
    """Slow reference code: one video and one level at a time."""

    def __init__(self, made: Scores, videos: Sequence[Video], rule: Alarms) -> None:
        self.curves = [
            (row.anomaly_confidence, AlarmRule.of(rule, STRIDE, video.frame_rate))
            for row, video in zip(scores.rows(made), videos, strict=True)
        ]
        self.hours = sum(video.n_frames / video.frame_rate for video in videos) / 3600

    @cache  # noqa: B019 - as short-lived as the object
    def alarms(self, level: float) -> list[list[tuple[int, int]]]:
        return [
            [(alarm.first, alarm.end) for alarm in find_alarms(curve, None, level, rule)] for curve, rule in self.curves
        ]

    def per_hour(self, level: float) -> float:
        return sum(map(len, self.alarms(level))) / self.hours

    def levels(self) -> list[float]:
        """Every level below 1 where an alarm may begin (a smoothed score) or end (that score divided by `off`)."""
        found: set[float] = set()
        for curve, rule in self.curves:
            for score in AlarmRule(smooth=rule.smooth).highest_levels(curve):
                ends = np.float32(score / rule.off)
                found |= {float(np.nextafter(ends, np.float32(way))) for way in (0, 2)} | {float(score), float(ends)}
        return sorted(level for level in found if 0 < level < 1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(12))
def test_the_lowest_level_from_which_on_the_budget_is_kept(seed: int, rule: Alarms) -> None:
    random = np.random.default_rng(seed)
    videos = normal_videos(random)
    made = make_scores(videos, CLASSES, STRIDE, random, levels=(None, 16)[seed % 2])
    slowly = Slowly(made, videos, rule)
    levels = slowly.levels()
    for per_hour in (1.0, float(random.uniform(300, 6000))):
        found = choose(made, videos, settings(per_hour, rule))
        assert (found.n_videos, found.hours) == (len(videos), slowly.hours)
        assert found.false_alarms_per_hour == pytest.approx(slowly.per_hour(found.level), rel=1e-15)  # one division
        if slowly.per_hour(HIGHEST) > per_hour:
            assert found.level == HIGHEST  # a score of 1
            assert found.breaks(per_hour)
            continue
        assert not found.breaks(per_hour)
        broken = [level for level in levels if slowly.per_hour(level) > per_hour]
        assert found.level > max(broken, default=0)
        # All levels between the highest one that breaks the budget and the chosen one raise the same alarms.
        same = [level for level in levels if max(broken, default=0) < level < found.level]
        assert all(slowly.alarms(level) == slowly.alarms(found.level) for level in same)


@pytest.mark.parametrize(
    ("confidence", "per_hour", "level", "false_alarms"),
    [
        ([0.1, 0.8, 0.1, 0.6], 1, 0.9, 0),  # anything above 0.8 will do
        ([0.1, 0.8, 0.1, 0.6], 1000, 0.7, 1),
        ([0.1, 0.8, 0.1, 0.6], 900, 0.7, 1),  # just as many as are allowed
        ([0.1, 0.8, 0.1, 0.6], 2000, 0.1, 1),  # two alarms at 0.6 are allowed; at 0.1 a single one never ends
        ([0.1, 0.8123, 0.1, 0.8124], 1000, 0.8124, 1),
        ([0.1, 0.8123456, 0.1, 0.8123458], 1000, 0.8123457, 1),
        ([0.0, 0.01, 0.0, 0.010000001], 1000, float(np.float32(0.010000001)), 1),  # eight decimals are too few
        ([0.1, 0.99995, 0.2, 0.1], 1, 0.99996, 0),
        ([0.1, 0.9999998, 0.2, 0.1], 1, 0.9999999, 0),
        ([0.1, 0.9999999, 0.2, 0.1], 1, HIGHEST, 0),
        ([0.1, HIGHEST, 0.2, 0.1], 1, HIGHEST, 1),  # no threshold is higher
        ([0.1, 1.0, 0.2, 1.0], 1, HIGHEST, 2),
    ],
)
def test_by_hand(confidence: list[float], per_hour: float, level: float, false_alarms: int) -> None:
    """The video has four snippets of 1 s each, so one alarm is 900 per hour."""
    video = make_video("v", 16, ["normal"], frame_rate=4.0)
    made = make_scores((video,), CLASSES, STRIDE, np.random.default_rng(0))
    row = VideoScores("v", "visual", np.array(confidence, np.float32))
    found = choose(collect(made.provenance, [row]), (video,), settings(per_hour))
    assert (found.level, found.false_alarms) == (level, false_alarms)
    assert found.breaks(per_hour) == (level == HIGHEST and false_alarms > 0)


def test_the_branch_that_raises_alarms_is_the_one_that_counts() -> None:
    random = np.random.default_rng(0)
    videos = tuple(make_video(f"v{index}", 200, ["normal"]) for index in range(3))
    made = make_scores(videos, CLASSES, STRIDE, random)
    aligned = [
        replace(row, anomaly_confidence=1 - row.class_probabilities[:, 0], class_probabilities=None)
        for row in scores.rows(made)
    ]
    on_alignment = settings(2000).model_copy(update={"alarm_branch": "alignment"})
    found = choose(made, videos, on_alignment)
    assert found == choose(collect(made.provenance, aligned), videos, settings(2000))
    assert found.level != choose(made, videos, settings(2000)).level
    # A detector without classes has one branch, whatever the settings say.
    assert found == choose(collect(made.provenance, aligned), videos, on_alignment)


@pytest.mark.parametrize(
    ("trained_on", "selection", "held_out", "part"),
    [
        ("demo", "validation", True, "validation"),
        ("demo", "validation", False, "training"),  # a single normal video is kept for training
        ("demo", "last", False, "training"),
        ("other", "validation", True, "unseen"),
    ],
)
def test_what_the_videos_are_to_the_detector(trained_on: str, selection: str, held_out: bool, part: str) -> None:
    video = make_video("v", 16, ["normal"])
    made_by = {"trained_on": trained_on, "selection": selection}
    made = make_scores((video,), CLASSES, STRIDE, np.random.default_rng(0), **made_by)
    assert choose(made, (video,), settings(1), held_out).part == part


PARAMS = """
datasets:
  demo:
    kind: table
    videos: videos
    annotations: annotations
    classes: [normal, fighting, shooting, riot]
    visual: {{weights: {{sha256: "{sha}"}}, stride: 4, precision: float32}}
    audio: {{weights: {{sha256: "{sha}"}}, precision: float32}}
    selection: {{by: {by}, validation_fraction: 0.5}}
evaluate: {{bootstrap_resamples: 10, random_seed: 3, alarm_threshold: {threshold}}}
seeds: [0, 1]
train: {{audio_visual: {{kind: audio_visual}}}}
distill: {{visual_student: {{kind: student}}}}
score: {{detector: audio_visual, variants: [audio_visual, visual_student], missing_audio: {missing}}}
"""
TRAINING = tuple(
    make_video(f"train-{index}", 2400 + index, ["normal"], split="train", content_hash=f"{index:064x}")
    for index in range(1, 5)
)
TESTED = (make_video("a", 90, ["fighting"]), make_video("b", 2400, ["normal"]))
SEGMENTS = (Segment("a", "fighting", 10, 50),)
SILENT = "train-2"


def write_params(threshold: object, by: str = "last", missing: str = "stand_in") -> None:
    text = PARAMS.format(sha="0" * 64, threshold=json.dumps(threshold), by=by, missing=missing)
    Path("params.yaml").write_text(text, encoding="utf-8")


def write_scores(normal: Sequence[Video] = TRAINING, selection: str = "last") -> None:
    for variant, modalities in (("audio_visual", ("visual", "audio")), ("visual_student", ("visual",))):
        for seed in (0, 1):
            made_by = {"variant": variant, "seed": seed, "modalities": modalities, "selection": selection}
            for place, videos in ((paths.scores, TESTED), (paths.normal_scores, normal)):
                random = np.random.default_rng([seed, len(variant), len(videos)])
                made = make_scores(videos, CLASSES, STRIDE, random, **made_by)
                used = [replace(row, modality="visual") if row.id == SILENT else row for row in scores.rows(made)]
                scores.write(place("demo", variant, seed), collect(made.provenance, used))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything up to `score` has run, with two seeds."""
    monkeypatch.chdir(tmp_path)
    write_manifest(paths.manifest("demo"), (*TESTED, *TRAINING))
    write_ground_truth(paths.ground_truth("demo"), SEGMENTS)
    write_scores()


BUDGET = {"false_alarms_per_hour": 300}


def details() -> dict:
    return json.loads(paths.details("demo").read_text(encoding="utf-8"))["detectors"]


@pytest.mark.usefixtures("project")
def test_each_detector_and_seed_has_a_level_of_its_own_which_is_told_and_used() -> None:
    write_params(BUDGET)
    main("demo")
    found = details()
    levels = {name: [chosen["level"] for chosen in detail["levels"]] for name, detail in found.items()}
    assert {name: len(set(own)) for name, own in levels.items()} == {
        "audio_visual": 2,
        "visual_student": 2,
        "random": 1,
    }
    assert all(chosen["false_alarms_per_hour"] <= 300 for detail in found.values() for chosen in detail["levels"])
    guesses = random_scores(read_test_set("demo", config.load().dataset("demo")), 3, TRAINING)
    assert levels["random"] == [choose(guesses, TRAINING, config.load().evaluate).level]
    assert read_alarm(paths.model("demo")).threshold == levels["audio_visual"][0]
    summary = paths.summary("demo").read_text(encoding="utf-8")
    assert "## Thresholds within the budget" in summary
    assert "on 4 normal videos (0.1 hours), none of which is a test video" in summary
    of_seeds = ", ".join(f"{level:.9g}" for level in levels["audio_visual"])
    assert f"| `audio_visual` | {of_seeds} | used in its training |" in summary
    # The chosen level, given as a number, leads to the same results.
    write_params(levels["visual_student"][1])
    main("demo")
    as_number = details()["visual_student"]
    assert as_number["by_seed"]["1"] == found["visual_student"]["by_seed"]["1"]
    assert "levels" not in as_number


@pytest.mark.usefixtures("project")
def test_the_stand_in_answers_for_silent_normal_videos_too() -> None:
    write_params(BUDGET)
    main("demo")
    before = details()["audio_visual"]["levels"]
    own, student = (scores.read(paths.normal_scores("demo", name, 0)) for name in ("audio_visual", "visual_student"))
    (silent,) = (row for row in scores.rows(student) if row.id == SILENT)
    mixed = collect(own.provenance, [silent if row.id == SILENT else row for row in scores.rows(own)])
    expected = choose(mixed, TRAINING, Evaluate(alarm_threshold=Budget(**BUDGET)))
    assert before[0]["level"] == expected.level
    write_params(BUDGET, missing="refuse")
    with pytest.raises(EvaluationError, match=f"1 videos of demo have no sound.*: {SILENT};"):
        main("demo")


@pytest.mark.usefixtures("project")
def test_videos_that_were_held_out_are_told_apart() -> None:
    write_params(BUDGET, by="validation")
    with pytest.raises(EvaluationError, match=r"normal_scores/demo\.audio_visual\.seed0\.h5: .*not among its videos"):
        main("demo")  # the files hold all four
    chosen = level_videos((*TESTED, *TRAINING), config.load().dataset("demo").selection)
    assert len(chosen) == 2
    write_scores(chosen, "validation")
    main("demo")
    assert {chosen["part"] for chosen in details()["audio_visual"]["levels"]} == {"validation"}
    shown = CliRunner().invoke(app, ["threshold", "demo"])
    assert shown.exit_code == 0, shown.output
    assert "now: evaluate.alarm_threshold {false_alarms_per_hour: 300}" in shown.output
    for chosen in details()["audio_visual"]["levels"]:
        assert (
            f"seed {chosen['seed']}: threshold {chosen['level']:.9g}, chosen on 2 normal videos (0.06 h, held out"
            in shown.output
        )


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("per_hour", "too_little"), [(1, True), (300, False)])
def test_too_little_video_is_told(per_hour: float, too_little: bool) -> None:
    write_params({"false_alarms_per_hour": per_hour})
    main("demo")
    summary = paths.summary("demo").read_text(encoding="utf-8")
    assert ("**Too little video for this budget**: a single false alarm there is 9 per hour" in summary) == too_little
    if too_little:
        assert {chosen["false_alarms"] for detail in details().values() for chosen in detail["levels"]} == {0}


@pytest.mark.usefixtures("project")
def test_without_a_normal_training_video_there_is_nothing_to_choose_on() -> None:
    copies = [replace(video, content_hash=TESTED[1].content_hash) for video in TRAINING]
    write_manifest(paths.manifest("demo"), (*TESTED, *copies))
    write_params(BUDGET)
    with pytest.raises(EvaluationError, match=r"evaluate\.alarm_threshold: .*demo has none.*give a threshold"):
        main("demo")
    write_params(0.5)
    main("demo")


@pytest.mark.usefixtures("project")
def test_a_number_looks_at_no_normal_video_and_no_level_is_told() -> None:
    write_params(0.5)
    for file in paths.normal_scores("demo", "audio_visual", 0).parent.iterdir():
        file.unlink()
    main("demo")
    shown = CliRunner().invoke(app, ["threshold", "demo"])
    assert "now: evaluate.alarm_threshold 0.5; choose it" in shown.output
    write_params(BUDGET)
    shown = CliRunner().invoke(app, ["threshold", "demo"])
    assert "no threshold was chosen for 'audio_visual' by a budget; run `dvc repro`" in shown.output
    with pytest.raises(EvaluationError, match="no threshold was chosen for 'nobody' by a budget"):
        level_lines("demo", "nobody")
    with pytest.raises(EvaluationError, match="4 are not on this machine: results/demo/normal_scores/demo"):
        main("demo")
    paths.details("demo").unlink()
    with pytest.raises(EvaluationError, match=f"{paths.details('demo')}: no such file; run `dvc repro`"):
        level_lines("demo", "audio_visual")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ({"false_alarms_per_hour": 0}, r"alarm_threshold\.false_alarms_per_hour: .*greater than 0, found 0"),
        ({"false_alarms_per_hour": float("inf")}, r"false_alarms_per_hour: .*finite number"),
        ({"false_alarms_per_hour": "1"}, r"false_alarms_per_hour: .*valid number, found '1'"),
        ({}, r"alarm_threshold\.false_alarms_per_hour: missing"),
        ({"false_alarms_per_hour": 1, "per_day": 2}, r"alarm_threshold\.per_day: unknown key"),
        ("low", r"alarm_threshold: .*valid number, found 'low'"),
        (None, r"alarm_threshold: .*valid number, found None"),
    ],
)
def test_a_budget_that_makes_no_sense_is_named(threshold: object, message: str) -> None:
    text = PARAMS.format(sha="0" * 64, threshold=json.dumps(threshold), by="last", missing="stand_in")
    Path("params.yaml").write_text(text.replace("Infinity", ".inf"), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        config.load()
