"""What is on disk after each video, and what a repeated run takes from there and removes."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from avadclip.cli import app
from avadclip.commands import predicting as command
from avadclip.errors import PredictionError
from avadclip.prediction.document import AnnotatedSegment, Prediction
from avadclip.prediction.kept import Kept
from tests.support.report_factory import make_prediction


@dataclass
class FakePredictor:
    """Predicts something for every file; at `stop_at` the run is interrupted, and `spoilt` cannot be drawn."""

    identity: str = "model"
    stop_at: str = ""
    spoilt: str = ""
    predicted: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)
    description: Any = field(default_factory=lambda: SimpleNamespace(dataset="toy", detector="a", student="b"))
    alarm: Any = field(default_factory=lambda: SimpleNamespace(branch="alignment", threshold=0.5))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def predict(self, path: Path, *, video_id: str, on_progress: object) -> Prediction:
        if path.name == self.stop_at:
            raise KeyboardInterrupt
        self.predicted.append(path.name)
        if b"no video" in path.read_bytes():
            raise PredictionError(f"{path}: not a media file")
        made = make_prediction(video_id, path=str(path), seed=len(path.read_bytes()))
        return replace(made, boundary_seconds=made.boundary_seconds / 3, clock_start_seconds=1 / 3)

    def in_worker(self, task: object, path: Path) -> bytes:
        self.drawn.append(path.name)
        if path.name == self.spoilt:
            raise PredictionError(f"{path}: worker died")
        return b"a picture of " + path.name.encode()


@pytest.fixture(autouse=True)
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.mp4", "b.mp4", "c.mp4")):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x" * number)
    return tmp_path / "in"


def run(monkeypatch: pytest.MonkeyPatch, predictor: FakePredictor, *words: str, out: str = "out") -> Result:
    monkeypatch.setattr(command, "Predictor", lambda *_, **__: predictor)
    return CliRunner().invoke(app, ["predict", "--model", "m", "--out", out, *(words or ("in",))])


def contents(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: content for name, content in files.items() if not name.startswith("media/")}


def test_a_run_that_is_stopped_keeps_what_is_done_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = FakePredictor(stop_at="c.mp4")
    assert run(monkeypatch, stopped).exit_code != 0
    assert set(contents("out")) == {
        *("a.vtt", "b.vtt"),
        *(f"predictions/{name}" for name in ("a.json", "a.png", "b.json", "b.png")),
    }
    again = FakePredictor()
    result = run(monkeypatch, again)
    assert result.exit_code == 0
    assert "2 of 3 videos were already done by this model: out" in result.stdout
    assert (again.predicted, again.drawn) == (["c.mp4"], ["c.mp4"])

    assert run(monkeypatch, FakePredictor(), out="at once").exit_code == 0
    assert contents("out") == contents("at once")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda: None, []),
        (lambda: Path("in/b.mp4").write_bytes(b"other"), ["b.mp4"]),
        (lambda: os.utime("in/b.mp4", ns=(0, 0)), ["b.mp4"]),
        (lambda: Path("in/a0.mp4").write_bytes(b"new"), ["a0.mp4"]),
        (lambda: Path("out/predictions/b.json").write_bytes(b'{"format": '), ["b.mp4"]),
        (lambda: Path("out/predictions/b.json").unlink(), ["b.mp4"]),
    ],
)
def test_a_repeated_run_does_what_has_changed(
    monkeypatch: pytest.MonkeyPatch, change: Any, expected: list[str]
) -> None:
    run(monkeypatch, FakePredictor())
    change()
    again = FakePredictor()
    assert run(monkeypatch, again).exit_code == 0
    assert again.predicted == expected


def test_another_model_and_another_path_are_no_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, FakePredictor())
    for predictor, word in ((FakePredictor("other"), "in"), (FakePredictor("other"), "./in/../in")):
        run(monkeypatch, predictor, word)
        assert len(predictor.predicted) == 3


def test_nothing_of_an_earlier_run_stays_beside_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, FakePredictor())
    for name in ("mine.vtt", "predictions/mine.json", "notes.txt"):
        Path("out", name).write_text("[]")
    Path("in/b.mp4").write_bytes(b"no video")
    result = run(monkeypatch, FakePredictor(), "in/b.mp4", "in/c.mp4")
    assert result.exit_code == 1
    assert set(contents("out")) == {
        *("c.vtt", "predictions/c.json", "predictions/c.png"),
        *("mine.vtt", "predictions/mine.json", "notes.txt"),
        *("predictions.json", "segments.csv", "report.html", "data/page-0001.js", "data/page-0001.png"),
    }
    assert [video["id"] for video in json.loads(Path("out/predictions.json").read_text())["videos"]] == ["c"]
    assert run(monkeypatch, FakePredictor(), "in/b.mp4").exit_code == 1
    own = {"mine.vtt", "predictions/mine.json", "notes.txt"}
    assert set(contents("out")) - own == {"predictions.json", "segments.csv"}


@pytest.mark.parametrize("name", ["segments.csv", "predictions.json", "b.vtt"])
def test_files_of_somebody_else_are_not_replaced(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The labels of the videos may be beside them, and `--out` may be their folder."""
    mine = Path("in", name)
    mine.write_text("video,label,start_seconds,end_seconds\na.mp4,fighting,0.1,0.9\n")
    result = run(monkeypatch, FakePredictor(), out="in")
    assert (result.exit_code, f"error: --out: {mine}: is there already" in result.stderr) == (1, True)
    assert mine.read_text().endswith("fighting,0.1,0.9\n")
    mine.unlink()
    assert run(monkeypatch, FakePredictor(), out="in").exit_code == 0
    again = run(monkeypatch, FakePredictor(), out="in")
    assert (again.exit_code, "3 of 3 videos were already done" in again.stdout) == (0, True)


