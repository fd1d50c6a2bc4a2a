"""`selection.by: ranking` stops a training where held-out snippets rank best; `recipe.calibrate` uses them, too."""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avadclip import paths
from avadclip.config.evaluation import Branch
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.detectors.inference import detect
from avadclip.errors import ConfigError, TrainingError
from avadclip.scoring.run import Job, Scorer, score_video
from avadclip.store.video import open_folders, read_video
from avadclip.training import run as training
from avadclip.training.cross_validation import HeldOut, best_round
from pipeline import train
from tests.support.training_factory import NAME, make_videos, write_training_project

RECIPE = {"rounds": 3, "optimizer": {"learning_rate": 1e-2}}
QUICK = {"kind": "mil_head", "hidden": 8, "recipe": RECIPE}
SEED = "0"


def recipe(**changes: Any) -> dict[str, Any]:
    return QUICK | {"recipe": RECIPE | changes}


VARIANTS = {
    "three": QUICK,
    "two": recipe(rounds=2),
    "averaged": recipe(average_rounds=2),
    "platt": recipe(calibrate="platt"),
    "isotonic": recipe(calibrate="isotonic"),
}


def write(root: Path, by: str) -> None:
    selection = {"by": by, "folds": 2}
    write_training_project(root, make_videos(18, 3), {"visual": 2.0, "audio": 0.0}, train=VARIANTS, selection=selection)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "last")
    return tmp_path


def trained(variant: str) -> tuple[bytes, dict[str, Any]]:
    train.main(NAME, variant, SEED)
    folder = paths.run(NAME, variant, 0)
    return (folder / "model.safetensors").read_bytes(), json.loads((folder / "model.json").read_bytes())


def test_the_round_is_that_of_the_best_ranking_and_the_earliest_of_several() -> None:
    videos, is_anomalous = np.repeat([0, 1], 10), np.repeat([True, False], 10)
    normal = np.full(10, 0.5)
    said = [np.stack([np.append(own, normal)] * 2) for own in (np.zeros(10), np.full(10, 0.9), np.ones(10))]
    of_rounds: list[dict[Branch, HeldOut]] = [
        {"classification": HeldOut(videos, is_anomalous, each.astype(np.float32))} for each in said
    ]
    assert best_round(of_rounds) == 2


@pytest.mark.parametrize(
    ("when", "whether", "expected"),
    [
        ([0.70, 0.88, 0.89], [0.54, 0.61, 0.58], 2),  # learns by heart: `when` alone would go on
        ([0.70, 0.88, 0.89], [0.62, 0.61, 0.61], 3),  # has not learned enough: `whether` alone would stop at once
        ([0.80, 0.90, 0.90], [0.60, 0.60, 0.60], 2),
    ],
)
def test_the_round_is_that_of_the_highest_sum(when: list[float], whether: list[float], expected: int) -> None:
    of_rounds = [
        {"classification": SimpleNamespace(ranking=partial(float, a), whether=partial(float, b))}
        for a, b in zip(when, whether, strict=True)
    ]
    assert best_round(of_rounds) == expected


def test_training_stops_there_and_is_that_of_so_many_rounds(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, described = trained("two")
    write(project, "ranking")
    asked: list[int] = []
    monkeypatch.setattr(training, "best_round", lambda rounds: asked.append(len(rounds)) or 2)
    found, description = trained("three")
    assert asked == [3]  # after each round
    assert found == expected
    assert (description["round"], description["selection"]) == (2, "ranking")
    assert (described["round"], described["selection"]) == (2, "last")


@pytest.mark.slow
def test_the_same_twice_and_no_test_video_is_looked_at(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "ranking")
    first = trained("three")
    for modality in ("visual", "audio"):
        for index in range(18, 21):
            (paths.features(NAME, modality) / f"video{index:03}.h5").unlink()
    paths.ground_truth(NAME).unlink()
    assert trained("three") == first


def test_a_mean_of_rounds_cannot_be_stopped(project: Path) -> None:
    write(project, "ranking")
    with pytest.raises(
        ConfigError, match=r"train\.averaged\.recipe\.average_rounds: .* cannot choose the mean of the last rounds"
    ):
        train.main(NAME, "averaged", SEED)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_is_in_the_checkpoint_and_in_its_scores(project: Path, method: str) -> None:
    plain, described = trained("three")
    assert "calibration" not in described
    assert "calibrate" not in described["settings"]["recipe"]
    weights, description = trained(method)
    assert weights == plain
    assert set(description["calibration"]) == {"classification", "alignment"}
    assert description["settings"]["recipe"]["calibrate"] == method
    checkpoint = load_checkpoint(paths.run(NAME, method, 0))
    assert checkpoint.description.calibration is not None
    video = read_video(open_folders(NAME, checkpoint.detector.modalities), "video019")
    raw, scored = detect(checkpoint.detector, video, "cpu"), score_video(checkpoint, video, "cpu")
    expected = checkpoint.description.calibration["classification"](raw.anomaly_confidence)
    assert np.array_equal(scored.anomaly_confidence, expected)
    assert not np.array_equal(scored.anomaly_confidence, raw.anomaly_confidence)


@pytest.mark.parametrize(
    ("n_train", "reason"),
    [
        (4, "without what is held out, no training video has class"),
        (3, "2 folds need as many training videos of each sort, found 1 normal and 2 anomalous; label more videos"),
    ],
)
def test_too_few_videos_for_calibration_are_no_error(
    project: Path, n_train: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    selection = {"by": "last", "folds": 4}
    sizes = {"visual": 2.0, "audio": 0.0}
    write_training_project(project, make_videos(n_train, 3), sizes, train=VARIANTS, selection=selection)
    plain, _ = trained("three")
    weights, description = trained("platt")
    assert weights == plain
    assert "calibration" not in description
    assert description["uncalibrated"].startswith(reason)
    assert f"{NAME}/platt: scores are not calibrated: {reason}" in caplog.text
    test_video = f"video{n_train:03}"
    checkpoint = load_checkpoint(paths.run(NAME, "platt", 0))
    video = read_video(open_folders(NAME, checkpoint.detector.modalities), test_video)
    raw, scored = detect(checkpoint.detector, video, "cpu"), score_video(checkpoint, video, "cpu")
    assert np.array_equal(scored.anomaly_confidence, raw.anomaly_confidence)
    assert Scorer(Job(NAME, "platt", NAME, 0), "cpu").provenance.detector["uncalibrated"] == description["uncalibrated"]


def test_too_few_videos_to_stop_early_are_an_error(project: Path) -> None:
    selection = {"by": "ranking", "folds": 4}
    sizes = {"visual": 2.0, "audio": 0.0}
    write_training_project(project, make_videos(6, 3), sizes, train=VARIANTS, selection=selection)
    with pytest.raises(TrainingError, match="4 folds need as many training videos of each sort"):
        trained("three")
