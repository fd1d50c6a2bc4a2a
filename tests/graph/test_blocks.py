"""Which stages a change in each block of params.yaml runs again, by the real graph and the real ``dvc`` with stubs.

A stub writes something new whenever it runs, so everything that could be affected downstream is run as well.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.dvc_project import (
    CODE,
    DISTILL,
    EVERYTHING,
    EXTRACT_AUDIO,
    EXTRACT_VISUAL,
    FIGURES,
    LEARN,
    PACKAGE,
    PLAYERS,
    RENDER,
    REPORT,
    ROOT,
    SCORE,
    SEE,
    THRESHOLD,
    TRAIN,
    change,
    clone,
    dvc,
    read_params,
    repro,
    write_params,
)

SCORE_OF_STUDENTS = {"score@demo-visual_student-0", "score@demo-audio_student-0"}


def of_seed(seed: int) -> set[str]:
    """Everything that is trained or scored with one seed."""
    return {stage.removesuffix("0") + str(seed) for stage in TRAIN | DISTILL | SCORE}


pytestmark = pytest.mark.slow

STUB = 'for out in "$@"; do mkdir -p "${out%/*}"; cat /proc/sys/kernel/random/uuid > "$out"; done\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped graph with stubs for scripts; everything has been run."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    (folder / "stub.sh").write_text(STUB)
    yaml = YAML()
    graph = yaml.load(ROOT / "dvc.yaml")
    for name, stage in graph["stages"].items():
        if name == "code":  # the other stages depend on what it writes
            continue
        body = stage.get("do", stage)
        body["cmd"] = " ".join(["sh stub.sh", *_outputs(body)])
    with (folder / "dvc.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(graph, file)
    assert repro(folder) == EVERYTHING
    return folder


def _outputs(body: dict[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for out in body.get(kind, []):
            yield out if isinstance(out, str) else next(iter(out))


def test_nothing_changed(project: Path) -> None:
    assert repro(project) == set()


def of(*stages: str) -> set[str]:
    """Stages with the shipped seed: ``train:audio_visual`` -> ``train@demo-audio_visual-0``."""
    return {f"{name.partition(':')[0]}@demo-{name.partition(':')[2]}-0" for name in stages}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("worlds.demo.seed", 2, EVERYTHING),
        ("datasets.demo.exclude", {"train_0000": "a reason"}, EVERYTHING - RENDER),
        (
            "datasets.demo.classes",
            ["normal", "fighting", "shooting", "riot", "abuse", "car accident", "explosion", "flood"],
            EVERYTHING - RENDER,
        ),
        ("datasets.demo.visual.views", "five_crop", CODE | EXTRACT_VISUAL | LEARN),
        ("datasets.demo.visual.stride", 8, CODE | EXTRACT_VISUAL | EXTRACT_AUDIO | LEARN),
        ("datasets.demo.audio.window_seconds", 2.0, CODE | EXTRACT_AUDIO | LEARN),
        ("datasets.demo.selection.by", "validation", CODE | LEARN),
        ("extraction.workers", 1, set()),
        ("execution.engine", "ray", set()),
        # A detector's scores do not depend on another detector, except that students depend on their teacher.
        (
            "train.audio_visual.fusion",
            "add",
            CODE | of("train:audio_visual", "score:audio_visual") | DISTILL | SCORE_OF_STUDENTS | SEE,
        ),
        (
            "train.visual_baseline.local_window",
            8,
            CODE | of("train:visual_baseline", "score:visual_baseline") | SEE,
        ),
        (  # imported from now on, not trained
            "train.visual_baseline",
            {"released": {"path": "model.pth", "sha256": None}},
            CODE | of("train:visual_baseline", "score:visual_baseline") | SEE,
        ),
        (
            "distill.audio_student.distillation",
            "mse",
            CODE | of("distill:audio_student", "score:audio_student") | SEE,
        ),
        (
            "distill.visual_student.distillation",
            "mse",
            CODE | of("distill:visual_student", "score:visual_student") | SEE,
        ),
        ("train.ensemble.members", 8, CODE | of("train:ensemble", "score:ensemble") | PACKAGE | SEE),
        ("teacher", "visual_baseline", CODE | DISTILL | SCORE_OF_STUDENTS | SEE),
        ("seeds", [0, 7], CODE | of_seed(7) | PACKAGE | SEE),
        ("compute.memory_gib", 1.0, set()),
        ("score.missing_audio", "fallback", CODE | PACKAGE | SEE),
        ("score.detector", "audio_visual", CODE | PACKAGE | SEE),
        ("evaluate.alarm_threshold", 0.7, THRESHOLD),
        ("evaluate.alarm_threshold", {"false_alarms_per_hour": 1}, THRESHOLD),
        ("evaluate.alarms.pad_seconds", 1.0, THRESHOLD),
        ("evaluate.strict.depth", 0.5, THRESHOLD),  # includes figures, because a stub's alarm.json is never the same
        ("figures.n_videos", 3, FIGURES),
        ("report.players", 3, PLAYERS | REPORT),
    ],
)
def test_a_change_runs_again_what_it_concerns(project: Path, key: str, value: object, expected: set[str]) -> None:
    change(project, key, value)
    assert repro(project) == expected


def test_every_block_is_in_the_table(project: Path) -> None:
    """A block that is added to params.yaml needs a row in the table."""
    marks = test_a_change_runs_again_what_it_concerns.pytestmark
    (mark,) = (mark for mark in marks if mark.name == "parametrize")
    changed = {case[0].split(".")[0] for case in mark.args[1]}
    assert changed == set(read_params(project))


def test_a_variant_that_is_added_or_removed_runs_alone(project: Path) -> None:
    params = read_params(project)
    params["train"]["deep_mil"] = {"kind": "deep_mil"}
    params["score"]["variants"].append("deep_mil")
    write_params(project, params)
    ran = repro(project)
    assert {stage for stage in ran if "deep_mil" in stage} == {
        f"{stage}@demo-deep_mil-{seed}" for stage in ("train", "score") for seed in params["seeds"]
    }
    assert {stage for stage in ran if "deep_mil" not in stage} == CODE | SEE
    del params["train"]["deep_mil"]
    params["score"]["variants"].remove("deep_mil")
    write_params(project, params)
    assert repro(project) == SEE  # what stage `code` wrote before comes back from DVC's run cache


def everything_of(*variants: str) -> set[str]:
    """Training and scoring of variants, with all seeds of the project."""
    return {
        f"{stage}@demo-{variant}-{seed}"
        for variant in variants
        for stage in ("distill" if "student" in variant else "train", "score")
        for seed in (0, 7)
    }


PAPERS = everything_of("audio_visual", "visual_baseline", "visual_student", "audio_student")
ENSEMBLES = everything_of("ensemble", "visual_ensemble")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("avadclip/detectors/mine.py", CODE),  # a new detector
        ("avadclip/detectors/vadclip.py", CODE),  # one that no variant uses
        (
            "avadclip/detectors/student.py",
            CODE | everything_of("visual_baseline", "visual_student", "audio_student") | SEE,
        ),
        ("avadclip/detectors/mil_head.py", CODE | ENSEMBLES | PACKAGE | SEE),
        ("avadclip/detectors/parts/fusion.py", CODE | PAPERS | PACKAGE | SEE),
        ("avadclip/training/loop.py", CODE | PAPERS | ENSEMBLES | PACKAGE | SEE),
        ("avadclip/evaluation/metrics.py", CODE | THRESHOLD),
        ("avadclip/report/assets/viewer.css", CODE | REPORT),
        ("avadclip/commands/doctor.py", CODE),
    ],
)
def test_a_change_of_code_runs_again_those_that_use_it(project: Path, file: str, expected: set[str]) -> None:
    """Follows the tests above: the visual baseline is a released checkpoint by now, which may be of a student."""
    path = project / file
    path.write_text((path.read_text() if path.exists() else "") + ("\n# changed" if path.suffix == ".py" else "\n"))
    assert repro(project) == expected


def test_a_name_that_is_shell_is_refused_before_any_shell_sees_it(project: Path) -> None:
    params = read_params(project)
    params["datasets"]["x; touch pwned"] = params["datasets"]["demo"]
    write_params(project, params)
    with pytest.raises(AssertionError, match=r"datasets: 'x; touch pwned'.*letters"):
        dvc(project, "repro")
    assert not (project / "pwned").exists()