def test_labels_that_were_put_beside_results_are_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, FakePredictor(), out="in").exit_code == 0
    Path("in/segments.csv").write_text("video,label,start_frame,end_frame\n")
    assert run(monkeypatch, FakePredictor(), out="in").exit_code == 1
    assert Path("in/segments.csv").read_text() == "video,label,start_frame,end_frame\n"


def test_a_copy_for_the_page_is_not_deleted_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, FakePredictor()).exit_code == 0
    result = run(monkeypatch, FakePredictor(), "out/media/page-0001.mp4")
    assert (result.exit_code, "failed: out/media/page-0001.mp4: a copy for the page" in result.stderr) == (1, True)


def test_a_fault_in_drawing_costs_that_drawing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, FakePredictor(spoilt="b.mp4"))
    assert result.exit_code == 0
    assert "in/b.mp4: worker died; the page shows it without its sound" in result.stderr
    assert len(json.loads(Path("out/predictions.json").read_text())["videos"]) == 3
    assert len(list(Path("out/data").glob("*.js"))) == 3
    assert len(list(Path("out/data").glob("*.png"))) == 2
    again = FakePredictor()
    run(monkeypatch, again)
    assert (again.predicted, again.drawn) == ([], ["b.mp4"])


def test_a_video_that_is_gone_by_the_end_is_shown_without_a_player(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = FakePredictor()

    def take_away(*_: object) -> bytes:
        Path("in/b.mp4").unlink(missing_ok=True)
        return b""

    monkeypatch.setattr(predictor, "in_worker", take_away)
    assert run(monkeypatch, predictor, "in/b.mp4", "in/c.mp4").exit_code == 0
    assert len(list(Path("out/data").glob("*.js"))) == 2
    assert len(list(Path("out/media").iterdir())) == 1


def every_kind() -> Iterator[Prediction]:
    yield make_prediction()
    yield make_prediction(has_audio=False, annotated=None)
    made = make_prediction(annotated=[("*", 0.1, 1 / 3)])
    unnamed = tuple(replace(curve, class_probabilities=None) for curve in made.curves)
    yield replace(made, curves=unnamed, clock_start_seconds=1e9 / 3, frame_rate=30000 / 1001)


@pytest.mark.parametrize("made", list(every_kind()))
def test_a_kept_prediction_is_read_to_the_last_digit(tmp_path: Path, made: Prediction) -> None:
    file = tmp_path / "video.mp4"
    file.write_bytes(b"x")
    Kept(tmp_path / "out", "model").put(made, file, file.stat())
    found = Kept(tmp_path / "out", "model").begin({made.id: file})[made.id]
    for one, other in zip(found.curves, made.curves, strict=True):
        for name in ("anomaly", "class_probabilities", "uncertainty"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(found.boundary_seconds, made.boundary_seconds)
    assert found.to_json() == made.to_json()
    assert all(isinstance(event, AnnotatedSegment) for event in found.annotated or ())
    shutil.rmtree(tmp_path / "out")
