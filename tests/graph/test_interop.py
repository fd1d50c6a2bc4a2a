"""The session of docs/released.md, command by command, on small released files."""

import json
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from avadclip.scoring import scores
from tests.support import pages
from tests.support import released_factory as released
from tests.support.dvc_project import CODE, avadclip, change, clone, dvc, ran, read_params, repro

pytestmark = pytest.mark.slow

WIDTH = 16
NAME = "xd_violence_released"
DETECTORS = ("visual_student", "audio_visual")
IMPORTS = {f"{stage}@{NAME}" for stage in ("prepare", "extract_visual", "extract_audio")}
TRAIN = {f"train@{NAME}-{variant}-0" for variant in DETECTORS}
SCORE = {f"score@{NAME}-{variant}-0" for variant in DETECTORS}
SEE = {f"{stage}@{NAME}" for stage in ("evaluate", "figures", "players", "report")}
PACKAGE = {f"package@{NAME}"}


def session() -> list[list[str]]:
    """The words of each command of the page, in order."""
    return [shlex.split(line) for line in pages.commands("docs/released.md")]


def git(folder: Path, *words: str) -> None:
    """Run ``git <words>`` with a repository on this machine in place of the authors'."""
    instead = f"url.{folder.parent / 'authors'}.insteadOf=https://github.com/WanshunSu/AVadCLIP"
    subprocess.run(["git", "-c", instead, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the files that the page asks for."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    released.write_release(folder / "released", width=WIDTH)
    (folder / "released" / "visual").rename(folder / "released" / "clip")
    (folder / "released" / "audio").rename(folder / "released" / "wav2clip")
    authors = tmp_path_factory.mktemp("authors")
    (folder / "released" / "list").rename(authors / "list")
    for command in ("init", "add --all", "-c user.name=A -c user.email=a@example.com commit --message list"):
        subprocess.run(["git", *command.split()], cwd=authors, check=True, capture_output=True)
    (folder.parent / "authors").symlink_to(authors)
    released.write_checkpoint(folder / "released" / "model_xd_t.pth", "teacher", width=WIDTH)
    released.write_checkpoint(folder / "released" / "model_xd_s.pth", "student", width=WIDTH)
    return folder


@pytest.fixture(scope="module")
def stages(project: Path) -> list[set[str]]:
    """Run every command of the page; return the stages that each ``dvc repro`` ran."""
    done = []
    for program, *words in session():
        if program == "dvc":
            done.append(ran(dvc(project, *words)))
        elif program == "git":
            git(project, *words)
        else:
            assert program == "avadclip"
            avadclip(project, *words)
    return done


def test_the_session_leads_to_metrics(project: Path, stages: list[set[str]]) -> None:
    assert stages[0] == CODE | IMPORTS | TRAIN | PACKAGE | SCORE | SEE
    metrics = json.loads((project / "results" / NAME / "metrics.json").read_text())
    assert set(metrics) == {*DETECTORS, "random", "videos"}
    assert metrics["videos"] == {"evaluated": 4, "excluded": 0}
    summary = (project / "results" / NAME / "summary.md").read_text()
    assert "86.04" in summary  # the published numbers are shown beside ours
    assert "released_test_selected" in summary

    # Frames as in the authors' code: the score of every snippet is repeated 16 times.
    file = project / "results" / NAME / "scores" / f"{NAME}.audio_visual.seed0.h5"
    scored = {video.id: video for video in scores.rows(scores.read(file))}
    truth, found = [], []
    for id_, n in released.TEST.items():
        frames = np.zeros(16 * n)
        for _, start, end in released.ANNOTATIONS.get(id_, []):
            frames[start:end] = 1
        truth.append(frames)
        found.append(np.repeat(1 - scored[id_].class_probabilities[:, 0], 16))
    expected = 100 * average_precision_score(np.concatenate(truth), np.concatenate(found))
    assert metrics["audio_visual"]["released_AP"] == pytest.approx(expected, rel=1e-6)


def test_files_that_are_absent_are_not_asked_for(project: Path, stages: list[set[str]]) -> None:
    """A colleague pulls what DVC knows and needs neither .npy nor .pth files."""
    places = ("released", f"data/{NAME}/npy", f"data/{NAME}/annotations")
    (project / "away").mkdir()
    for place in places:
        (project / place).rename(project / "away" / Path(place).name)
    change(project, "evaluate.alarm_threshold", 0.6)
    assert ran(dvc(project, "repro", "--allow-missing")) == SEE - {f"players@{NAME}"}
    for place in places:
        (project / "away" / Path(place).name).rename(project / place)


def test_afterwards_it_is_a_graph_like_any_other(project: Path, stages: list[set[str]]) -> None:
    """Follows the test above."""
    assert repro(project) == set()
    assert avadclip(project, "features", "verify").count("no problems") == 2

    # Another checkpoint under the same name has another hash, so it is imported and scored again; the other is not.
    released.write_checkpoint(project / "released" / "model_xd_t.pth", "teacher", width=WIDTH, seed=1)
    avadclip(project, *next(words[1:] for words in session() if "released/model_xd_t.pth" in words))
    assert repro(project) == CODE | {f"train@{NAME}-audio_visual-0", f"score@{NAME}-audio_visual-0"} | PACKAGE | SEE

    # Other bytes in one file: the manifest follows, and one video is imported again.
    path = next((project / "released" / "wav2clip").rglob("test.talk__#1_label_A.npy"))
    np.save(path, np.load(path) * 2)
    output = dvc(project, "repro", f"extract_audio@{NAME}")
    assert ran(output) == {f"prepare@{NAME}", f"extract_audio@{NAME}"}
    assert "9 cached, 1 encoded" in output


def test_the_exported_files_are_a_release_again(project: Path, stages: list[set[str]]) -> None:
    params = read_params(project)
    exported = project / "exported"
    assert {path.name for path in (exported / "list").iterdir()} == {
        "annotations.txt",
        "annotations_multiclasses.txt",
        "xd_CLIP_rgb.csv",
        "xd_CLIP_rgbtest.csv",
    }
    assert len(list((exported / "visual").iterdir())) == 10 * len(released.TRAIN | released.TEST)
    assert len(list((exported / "audio").iterdir())) == len(released.TRAIN | released.TEST)
    assert list(params["datasets"]) == [NAME]
