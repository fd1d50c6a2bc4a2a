"""The commands, as a person types them."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
from typer.testing import CliRunner, Result

from avadclip import paths
from avadclip.cli import app
from avadclip.extraction.run import extract
from tests.support import pages
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


@pytest.mark.slow
def test_show_tells_what_is_there_and_how_it_was_made(here: Path) -> None:
    result = avadclip("features", "show", NAME)
    assert result.exit_code == 0
    for words in ("features/toy/visual", "10, 10 valid", "10, 7 valid", "stride", "tiny", "work cache", "4 files"):
        assert words in result.output


@pytest.mark.slow
def test_verify_finds_nothing_in_a_whole_store(here: Path) -> None:
    result = avadclip("features", "verify")
    assert (result.exit_code, result.output.count("no problems")) == (0, 2)


@pytest.mark.slow
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


@pytest.mark.usefixtures("here")
def test_the_commands_of_the_page_about_extraction() -> None:
    typed = [*pages.commands("docs/extraction.md", "Caches"), "avadclip doctor"]
    assert "avadclip doctor" in pages.commands("docs/extraction.md")
    for command in typed:
        result = avadclip(*command.split()[1:])
        assert result.exit_code == 0, result.output


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


def disk(free: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What ``avadclip doctor`` says about a disk with so many bytes left, on one line."""
    monkeypatch.setattr("avadclip.commands.doctor.shutil.disk_usage", lambda place: SimpleNamespace(free=free))
    monkeypatch.setattr("avadclip.commands.doctor.BYTES_PER_FEATURE", 10**9)  # 1 GB each: 10 snippets, two modalities
    return " ".join(avadclip("doctor").output.split())


def test_doctor_counts_three_copies_of_features_that_are_not_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """25 frames have seven snippets and 10 have three, each in both modalities."""
    shutil.rmtree("features")
    shutil.rmtree(".cache")
    assert "60.0 GB free, features still to be made take 60.0 GB" in disk(60 * 10**9, monkeypatch)
    found = disk(60 * 10**9 - 1, monkeypatch)
    assert "problem disk" in found
    assert "point `extraction.work_cache` at another disk" in found


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        (["features/toy/visual/silent.h5"], 13),  # one output, and DVC's copy of all of this modality: 3 + 10
        (["features"], 40),  # the work cache fills it again
        ([".cache"], 0),  # as after `dvc pull`: nothing is made anew
        ([".cache", "features/toy/visual/silent.h5"], 23),  # the work cache gets all of this modality again
    ],
)
def test_doctor_does_not_count_what_is_there(
    here: Path, monkeypatch: pytest.MonkeyPatch, gone: list[str], expected: int
) -> None:
    assert "features still to be made take 0.0 GB" in disk(10**9, monkeypatch)
    for name in gone:
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
    assert f"features still to be made take {expected}.0 GB" in disk(100 * 10**9, monkeypatch)


def test_doctor_counts_features_of_another_recipe_as_not_there(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(here)
    params["datasets"][NAME]["audio"]["window_seconds"] = 2.0
    save_params(here, params)
    assert "features still to be made take 30.0 GB" in disk(10**11, monkeypatch)  # for audio only


def test_doctor_looks_at_the_disk_of_the_work_cache(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree("features")
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == here.stat().st_dev:
        pytest.skip("there is one file system only")
    params = load_params(here)
    params["extraction"]["work_cache"] = str(elsewhere / "avadclip-test" / "cache")
    save_params(here, params)
    found = disk(40 * 10**9 - 1, monkeypatch)
    assert "problem disk: 40.0 GB free, features still to be made take 40.0 GB in `features/`" in found
    assert "ok disk of the work cache: 40.0 GB free, features still to be made take 20.0 GB there" in found


def test_doctor_says_where_published_weights_have_to_lie(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVADCLIP_WEIGHTS", str(here / "weights"))
    params = load_params(here)
    params["datasets"][NAME]["audio"]["weights"]["path"] = None
    save_params(here, params)
    result = avadclip("doctor")
    assert result.exit_code == 0  # nothing is fetched, and a missing download does not stop a run with network
    assert "Wav2CLIP.pt is not on this machine yet" in result.output
    assert not (here / "weights").exists()
