"""Which score files are read, and the messages about files that are missing, left over or of another detector."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avadclip import config, paths
from avadclip.config import Params
from avadclip.errors import ConfigError, EvaluationError
from avadclip.evaluation.detectors import read_detectors
from avadclip.evaluation.testset import TestSet
from avadclip.scoring import scores
from avadclip.scoring.scores import rows
from tests.support.evaluation_factory import CLASSES, make_scores, make_video

VIDEOS = (make_video("a", 90, ["normal"]), make_video("b", 60, ["normal"], has_audio=False))
TEST_SET = TestSet("demo", "table", CLASSES, 4, VIDEOS, ())
LOOKS_AND_LISTENS, LOOKS = ("visual", "audio"), ("visual",)


def make_params(
    variants: Sequence[str] = ("audio_visual",), seeds: Sequence[int] = (0,), **sections: dict[str, Any]
) -> Params:
    recipe = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
    dataset = {"kind": "table", "videos": "v", "annotations": "a", "classes": list(CLASSES)}
    dataset |= {"visual": recipe | {"stride": 4}, "audio": recipe}
    return config.validate(
        {
            "datasets": {"demo": dataset, "other": dataset},
            "seeds": list(seeds),
            "train": {"audio_visual": {"kind": "audio_visual"}, "audio_visual_from_other": {"kind": "vadclip"}}
            | sections.get("train", {}),
            "distill": {"visual_student": {"kind": "student"}},
            "score": {"variants": list(variants), "missing_audio": "stand_in"} | sections.get("score", {}),
        },
        origin="params.yaml",
    )


def write(variant: str, seed: int = 0, trained_on: str = "demo", **provenance: Any) -> Path:
    """A score file; video b was scored without sound."""
    made = {"variant": variant, "trained_on": trained_on, "seed": seed, "modalities": LOOKS_AND_LISTENS} | provenance
    rng = np.random.default_rng([seed, *f"{variant} {trained_on}".encode()])
    found = make_scores(VIDEOS, CLASSES, 4, rng, **made)
    used = ("visual",) * 2 if made["modalities"] == LOOKS else ("audio_visual", "visual")
    path = paths.scores("demo", variant, seed, trained_on)
    scores.write(path, scores.Scores(**(vars(found) | {"modalities": used})))
    return path


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


ACROSS = {
    "to": {"dataset": "demo", "trained_on": "other", "variant": "audio_visual"},
    "from": {"dataset": "other", "trained_on": "demo", "variant": "audio_visual"},
}


def test_what_params_names_is_read_in_its_order_once_a_seed() -> None:
    for seed in (3, 1):
        write("visual_student", seed, modalities=LOOKS)
        write("audio_visual", seed)
    write("audio_visual", 3, trained_on="other")
    params = make_params(["visual_student", "audio_visual"], [3, 1], score={"across": ACROSS})
    found = read_detectors(TEST_SET, params)
    assert [(detector.name, detector.seeds) for detector in found] == [
        ("visual_student", (3, 1)),
        ("audio_visual", (3, 1)),
        ("audio_visual_from_other", (3,)),
    ]


def test_files_that_are_left_over_are_reported_in_one_line_and_not_read(caplog: pytest.LogCaptureFixture) -> None:
    write("audio_visual")
    write("removed").write_bytes(b"no score file at all")
    write("audio_visual", 1)
    Path(paths.scores_folder("demo"), ".host-1-0.tmp.h5").touch()
    with caplog.at_level(logging.WARNING):
        (detector,) = read_detectors(TEST_SET, make_params())
    assert detector.seeds == (0,)
    (record,) = caplog.records
    assert record.getMessage().endswith("name them: demo.audio_visual.seed1.h5, demo.removed.seed0.h5")


def test_every_missing_file_is_named() -> None:
    write("audio_visual", 0)
    write("audio_visual", 0, trained_on="other")
    params = make_params(["audio_visual", "visual_student"], [0, 1], score={"across": ACROSS})
    with pytest.raises(EvaluationError, match=r"names 5 score files, of which 3 .*`dvc repro`.*`dvc pull") as caught:
        read_detectors(TEST_SET, params)
    named = ("demo.audio_visual.seed1", "demo.visual_student.seed0", "demo.visual_student.seed1")
    assert str(caught.value).count(".h5") == 3
    assert all(f"{name}.h5" in str(caught.value) for name in named)


def test_nothing_to_be_scored_is_an_error() -> None:
    with pytest.raises(ConfigError, match="names no detector for demo"):
        read_detectors(TEST_SET, make_params([]))


def test_two_detectors_cannot_have_one_name() -> None:
    params = make_params(["audio_visual_from_other"], score={"across": ACROSS})
    with pytest.raises(
        ConfigError, match=r"score\.across\.to: its name in tables, 'audio_visual_from_other', is taken"
    ):
        read_detectors(TEST_SET, params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "other"}, r"seed0\.h5: scores of audio_visual from demo on other, expected .* on demo"),
        ({"trained_on": "other"}, r"seed0\.h5: scores of audio_visual from other on demo"),
        ({"variant": "x"}, r"seed0\.h5: scores of x from demo on demo"),
        ({"seed": 2}, r"seed0\.h5: scores of seed 2"),
    ],
)
def test_a_file_is_of_the_detector_that_its_name_says(changes: dict[str, Any], message: str) -> None:
    own = write("audio_visual")
    made = make_scores(VIDEOS, CLASSES, 4, np.random.default_rng(0), **changes)
    scores.write(own, made)
    with pytest.raises(EvaluationError, match=message):
        read_detectors(TEST_SET, make_params())


def test_a_file_that_does_not_fit_the_manifest_is_named() -> None:
    write("audio_visual")
    more = TestSet("demo", "table", CLASSES, 4, (*VIDEOS, make_video("c", 8, ["normal"])), ())
    with pytest.raises(EvaluationError, match=r"demo\.audio_visual\.seed0\.h5: c: no score"):
        read_detectors(more, make_params())


def confidence(found: scores.Scores, video_id: str) -> list[float]:
    (row,) = [row for row in rows(found) if row.id == video_id]
    return row.anomaly_confidence.tolist()


def test_the_student_of_the_same_seed_stands_in() -> None:
    for seed in (0, 1):
        write("audio_visual", seed)
        write("visual_student", seed, modalities=LOOKS)
    detector, student = read_detectors(TEST_SET, make_params(["audio_visual", "visual_student"], [0, 1]))
    for own, other, seed in zip(detector.answers, student.answers, (0, 1), strict=True):
        assert own.stood_in == {"b"}
        assert other.stood_in == frozenset()
        assert confidence(own.scores, "b") == confidence(other.scores, "b")
        as_scored = scores.read(paths.scores("demo", "audio_visual", seed))
        assert confidence(own.scores, "a") == confidence(as_scored, "a")
    assert detector.notes == ("`visual_student` stands in for it in 1 videos without sound",)
    assert student.notes == ()


def test_across_data_sets_the_student_of_the_same_training_stands_in_if_it_is_listed() -> None:
    write("audio_visual", trained_on="other")
    write("visual_student", modalities=LOOKS)
    across = {"own": ACROSS["to"]}
    alone, _ = read_detectors(TEST_SET, make_params(["visual_student"], score={"across": across}))[::-1]
    assert alone.first.stood_in == frozenset()
    (note,) = alone.notes
    assert note.startswith("its own scores count in 1 videos without sound, because `visual_student`")
    write("visual_student", trained_on="other", modalities=LOOKS)
    across["student"] = ACROSS["to"] | {"variant": "visual_student"}
    own, student = read_detectors(TEST_SET, make_params([], score={"across": across}))
    assert own.first.stood_in == {"b"}
    assert confidence(own.first.scores, "b") == confidence(student.first.scores, "b")


def test_an_imported_checkpoint_has_one_file_and_no_seed(caplog: pytest.LogCaptureFixture) -> None:
    released = {"imported": {"released": {"path": "x.pth", "sha256": "0" * 64}}}
    for seed in (0, 1):
        made = make_scores(VIDEOS, CLASSES, 4, np.random.default_rng(0), variant="imported", seed=None)
        scores.write(paths.scores("demo", "imported", seed), made)  # DVC scores it once a seed
    with caplog.at_level(logging.WARNING):
        (detector,) = read_detectors(TEST_SET, make_params(["imported"], [0, 1], train=released))
    assert detector.seeds == (None,)
    assert not caplog.records
