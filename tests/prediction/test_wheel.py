"""The wheel, unpacked with nothing of the repository on the path, predicts in an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from avadclip import config, paths
from tests.support.media_factory import tone, write_video
from tests.support.prediction_factory import write_model_folder
from tests.support.project_factory import NAME, write_project

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# The unpacked wheel comes first on the path, before an editable installation; the first line shows what was imported.
COMMANDS = """
import avadclip
from avadclip.cli import app
print(avadclip.__file__)
for words in (["--version"], ["recipe", "zoo"], ["predict", "gate.mp4", "--model", "model", "--out", "out"]):
    app(words, standalone_mode=False)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, built without network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("avadclip-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_every_file_of_the_package_and_no_other_package(unpacked: Path) -> None:
    def files(root: Path) -> set[Path]:
        return {p.relative_to(root) for p in (root / "avadclip").rglob("*") if p.is_file() and p.suffix != ".pyc"}

    assert files(unpacked) == files(ROOT)
    assert sorted(p.name.split("-")[0] for p in unpacked.iterdir()) == ["avadclip", "avadclip"]  # and its metadata


def test_it_predicts_in_a_folder_that_holds_a_model_only(
    unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, empty = tmp_path / "project", tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(write_project(project, {}))
    write_model_folder(config.load())
    (project / paths.model(NAME)).rename(empty / "model")
    write_video(empty / "gate.mp4", n_frames=25, audio=tone(1.0))

    environment = os.environ | {"PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", COMMANDS], cwd=empty, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == str(unpacked / "avadclip" / "__init__.py")
    assert lines[1] == f"avadclip {next(unpacked.glob('*.dist-info')).name.split('-')[1].removesuffix('.dist')}"
    assert "vadclip:" in ran.stdout
    written = json.loads((empty / "out/predictions.json").read_text())
    assert [(video["id"], video["decided_by"]) for video in written["videos"]] == [("gate", "audio_visual")]
    assert "<style>" in (empty / "out/report.html").read_text()
