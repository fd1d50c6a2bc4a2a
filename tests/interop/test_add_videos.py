"""``avadclip add-videos`` makes a folder and its table a data set, or says why it cannot."""

import re
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from avadclip import config
from avadclip.cli import app
from avadclip.config.editing import edited
from avadclip.datasets.load import load
from avadclip.encoders.weights import WAV2CLIP
from avadclip.io import sha256_of

SHIPPED = Path(__file__).parents[2] / "params.yaml"
NAMES = ("quiet 1", "quiet 2", "quiet 3", "riot 1", "riot 2", "riot 3")
LABELS = "video,labels\n" + "".join(f"{name}.mp4,{'riot' if 'riot' in name else 'normal'}\n" for name in NAMES)


@pytest.fixture(autouse=True)
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of videos beside the project, which is the working directory."""
    (tmp_path / "project").mkdir()
    (tmp_path / "clips").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("AVADCLIP_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / WAV2CLIP.name).write_bytes(b"weights")
    Path("params.yaml").write_text(SHIPPED.read_text())
    for name in NAMES:
        (tmp_path / "clips" / f"{name}.mp4").touch()
    (tmp_path / "clips" / "labels.csv").write_text(LABELS)
    return tmp_path / "clips"


def add(*words: str) -> Result:
    return CliRunner().invoke(app, ["add-videos", *words], env={"COLUMNS": "200"})


def test_a_folder_and_its_only_table_become_a_data_set(clips: Path) -> None:
    result = add("mine", "../clips")
    assert result.exit_code == 0, result.output
    assert "datasets.mine has 4 training and 2 test videos of the classes normal, riot; `dvc repro`" in result.stdout
    dataset = config.load().dataset("mine")
    assert (dataset.kind, dataset.videos, dataset.classes) == ("table", "../clips", ("normal", "riot"))
    pinned = sha256_of(Path("../weights") / WAV2CLIP.name)
    assert dataset.audio.weights.sha256 == pinned
    assert f"datasets.mine.audio.weights.sha256: pinned to {pinned}" in result.stdout
    assert "demo" in config.load().datasets
    # Editing the table changes the data set.
    (clips / "labels.csv").write_text(LABELS.replace("riot 1.mp4,riot", "riot 1.mp4,riot|fighting"))
    assert add("mine", "../clips").exit_code == 0
    assert config.load().dataset("mine").classes == ("normal", "fighting", "riot")
    labels = {video.id: video.labels for video in load(config.load().dataset("mine")).videos}
    assert labels["riot 1"] == ("riot", "fighting")


@pytest.mark.slow
def test_what_was_excluded_stays_so(clips: Path) -> None:
    add("mine", str(clips))
    text = re.sub(r"(  mine:\n(?:    .*\n)*?    exclude:) {}", r"\1 {quiet 1: why}", Path("params.yaml").read_text())
    Path("params.yaml").write_text(text)
    assert config.load().dataset("mine").exclude == {"quiet 1": "why"}
    add("mine", str(clips))
    assert config.load().dataset("mine").exclude == {"quiet 1": "why"}


def test_like_another_data_set_and_alone(clips: Path) -> None:
    demo = config.load()
    (clips / "segments.csv").write_text("video,label,start_seconds,end_seconds\nriot 1,riot,1,2\n")
    result = add("mine", str(clips), "--like", "demo", "--alone")
    assert result.exit_code == 0, result.output
    params = config.load()
    assert list(params.datasets) == ["mine"]
    assert params.worlds == {}
    mine = params.dataset("mine")
    assert (mine.visual, mine.audio) == (demo.dataset("demo").visual, demo.dataset("demo").audio)
    for name in ("audio_visual", "visual_student"):
        assert params.variant(name).settings_on("mine") == demo.variant(name).settings_on("demo")
    assert [segment.id for segment in load(mine).segments] == ["riot 1"]


def test_alone_can_be_repeated_after_an_error_in_the_table_and_after_none(clips: Path) -> None:
    words = ("mine", str(clips), "--alone", "--like", "demo")
    (clips / "labels.csv").write_text(LABELS + "gone.mp4,riot\n")
    assert add(*words).exit_code == 1
    assert Path("params.yaml").read_text() == SHIPPED.read_text()
    (clips / "labels.csv").write_text(LABELS)
    assert add(*words).exit_code == 0
    written = Path("params.yaml").read_text()
    again = add(*words)
    assert again.exit_code == 0, again.output
    assert "datasets.mine.visual, audio: stay as they are; `--like demo` is for a new data set" in again.stdout
    assert Path("params.yaml").read_text() == written


def test_after_an_error_the_links_are_as_they_were(clips: Path) -> None:
    add("mine", str(clips))
    (clips / "other.csv").write_text(LABELS + "gone.mp4,riot\n")
    assert add("mine", str(clips), "--labels", str(clips / "other.csv")).exit_code == 1
    assert Path("data/mine/annotations/videos.csv").samefile(clips / "labels.csv")
    assert add("more", str(clips), "--labels", str(clips / "other.csv")).exit_code == 1
    assert list(Path("data/more/annotations").iterdir()) == []


def test_imported_features_have_no_encoders(clips: Path) -> None:
    with edited(Path("params.yaml")) as content:
        content["datasets"]["theirs"] = {
            "kind": "features",
            "videos": "features",
            "annotations": "tables",
            "classes": ["normal", "riot"],
            "visual": {"extractor": "I3D", "stride": 16, "frame_rate": 30.0},
            "audio": {"extractor": None},
        }
    result = add("mine", str(clips), "--like", "theirs")
    assert (result.exit_code, "the features of 'theirs' were imported" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("labels", "messages"),
    [
        (LABELS.replace("1.mp4,normal", "1.mp4,Normal"), ["line 2, column labels: 'Normal' differs", "write `normal`"]),
        (
            LABELS.replace("2.mp4,riot", "2.mp4,fire|Riot").replace("3.mp4,riot", "3.mp4,RIOT"),
            [
                "line 6, column labels: 'Riot' differs only in case from the label 'riot'",
                "line 7, column labels: 'RIOT'",
            ],
        ),
    ],
)
def test_labels_that_differ_only_in_case_are_refused(clips: Path, labels: str, messages: list[str]) -> None:
    (clips / "labels.csv").write_text(labels)
    result = add("mine", str(clips))
    assert result.exit_code == 1
    assert [message for message in messages if message not in result.stderr] == []


def test_classes_are_composed(clips: Path) -> None:
    """Both Unicode forms of an accent are one class."""
    composed, decomposed = (unicodedata.normalize(form, "\u00e9meute") for form in ("NFC", "NFD"))
    text = LABELS.replace(",riot", f",{decomposed}").replace(f"1.mp4,{decomposed}", f"1.mp4,{composed}")
    (clips / "labels.csv").write_text(text, encoding="utf-8")
    assert add("mine", "../clips").exit_code == 0
    assert config.load().dataset("mine").classes == ("normal", composed)


@pytest.mark.parametrize(
    ("labels", "words", "message"),
    [
        (None, ("mine",), "expected videos.csv or one CSV of labels, found none; name it with --labels"),
        (LABELS, ("no name",), "'no name' is not a name for DVC"),
        (LABELS, ("mine", "--like", "nobody"), "no data set 'nobody'"),
        (LABELS, ("mine", "--labels", "gone.csv"), "gone.csv: no such file"),
        (LABELS.replace("riot\n", "normal\n"), ("mine",), "expected videos labelled 'normal' and others"),
        (LABELS.replace("normal\n", "riot\n"), ("mine",), "expected videos labelled 'normal' and others"),
        (LABELS + "gone.mp4,riot\nlost.mp4,riot\n", ("mine",), "'gone.mp4' below"),
        (LABELS + "gone.mp4,riot\nlost.mp4,riot\n", ("mine",), "'lost.mp4' below"),
    ],
)
def test_what_cannot_be_is_one_error(clips: Path, labels: str | None, words: tuple[str, ...], message: str) -> None:
    (clips / "labels.csv").unlink()
    if labels is not None:
        (clips / "labels.csv").write_text(labels)
    result = add(words[0], str(clips), *words[1:])
    assert result.exit_code == 1
    assert message in result.stderr
