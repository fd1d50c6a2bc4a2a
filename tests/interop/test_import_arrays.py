"""From two folders to a table of results: the import command, and variants that cannot be trained on the features."""

import json
import re
import shlex
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from avadclip import config, paths
from avadclip.cli import app
from avadclip.detectors.description import read_description, read_refusal
from avadclip.errors import CheckpointError, ConfigError
from pipeline import distill, evaluate, extract_audio, extract_visual, figures, package, players, prepare, report, train
from pipeline import score as scoring
from tests.support import pages
from tests.support.arrays_factory import SEGMENTS, VIDEOS, write_array, write_dataset
from tests.support.dvc_project import ROOT, change, read_params, write_params

NAME = "own"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The shipped parameters, and nothing else."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(folder)
    return folder


def avadclip(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done.output


def adopt(source: Path, *modalities: str, code: int = 0, options: tuple[str, ...] = ("--alone",)) -> str:
    folders = [word for modality in modalities for word in (f"--{modality}", str(source / modality))]
    declared = ("--stride", "16", "--frame-rate", "24", "--visual-extractor", "C3D")
    words = (*folders, "--annotations", str(source), "--dataset", NAME, *declared, *options)
    return avadclip("import-features", *words, code=code)


@pytest.mark.slow
def test_from_two_folders_to_a_table(project: Path) -> None:
    """The command, and then everything that ``dvc repro`` would run, with the shipped detectors."""
    write_dataset(project.parent / "in", {"visual": 6})
    output = adopt(project.parent / "in", "visual")
    assert "has 4 training and 2 test videos, 6 files; `dvc repro` imports them" in output
    assert "not trained there: audio_visual: it takes audio features, but 'own' has none" in output
    change(project, "train.visual_ensemble.recipe", {"rounds": 2, "batch_size": 4})
    params = config.load()
    assert params.dataset(NAME).classes == ("normal", "fighting", "riot")
    for stage in (prepare, extract_visual, extract_audio):
        stage.main(NAME)
    for variant in params.train:
        train.main(NAME, variant, "0")
    for variant in params.distill:
        distill.main(NAME, variant, "0")
    for variant in params.score.variants:
        scoring.main(NAME, variant, "0")
    for last in (package, evaluate, figures, players, report):
        last.main(NAME)

    assert set(json.loads(paths.metrics(NAME).read_text())) == {"visual_ensemble", "random", "videos"}
    summary = paths.summary(NAME).read_text()
    for variant, reason in (
        ("audio_visual", "it takes audio features, but 'own' has none"),
        ("visual_baseline", "it compares snippets with the names of the classes, which the text tower of a CLIP reads"),
    ):
        assert f"- `{variant}` was not trained here: {reason}" in summary
        assert reason in (read_refusal(paths.run(NAME, variant, 0)) or "")
        with pytest.raises(CheckpointError, match="was not trained: it"):
            read_description(paths.run(NAME, variant, 0))
    assert (paths.report(NAME) / "report.html").is_file()
    assert avadclip("features", "verify", NAME).count("no problems") == 1


@pytest.mark.slow
def test_the_command_of_the_page() -> None:
    write_dataset(Path("ucf_crime_c3d"), {"visual": 6})
    (shown,) = pages.blocks("docs/features.md", "From two folders to a table")
    command, _ = pages.commands("docs/features.md", "From two folders to a table")
    printed = avadclip(*shlex.split(command)[1:])
    lines = [line for line in shown.splitlines() if line.startswith(("params.yaml:", "not trained there:"))]
    found = [without_numbers(line) for line in printed.splitlines()]
    assert [line for line in lines if without_numbers(line) not in found] == [], printed


def without_numbers(line: str) -> str:
    return re.sub(r"\b\d+\b", "#", line)


@pytest.mark.slow
def test_a_student_is_not_trained_where_its_teacher_is_not(project: Path) -> None:
    write_dataset(project.parent / "in", {"visual": 6})
    tower = config.load().dataset("demo").visual.text_tower
    assert tower is not None
    output = adopt(project.parent / "in", "visual")
    params = read_params(project)
    params["datasets"][NAME]["visual"]["text_tower"] = {
        "encoder": tower.encoder,
        "encoder_config": str(ROOT / str(tower.encoder_config)),
        "weights": {"path": str(ROOT / str(tower.weights.path)), "sha256": tower.weights.sha256},
    }
    write_params(project, params)
    output = adopt(project.parent / "in", "visual")  # again: the block stays as it is
    assert read_params(project) == params
    assert "not trained there: visual_student: it takes audio features" in output  # its teacher does
    assert "visual_baseline" not in output
    train.main(NAME, "audio_visual", "0")
    distill.main(NAME, "visual_student", "0")
    reason = read_refusal(paths.run(NAME, "visual_student", 0))
    assert reason == "its teacher `audio_visual` is not trained there: it takes audio features, but 'own' has none"


def test_pictures_and_sound_and_a_new_video(project: Path) -> None:
    source = project.parent / "in"
    written = write_dataset(source, {"visual": 6, "audio": 3})
    assert "12 files" in adopt(source, "visual", "audio", options=("--audio-extractor", "VGGish"))
    block = read_params(project)["datasets"]
    assert set(block) == {"demo", NAME}
    assert block[NAME]["audio"] | {"extractor": "VGGish"} == block[NAME]["audio"]
    links = sorted(path for path in (paths.data(NAME) / "arrays").rglob("*") if path.is_symlink())
    assert len(links) == 2 * len(written["visual"])

    (source / "visual" / "walk2.npy").unlink()
    (source / "audio" / "walk2.npy").unlink()
    table = (source / "videos.csv").read_text()
    output = adopt(source, "visual", "audio", code=1, options=())
    assert "no features of 'walk2' below data/own/arrays" in output
    (source / "videos.csv").write_text(table.replace("walk2.mp4,normal,train\n", ""))
    assert "10 files" in adopt(source, "visual", "audio", options=())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dataset", "demo", "--stride", "1"), "datasets.demo exists already, of kind table"),
        (("--dataset", "a b", "--stride", "1"), "'a b' is not a name for DVC"),
        (("--dataset", NAME), "give --stride and --frame-rate, which are not in the files"),
    ],
)
def test_what_is_not_declared_is_refused(project: Path, options: tuple[str, ...], message: str) -> None:
    write_dataset(project.parent / "in", {"visual": 6})
    before = (project / "params.yaml").read_bytes()
    words = ("--visual", str(project.parent / "in/visual"), "--annotations", str(project.parent / "in"), *options)
    assert message in avadclip("import-features", *words, "--frame-rate", "24", code=1)
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("modalities", "options", "message"),
    [
        (("visual", "audio"), (), "audio.extractor: found nothing, asked for unknown"),
        (("visual", "audio"), ("--audio-extractor", "VGGish"), "audio.extractor: found nothing, asked for VGGish"),
        (("visual",), ("--stride", "8"), "visual.stride: found 16, asked for 8"),
        (("visual",), ("--frame-rate", "25"), "visual.frame_rate: found 24.0, asked for 25.0"),
        (("visual",), ("--views-axis", "1"), "visual.views_axis: found 0, asked for 1"),
        (("visual",), ("--visual-extractor", "I3D"), "visual.extractor: found C3D, asked for I3D"),
        (("visual",), ("--text-tower", "x"), "visual.text_tower.encoder: found nothing, asked for x"),
    ],
)
def test_another_block_than_the_known_one_is_refused(
    project: Path, modalities: tuple[str, ...], options: tuple[str, ...], message: str
) -> None:
    """The block stays as it is, and files that it does not use would be counted as imported."""
    source = project.parent / "in"
    write_dataset(source, {"visual": 6, "audio": 3})
    adopt(source, "visual")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    output = adopt(source, *modalities, code=1, options=options)
    assert "params.yaml: datasets.own exists already" in output
    assert [line.strip() for line in output.splitlines() if "asked for" in line] == [message]
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    assert "6 files" in adopt(source, "visual", options=())


