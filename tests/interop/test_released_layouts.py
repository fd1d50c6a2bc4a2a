"""Stand-ins for features that other papers released, in their layouts, go through the command into the store."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from avadclip import config, paths
from avadclip.cli import app
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.store import FeatureFolder
from pipeline import extract_audio, extract_visual, prepare
from tests.support import pages
from tests.support.arrays_factory import write_array
from tests.support.dvc_project import ROOT

NAME = "theirs"
UCF_TIMES = "Temporal_Anomaly_Annotation.txt"
FIGHT, WALK = "A.Film__#00-01-00_00-02-00_label_B1-0-0", "A.Film__#00-03-00_00-04-00_label_A"
BOTH, QUIET = "Another__#0-1-0_0-2-0_label_B2-G-0", "Another__#0-5-0_0-6-0_label_A"
SNIPPETS = {FIGHT: 6, WALK: 5, BOTH: 7, QUIET: 4, "Abuse001_x264": 6, "Normal_Videos001_x264": 5} | {
    "Arson011_x264": 7,
    "Normal_Videos_003_x264": 4,
}


@pytest.fixture(autouse=True)
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a folder for released files; the working directory has the shipped parameters."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(project)
    return tmp_path / "release"


def write_views(folder: Path, id_: str, views: Iterable[int], width: int) -> list[str]:
    """Files whose values are the number of the view."""
    names = [f"{id_}__{view}.npy" for view in views]
    for view, name in zip(views, names, strict=True):
        write_array(folder / name, np.full((SNIPPETS[id_], width), view, np.float32))
    return names


def write_csv(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("path,label\n" + "".join(f"/home/x/Features/{name},{label}\n" for name, label in rows))


def vadclip_ucf(folder: Path) -> None:
    """View 5 is tested; there are more files than the lists name."""
    files, rows = folder / "visual", {"": [], "test": []}
    for id_, label in (("Abuse001_x264", "Abuse"), ("Normal_Videos001_x264", "Normal")):
        rows[""] += [(name, label) for name in write_views(files / label, id_, range(10), 512)]
    for id_, label in (("Arson011_x264", "Arson"), ("Normal_Videos_003_x264", "Normal")):
        rows["test"] += [(name, label) for name in write_views(files / label, id_, range(10), 512)[5:6]]
    for split, listed in rows.items():
        write_csv(folder / "list" / f"ucf_CLIP_rgb{split}.csv", listed)
    (folder / "list" / UCF_TIMES).write_text(
        "Arson011_x264  Arson  16  32  -1  -1  \nNormal_Videos_003_x264  Normal  -1  -1  -1  -1  \n"
    )


def rewrite(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def write_annotations(folder: Path) -> None:
    """The second file lacks one of the two events that the first one has."""
    (folder / "annotations.txt").write_text(f"{BOTH} 16 32 48 64\n")
    (folder / "annotations_multiclasses.txt").write_text(f"{BOTH} B2 16 32\n")


def vadclip_xd(folder: Path) -> None:
    files = folder / "visual"
    train = [(name, "B1-0-0") for name in write_views(files, FIGHT, range(10), 512)]
    train += [(name, "A") for name in write_views(files, WALK, range(10), 512)]
    test = [(write_views(files, BOTH, range(10), 512)[0], "B2-G-0"), (write_views(files, QUIET, range(1), 512)[0], "A")]
    write_csv(folder / "list" / "xd_CLIP_rgb.csv", train)
    write_csv(folder / "list" / "xd_CLIP_rgbtest.csv", test)
    write_annotations(folder / "list")


def i3d(folder: Path) -> None:
    """The sound of one video is a snippet shorter than its pictures."""
    lists: dict[str, list[str]] = {"rgb": [], "rgb_test": [], "audio": [], "audio_test": []}
    for split, ids in (("", (FIGHT, WALK)), ("_test", (BOTH, QUIET))):
        for id_ in ids:
            lists[f"rgb{split}"] += write_views(folder / "visual", id_, range(5), 1024)
            name = f"{id_}__vggish.npy"
            sound = np.ones((SNIPPETS[id_] - (id_ == FIGHT), 128), np.float32)
            write_array(folder / "audio" / name, sound)
            lists[f"audio{split}"].append(name)
    (folder / "list").mkdir()
    for list_, names in lists.items():
        (folder / "list" / f"{list_}.list").write_text("".join(f"/media/x/{name}\n" for name in names))
    write_annotations(folder / "list")


@pytest.mark.slow
def test_the_commands_of_the_page() -> None:
    """The folders have the names that the page uses."""
    for write, release, names in (
        (vadclip_ucf, "VadCLIP", {"visual": "UCFClipFeatures"}),
        (i3d, "XDVioDet", {"visual": "i3d-features", "audio": "vggish-features"}),
    ):
        write(Path(release))
        for ours, theirs in names.items():
            (Path(release) / ours).rename(theirs)
    for command in pages.commands("docs/features.md", "Features that others released"):
        done = CliRunner().invoke(app, command.split()[1:])
        assert done.exit_code == 0, done.output
        assert "has 2 training and 2 test videos" in done.output


def adopt(release: Path, *modalities: str, code: int = 0) -> str:
    folders = [word for modality in modalities for word in (f"--{modality}", str(release / modality))]
    words = ("import-features", *folders, "--annotations", str(release / "list"), "--dataset", NAME, "--alone")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done.output


def contents() -> dict[Path, bytes | Path]:
    """Parameters and data, and what each file holds or where it leads."""
    files = [Path("params.yaml"), *(path for path in Path("data").rglob("*") if not path.is_dir())]
    return {path: path.readlink() if path.is_symlink() else path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "modalities", "train", "test", "segments", "tested_view"),
    [
        (
            vadclip_ucf,
            ("visual",),
            {"Abuse001_x264": ("abuse",), "Normal_Videos001_x264": ("normal",)},
            {"Arson011_x264": ("arson",), "Normal_Videos_003_x264": ("normal",)},
            [("Arson011_x264", "arson", 16, 32)],
            5,
        ),
        (
            vadclip_xd,
            ("visual",),
            {FIGHT: ("fighting",), WALK: ("normal",)},
            {BOTH: ("shooting", "explosion"), QUIET: ("normal",)},
            [(BOTH, "shooting", 16, 32), (BOTH, "*", 16, 32), (BOTH, "*", 48, 64)],
            0,
        ),
        (
            i3d,
            ("visual", "audio"),
            {FIGHT: ("fighting",), WALK: ("normal",)},
            {BOTH: ("shooting", "explosion"), QUIET: ("normal",)},
            [(BOTH, "shooting", 16, 32), (BOTH, "*", 16, 32), (BOTH, "*", 48, 64)],
            0,
        ),
    ],
)
def test_a_release_becomes_a_data_set(
    release: Path,
    write: Callable[[Path], None],
    modalities: tuple[str, ...],
    train: dict[str, tuple[str, ...]],
    test: dict[str, tuple[str, ...]],
    segments: list[tuple[str, str, int, int]],
    tested_view: int,
) -> None:
    write(release)
    first = adopt(release, *modalities)
    assert "has 2 training and 2 test videos" in first
    for stage in (prepare, extract_visual, extract_audio):
        stage.main(NAME)
    videos = read_manifest(paths.manifest(NAME))
    for split, expected in (("train", train), ("test", test)):
        assert {video.id: video.labels for video in videos if video.split == split} == expected
    found = read_ground_truth(paths.ground_truth(NAME))
    assert sorted((s.id, s.label, s.start_frame, s.end_frame) for s in found) == sorted(segments)
    visual = FeatureFolder(paths.features(NAME, "visual"))
    for id_ in test:
        assert (visual.read(id_).values[0] == tested_view).all()
    n_views = 5 if write is i3d else 10
    for id_ in train:
        values = visual.read(id_).values
        assert values.shape[:2] == (n_views, SNIPPETS[id_])
        np.testing.assert_array_equal(values[:, 0, 0], np.arange(n_views))
    if "audio" in modalities:
        audio = FeatureFolder(paths.features(NAME, "audio")).read(FIGHT)
        assert audio.values.shape == (6, 128)
        assert audio.valid.tolist() == [True] * 5 + [False]  # where it is too short there is no sound
    tower = config.load().dataset(NAME).visual.text_tower
    assert (tower is None) == (write is i3d)
    before = contents()
    assert adopt(release, *modalities) == first  # a second time changes nothing
    assert contents() == before


def test_an_annotated_class_that_the_name_lacks_is_a_label_too(release: Path) -> None:
    vadclip_xd(release)
    (release / "list" / "annotations_multiclasses.txt").write_text(f"{BOTH} B4 16 32 G 48 64\n")
    adopt(release, "visual")
    prepare.main(NAME)
    (labels,) = [video.labels for video in read_manifest(paths.manifest(NAME)) if video.id == BOTH]
    assert labels == ("shooting", "explosion", "riot")


def test_pictures_alone_of_a_release_with_sound(release: Path) -> None:
    i3d(release)
    adopt(release, "visual")
    assert config.load().dataset(NAME).modalities == ("visual",)


@pytest.mark.parametrize(
    ("write", "damage", "modalities", "said"),
    [
        (vadclip_ucf, lambda lists: None, ("visual", "audio"), "--audio: the lists name no such files; leave it out"),
        (
            vadclip_ucf,
            lambda lists: (lists / "ucf_CLIP_rgbtest.csv").unlink(),
            ("visual",),
            r"ucf_CLIP_rgbtest.csv: no such file; it belongs to the lists beside it",
        ),
        (
            vadclip_ucf,
            lambda lists: rewrite(lists / UCF_TIMES, "Arson011", "Arson11"),
            ("visual",),
            f"{UCF_TIMES}: no line for anomalous test videos: 1: Arson011_x264",
        ),
        (
            vadclip_ucf,
            lambda lists: rewrite(lists / UCF_TIMES, "Normal  -1  -1", "Arson  5  9"),
            ("visual",),
            f"{UCF_TIMES}: lines for videos that are not anomalous test videos: 1: Normal_Videos_003_x264",
        ),
        (
            vadclip_ucf,
            lambda lists: rewrite(lists / UCF_TIMES, "  Arson", "  Normal"),
            ("visual",),
            f"{UCF_TIMES}, line 1: expected -1 four times after the class Normal",
        ),
        (
            vadclip_xd,
            lambda lists: (lists / "annotations.txt").unlink(),
            ("visual",),
            "annotations.txt: no such file; XD-Violence's project page has it",
        ),
        (
            i3d,
            lambda lists: (lists / "rgb.list").write_text(f"/x/{FIGHT}.npy\n"),
            ("visual",),
            "rgb.list, line 1: expected <id>__<view>.npy",
        ),
        (
            i3d,
            lambda lists: (lists / "rgb.list").write_text((lists / "rgb_test.list").read_text()),
            ("visual",),
            "2 videos are in both lists",
        ),
        (
            i3d,
            lambda lists: (lists / "audio.list").write_text(f"/x/{FIGHT}.npy\n"),
            ("visual", "audio"),
            "expected <id>__vggish.npy",
        ),
    ],
)
def test_what_does_not_belong_together_is_told(
    release: Path,
    write: Callable[[Path], None],
    damage: Callable[[Path], object],
    modalities: tuple[str, ...],
    said: str,
) -> None:
    write(release)
    (release / "audio").mkdir(exist_ok=True)
    damage(release / "list")
    assert said in " ".join(adopt(release, *modalities, code=1).split())


def test_a_listed_file_that_is_missing_is_named(release: Path) -> None:
    vadclip_ucf(release)
    next((release / "visual").rglob("Abuse001_x264__3.npy")).unlink()
    (release / "visual" / "Arson" / "Arson011_x264__5.npy").unlink()
    said = " ".join(adopt(release, "visual", code=1).split())
    assert "no features of 'Arson011_x264' below" in said
