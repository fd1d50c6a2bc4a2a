"""``avadclip predict``, as a person types it."""

import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from avadclip import config, paths
from avadclip.cli import app
from avadclip.prediction.familiarity import write_familiarity
from avadclip.prediction.writing import SCHEMA
from tests.support.media_factory import tone, write_video
from tests.support.prediction_factory import strange_training, write_model_folder
from tests.support.project_factory import NAME, load_params, save_params, write_project

HOSTILE = "<img src=x onerror=alert(1)> \"[red]\" 'ü' " + "long" * 30


def predict(*words: str, model: str = "runs/toy") -> Result:
    return CliRunner().invoke(app, ["predict", "--model", model, "--out", "out", *words], env={"COLUMNS": "80"})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose alarm is always on."""
    root = write_project(tmp_path_factory.mktemp("project"), {})
    save_params(root, load_params(root) | {"score": {"missing_audio": "stand_in"}})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_familiarity(write_model_folder(config.load()), strange_training())
    alarm = root / paths.model(NAME) / "alarm.json"
    alarm.write_text(alarm.read_text().replace("0.5", "0.0001"))
    return root


@pytest.mark.slow
def test_what_can_be_predicted_is_and_the_rest_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    for folder in ("in/a", "in/b"):
        Path(folder).mkdir(parents=True)
    write_video(Path("in/a/gate.mp4"), n_frames=25, audio=tone(1.0))
    write_video(Path("in/b/gate.mp4"), n_frames=6)
    write_video(Path(f"in/{HOSTILE}.mp4"), n_frames=25, audio=tone(1.0))
    Path("in/broken.mp4").write_bytes(b"this is no video")
    result = predict("in", "in/*/gate.mp4", "nowhere.mp4", "--from-cache")
    assert result.exit_code == 1
    assert f"in/{HOSTILE}.mp4: " in result.stdout
    assert "in/b/gate.mp4: " in result.stdout
    assert "(visual_student, no sound, unlike anything this model was trained on, distance " in result.stdout
    assert "3 of 5 videos: out/predictions.json" in result.stdout
    assert result.stderr.count("failed: in/broken.mp4: not a media file") == 1
    assert "failed: nowhere.mp4: no such file or folder" in result.stderr

    written = json.loads(Path("out/predictions.json").read_text())
    jsonschema.validate(written, json.loads(SCHEMA.read_text()))
    found = {video["id"]: (video["path"], video["decided_by"]) for video in written["videos"]}
    assert found == {
        HOSTILE: (f"in/{HOSTILE}.mp4", "audio_visual"),
        "gate": ("in/a/gate.mp4", "audio_visual"),
        "gate-2": ("in/b/gate.mp4", "visual_student"),
    }
    assert [failure["path"] for failure in written["failures"]] == ["nowhere.mp4", "in/broken.mp4"]
    for video in written["videos"]:
        assert [(s["start_frame"], s["end_frame"]) for s in video["segments"]] == [(0, video["n_frames"])]
        assert Path("out", f"{video['id']}.vtt").read_text().count("-->") == 1
    assert len(Path("out/segments.csv").read_text().splitlines()) == 4
    page = Path("out/report.html").read_text()
    assert "<img src=x" not in page
    assert len(list(Path("out/media").iterdir())) == 3
    assert len(list(Path(".cache/features").rglob("*.h5"))) == 6  # visual and audio


@pytest.mark.slow
def test_nothing_can_be_predicted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    result = predict("no\x1bwhere.mp4")
    assert result.exit_code == 1
    assert "failed: no\N{REPLACEMENT CHARACTER}where.mp4: no such file" in result.stderr
    assert "0 of 1 videos" in result.stdout


@pytest.mark.parametrize(
    ("words", "model", "message"),
    [
        ((), "elsewhere", "error: elsewhere/predictor.json: no such file; expected a model folder"),
        (("--device", "cuda:99"), "runs/toy", "error: device: 'cuda:99' was asked for"),
        (("--out", "params.yaml"), "runs/toy", "error: --out: params.yaml: cannot be made or used as a folder"),
    ],
)
def test_what_stops_the_whole_run_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], model: str, message: str
) -> None:
    monkeypatch.chdir(project)
    result = predict("nowhere.mp4", *words, model=model)
    assert result.exit_code == 1
    assert message in result.stderr