@pytest.mark.parametrize("spelt", ["Normal", "NORMAL"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_normal_in_other_case_is_not_an_anomaly(project: Path, spelt: str, everywhere: bool) -> None:
    source = project.parent / "in"
    videos = (
        VIDEOS.replace("normal", spelt) if everywhere else VIDEOS.replace("walk 1.mp4,normal", f"walk 1.mp4,{spelt}")
    )
    write_dataset(source, {"visual": 6}, videos=videos)
    before = (project / "params.yaml").read_bytes()
    output = adopt(source, "visual", code=1)
    assert f"videos.csv, line 4, column labels: '{spelt}' differs only in case from the label 'normal'" in output
    assert (project / "params.yaml").read_bytes() == before


def test_one_label_in_two_unicode_forms_is_one_class(project: Path) -> None:
    source = project.parent / "in"
    forms = [unicodedata.normalize(form, "émeute") for form in ("NFC", "NFD")]
    videos = VIDEOS.replace("fighting|riot", forms[0]).replace("fighting", forms[1])
    write_dataset(source, {"visual": 6}, videos=videos, segments=SEGMENTS.replace("fighting", forms[0]))
    adopt(source, "visual")
    assert read_params(project)["datasets"][NAME]["classes"] == ["normal", forms[0]]


@pytest.mark.parametrize(
    ("name", "message"),
    [("videos.csv", "videos.csv: is a file; name the folder"), ("nowhere", "nowhere: no such folder")],
)
def test_annotations_are_a_folder(project: Path, name: str, message: str) -> None:
    source = project.parent / "in"
    write_dataset(source, {"visual": 6})
    words = ("--visual", str(source / "visual"), "--annotations", str(source / name), "--dataset", NAME)
    assert message in avadclip("import-features", *words, code=1).replace("\n", " ")


def test_features_are_in_a_folder(project: Path) -> None:
    source = project.parent / "in"
    write_dataset(source, {"visual": 6})
    output = adopt(source, "visual", "audio", code=1).replace("\n", " ")
    assert "audio: no such folder; name the folder of the audio files as --audio" in output


@pytest.mark.parametrize("suffix", [".pt", ".PKL", ".mat"])
def test_files_of_other_types_are_told(project: Path, caplog: pytest.LogCaptureFixture, suffix: str) -> None:
    source = project.parent / "in"
    written = write_dataset(source, {"visual": 6})["visual"]
    told = f"({suffix.lower()}); convert them to .csv, .h5, .hdf5, .npy, .npz, .safetensors"
    (source / "visual/walk2.npy").rename(source / f"visual/walk2{suffix}")
    assert "no features of 'walk2' below" in adopt(source, "visual", code=1)
    assert f"{source / 'visual'}: left out 1 file of another type {told}" in caplog.messages
    for id_ in written.keys() - {"walk2"}:
        (source / f"visual/{id_}.npy").rename(source / f"visual/{id_}{suffix}")
    assert f"found no arrays of features, but 6 files of other types {told}" in adopt(source, "visual", code=1)


def test_views_on_the_second_axis(project: Path) -> None:
    source = project.parent / "in"
    for id_, values in write_dataset(source, {"visual": 6})["visual"].items():
        write_array(source / f"visual/{id_}.npy", np.stack([values] * 5, axis=1))
    assert "6 files" in adopt(source, "visual", options=("--views-axis", "1"))
    assert read_params(project)["datasets"][NAME]["visual"]["views_axis"] == 1


@pytest.mark.slow
def test_nothing_that_could_be_trained_is_an_error(project: Path) -> None:
    write_dataset(project.parent / "in", {"visual": 6})
    adopt(project.parent / "in", "visual")
    params = read_params(project)
    params["score"]["variants"] = ["audio_visual"]
    write_params(project, params)
    for stage in (prepare, extract_visual, extract_audio):
        stage.main(NAME)
    train.main(NAME, "audio_visual", "0")
    scoring.main(NAME, "audio_visual", "0")
    with pytest.raises(ConfigError, match="no detector of `score` can be trained on own: audio_visual: it takes audio"):
        evaluate.main(NAME)
