"""The commands, as a person types them."""

import shutil
from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner, Result

from avadclip import paths
from avadclip.cli import app
from avadclip.extraction.run import extract
from tests.support.media_factory import tone, write_video
from tests.support.project_factory import NAME, load_params, prepare_here, save_params, write_project

VISUAL = paths.features(NAME, "visual")


def avadclip(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos with all their features. Tests work on copies."""
    root = tmp_path_factory.mktemp("project")
    (root / "videos").mkdir()
    write_video(root / "videos" / "with sound.mp4", n_frames=25, audio=tone(1.0))
    write_video(root / "videos" / "silent.mp4", n_frames=10)
    write_project(root, {"with sound.mp4": "fighting", "silent.mp4": "normal"})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        params = prepare_here()
        for modality in ("visual", "audio"):
            extract(NAME, modality, params)
    return root


@pytest.fixture
def here(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(project, root)
    monkeypatch.chdir(root)
    return root


def test_show_tells_what_is_there_and_how_it_was_made(here: Path) -> None:
    result = avadclip("features", "show", NAME)
    assert result.exit_code == 0
    for words in ("features/toy/visual", "10, 10 valid", "10, 7 valid", "stride", "tiny", "work cache", "4 files"):
        assert words in result.output


def test_verify_finds_nothing_in_a_whole_store(here: Path) -> None:
    result = avadclip("features", "verify")
    assert (result.exit_code, result.output.count("no problems")) == (0, 2)


def test_verify_names_every_problem(here: Path) -> None:
    whole = (VISUAL / "silent.h5").read_bytes()
    damaged = bytearray(whole)
    damaged[-200] ^= 1
    (VISUAL / "silent.h5").write_bytes(damaged)
    (VISUAL / "with sound.h5").unlink()
    (VISUAL / "stray.h5").write_bytes(whole)
    result = avadclip("features", "verify", NAME)
    assert result.exit_code == 1
    for words in (
        "silent.h5: damaged: checksum",
        "with sound.h5: no such feature file",
        "stray.h5: no such video",
        "3 problems",
    ):
        assert words in result.output


def test_verify_compares_what_no_checksum_covers(here: Path) -> None:
    path = VISUAL / "silent.h5"
    with h5py.File(path, "r+") as file:
        file.attrs["frame_rate"] = 24.0
    result = avadclip("features", "verify")
    assert (result.exit_code, f"{path}: made from another version" in result.output) == (1, True)


def test_verify_sees_another_recipe(here: Path) -> None:
    params = load_params(here)
    params["datasets"][NAME]["visual"]["stride"] = 8
    save_params(here, params)
    result = avadclip("features", "verify")
    assert result.exit_code == 1
    assert result.output.count("stride is 4, expected 8") == 4  # sound is cut along the visual stride


def test_prune_asks_and_removes_what_is_not_needed(here: Path) -> None:
    assert "nothing removed" in avadclip("features", "prune", "--yes").output
    params = load_params(here)
    params["datasets"][NAME]["visual"]["stride"] = 8
    save_params(here, params)
    assert "nothing removed" in CliRunner().invoke(app, ["features", "prune"], input="n\n").output
    assert "removed 4 files" in avadclip("features", "prune", "--yes").output
    assert "0 files" in avadclip("features", "show").output


def test_unknown_data_set_is_one_line(here: Path) -> None:
    result = avadclip("features", "verify", "xd")
    assert result.exit_code == 1
    assert "error: params.yaml: no data set 'xd' under `datasets`; there are: toy" in result.output


def test_doctor_is_content_with_a_working_project(here: Path) -> None:
    result = avadclip("doctor")
    assert result.exit_code == 0, result.output
    for words in ("PyAV", "decord", "device", "precision float32", "datasets.toy.visual.weights", "disk"):
        assert words in result.output
    assert "problem" not in result.output


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("datasets", NAME, "visual", "weights", "sha256"), "0" * 64, "not the pinned weights"),
        (("datasets", NAME, "audio", "weights", "path"), "nowhere.pt", "no such file"),
        (("extraction", "device"), "cuda:99", "CUDA devices"),
    ],
)
def test_doctor_finds_what_would_stop_a_run(here: Path, keys: tuple[str, ...], value: str, words: str) -> None:
    params = load_params(here)
    section = params
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    save_params(here, params)
    result = avadclip("doctor")
    assert result.exit_code == 1
    assert "problem" in result.output
    assert words in result.output


def test_doctor_says_where_published_weights_have_to_lie(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVADCLIP_WEIGHTS", str(here / "weights"))
    params = load_params(here)
    params["datasets"][NAME]["audio"]["weights"]["path"] = None
    save_params(here, params)
    result = avadclip("doctor")
    assert result.exit_code == 0  # nothing is fetched, and a missing download does not stop a run with network
    assert "Wav2CLIP.pt is not on this machine yet" in result.output
    assert not (here / "weights").exists()
