"""``predictor.json`` and ``alarm.json``: any fault in them is reported in one line that says what to do."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avadclip.config.evaluation import Evaluate
from avadclip.config.features import Audio, Visual, Weights
from avadclip.errors import CheckpointError
from avadclip.prediction.alarm import ALARM, read_alarm, write_alarm
from avadclip.prediction.model_folder import PREDICTOR, ModelFolder
from avadclip.prediction.section_file import write_refusal, write_section

DESCRIPTION = {
    "dataset": "toy",
    "detector": "audio_visual",
    "student": "visual_student",
    "missing_audio": "stand_in",
    "seed": 0,
    "modalities": ("visual", "audio"),
    "visual": Visual(weights=Weights(path="encoders/visual.pt", sha256="0" * 64), stride=4, precision="float32"),
    "audio": Audio(weights=Weights(path="encoders/audio.pt", sha256="0" * 64), precision="float32"),
}
READ: dict[str, Callable[[Path], Any]] = {PREDICTOR: ModelFolder.read, ALARM: read_alarm}
STAGES = {PREDICTOR: "package", ALARM: "evaluate"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_section(tmp_path / PREDICTOR, ModelFolder(**DESCRIPTION))
    write_alarm(tmp_path, Evaluate(alarm_threshold=0.25))
    return tmp_path


def test_what_was_written_is_read_with_paths_of_the_folder(folder: Path) -> None:
    found = ModelFolder.read(folder)
    assert found.visual.weights.path == str(folder / "encoders/visual.pt")
    assert (found.detector, found.modalities, found.visual.stride) == ("audio_visual", ("visual", "audio"), 4)
    assert read_alarm(folder).threshold == 0.25


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def without_detector_or_threshold(content: bytes) -> bytes:
    return json.dumps({k: v for k, v in json.loads(content).items() if k not in ("detector", "threshold")}).encode()


@pytest.mark.parametrize("file", READ)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "damaged: "),
        (lambda content: b"", "damaged: "),
        (lambda content: b"\xff" + content, "damaged: "),
        (lambda content: b"[]", "damaged: expected an object, found list"),
        (lambda content: b"{}", "expected format avadclip-[a-z]+/[12], found None"),
        (
            lambda content: re.sub(rb'/[12]"', b'/0"', content),
            "expected format avadclip-[a-z]+/[12], found avadclip-[a-z]+/0",
        ),
        (without_detector_or_threshold, r"(detector|threshold): missing; add it"),
    ],
)
def test_a_damaged_file_is_one_line_that_says_what_to_do(
    folder: Path, file: str, spoil: Callable[[bytes], bytes], message: str
) -> None:
    (folder / file).write_bytes(spoil((folder / file).read_bytes()))
    with pytest.raises(CheckpointError, match=f"{file}: {message}.*run `dvc repro {STAGES[file]}` again") as error:
        READ[file](folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", READ)
def test_a_file_of_a_newer_version_asks_for_that_version(folder: Path, file: str) -> None:
    """Its other content may be new, too, and nobody is told to make it again."""
    content = json.loads((folder / file).read_text())
    name, _, ours = content["format"].partition("/")
    (folder / file).write_text(json.dumps({"format": f"{name}/10", "something": "new"}))
    message = rf"{file}: format {name}/10 is newer than this version understands \({name}/{ours}\): update avadclip$"
    with pytest.raises(CheckpointError, match=message):
        READ[file](folder)


def test_a_folder_in_the_place_of_the_file(folder: Path) -> None:
    (folder / PREDICTOR).unlink()
    (folder / PREDICTOR).mkdir()
    with pytest.raises(CheckpointError, match=f"{PREDICTOR}: damaged: .*directory"):
        ModelFolder.read(folder)


def test_no_file_and_a_refusal(folder: Path) -> None:
    write_refusal(folder / PREDICTOR, "imported, and nobody knows how")
    with pytest.raises(CheckpointError, match=f"{PREDICTOR}: imported, and nobody knows how$"):
        ModelFolder.read(folder)
    with pytest.raises(CheckpointError, match=r"no such file; expected a model folder.*dvc repro package@demo"):
        ModelFolder.read(folder / "nowhere")


def test_before_anything_is_evaluated_the_level_is_that_of_the_defaults(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / ALARM).unlink()
    found = read_alarm(folder)
    assert (found.threshold, found.branch) == (Evaluate().alarm_threshold, Evaluate().alarm_branch)
    assert "alarm.json: no such file, so the threshold is 0.5; `dvc repro evaluate`" in caplog.text
