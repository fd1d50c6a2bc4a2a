"""Score files: they are read as written, equal scores give equal bytes, and damage is found."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from avadclip.errors import EvaluationError
from avadclip.scoring import scores
from avadclip.scoring.scores import Provenance, Scores, VideoScores, collect

MADE_BY = Provenance("demo", "visual_student", "demo", 0, ("visual",), "last", ("normal", "fighting"), stride=16)


def make_row(video_id: str, n_snippets: int, **changes: object) -> VideoScores:
    rng = np.random.default_rng(n_snippets)
    row = {
        "modality": "visual",
        "anomaly_confidence": rng.random(n_snippets, dtype=np.float32),
        "class_probabilities": rng.random((n_snippets, 2), dtype=np.float32),
        "uncertainty": rng.random(n_snippets, dtype=np.float32),
    }
    return VideoScores(video_id, **(row | changes))


def make_scores() -> Scores:
    return collect(MADE_BY, [make_row("ünïcode __#1", 3), make_row("a", 300, uncertainty=None)])


def test_round_trip(tmp_path: Path) -> None:
    written = make_scores()
    scores.write(tmp_path / "deep" / "x.h5", written)
    read = scores.read(tmp_path / "deep" / "x.h5")
    assert read.provenance == MADE_BY
    assert read.ids == ("a", "ünïcode __#1")
    assert read.n_snippets.tolist() == [300, 3]
    assert read.checksum == written.checksum
    assert np.isnan(read.uncertainty[:300]).all()
    assert np.isfinite(read.uncertainty[300:]).all()


def test_rows_are_what_was_collected() -> None:
    made = make_scores()
    assert collect(MADE_BY, scores.rows(made)[::-1]).checksum == made.checksum


def test_detector_without_classes_or_uncertainty(tmp_path: Path) -> None:
    scores.write(tmp_path / "x.h5", collect(MADE_BY, [make_row("a", 2, class_probabilities=None, uncertainty=None)]))
    assert scores.read(tmp_path / "x.h5").class_probabilities is None


def test_where_all_videos_are_for_training_there_are_none(tmp_path: Path) -> None:
    scores.write(tmp_path / "x.h5", collect(MADE_BY, []))
    found = scores.read(tmp_path / "x.h5")
    assert (found.ids, found.n_snippets.tolist(), scores.rows(found)) == ((), [], [])


def test_same_scores_same_bytes_in_any_order(tmp_path: Path) -> None:
    rows = [make_row(name, 5) for name in "abc"]
    scores.write(tmp_path / "1.h5", collect(MADE_BY, rows))
    scores.write(tmp_path / "2.h5", collect(MADE_BY, rows[::-1]))
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.h5", "2.h5"]  # no temporary file is left


def test_same_provenance_same_bytes_in_any_order_of_keys(tmp_path: Path) -> None:
    for name, settings in (("1", {"kind": "student", "width": 8}), ("2", {"width": 8, "kind": "student"})):
        scores.write(tmp_path / f"{name}.h5", collect(replace(MADE_BY, detector=settings), [make_row("a", 5)]))
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_scores_are_kept_in_single_precision(tmp_path: Path) -> None:
    row = make_row("a", 5)
    arrays = ("anomaly_confidence", "class_probabilities", "uncertainty")
    double = replace(row, **{name: getattr(row, name).astype(np.float64) for name in arrays})
    made = collect(MADE_BY, [double])
    assert {getattr(made, name).dtype for name in arrays} == {np.dtype(np.float32)}
    scores.write(tmp_path / "x.h5", made)
    assert scores.read(tmp_path / "x.h5").checksum == collect(MADE_BY, [row]).checksum


@pytest.mark.parametrize(("wanted", "left"), [({"c", "a"}, ("a", "c")), ({"b", "z"}, ("b",)), ((), ())])
def test_scores_of_some_videos_only(wanted: Collection[str], left: tuple[str, ...]) -> None:
    made = {name: make_row(name, length) for name, length in (("a", 2), ("b", 3), ("c", 4))}
    found = scores.only(collect(MADE_BY, list(made.values())), wanted)
    assert found.ids == left
    assert found.checksum == collect(MADE_BY, [made[name] for name in left]).checksum


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([make_row("a", 3), make_row("a", 3)], "^a: scored twice"),
        ([make_row("a", 3), make_row("b", 3, class_probabilities=None)], "^b: has no class probabilities"),
        ([make_row("a", 0)], "^a: has no snippets"),
        (
            [make_row("a", 3, class_probabilities=np.zeros((3, 5), np.float32))],
            r"^a: .* shape \(3, 5\), expected \(3, 2\)",
        ),
        ([make_row("a", 3, uncertainty=np.zeros(2, np.float32))], r"^a: uncertainty has shape \(2,\)"),
        (
            [make_row("a", 3, class_probabilities=None, uncertainty=np.zeros(2, np.float32))],
            r"^a: uncertainty has shape \(2,\), expected \(3,\)",
        ),
        (
            [make_row("a", 2, anomaly_confidence=np.array([0, np.nan], np.float32))],
            "^a: anomaly_confidence is not finite",
        ),
        (
            [make_row("a", 2, anomaly_confidence=np.array([-0.25, 3], np.float32))],
            "^a: anomaly_confidence is between -0.25 and 3; expected 0 to 1",
        ),
        (
            [make_row("a", 2, class_probabilities=np.array([[1, 0], [0, 1.001]], np.float32))],
            "^a: class_probabilities is between 0 and 1.001; expected 0 to 1",
        ),
    ],
)
def test_scores_that_cannot_be_right_are_refused(rows: list[VideoScores], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        collect(MADE_BY, rows)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"x\.h5: no such score file"):
        scores.read(tmp_path / "x.h5")


def test_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    scores.write(path, make_scores())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EvaluationError, match=r"x\.h5: not a readable score file"):
        scores.read(path)


def test_a_refusal_stands_in_place_of_scores(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.h5"
    scores.write_refusal(path, "no sound in any video")
    assert scores.read_refusal(path) == "no sound in any video"
    with pytest.raises(EvaluationError, match=r"x\.h5: not a readable score file .*provenance"):
        scores.read(path)
    path.write_bytes(path.read_bytes()[:500])
    assert scores.read_refusal(path) is None
    scores.write(path, make_scores())
    assert scores.read_refusal(path) is None


@pytest.mark.parametrize(
    "name", ["ids", "modalities", "anomaly_confidence", "class_probabilities", "uncertainty", "first_snippet"]
)
def test_changed_value_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.h5"
    scores.write(path, make_scores())
    with h5py.File(path, "r+") as file:
        file[name][-1] = b"other" if name in ("ids", "modalities") else 0
    with pytest.raises(EvaluationError, match="damaged: checksum"):
        scores.read(path)


def test_changed_provenance_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    scores.write(path, make_scores())
    other = replace(make_scores(), provenance=replace(MADE_BY, selection="validation"))
    scores.write(tmp_path / "other.h5", other)
    with h5py.File(tmp_path / "other.h5") as source, h5py.File(path, "r+") as file:
        file.attrs["provenance"] = source.attrs["provenance"]
    with pytest.raises(EvaluationError, match="damaged: checksum"):
        scores.read(path)


@pytest.mark.parametrize(
    ("version", "message"),
    [(0, "expected format .*, found avadclip-scores/0; score it again"), (99, "newer than .*: update avadclip")],
)
def test_other_format_is_refused(tmp_path: Path, version: int, message: str) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["format"] = f"avadclip-scores/{version}"
    with pytest.raises(EvaluationError, match=message):
        scores.read(tmp_path / "x.h5")


def test_a_file_that_names_no_format_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w"):
        pass
    with pytest.raises(EvaluationError, match=r"x\.h5: expected format .*, found None; score it again"):
        scores.read(tmp_path / "x.h5")
