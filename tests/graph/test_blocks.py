"""Which stages a change of each block of params.yaml runs again: the real graph and the real ``dvc``, stages stubbed.

A stub writes something new whenever it runs, so everything that could be affected downstream is run as well.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.dvc_project import (
    DISTILL,
    EVERYTHING,
    EXTRACT_AUDIO,
    EXTRACT_VISUAL,
    FIGURES,
    LEARN,
    PACKAGE,
    RENDER,
    REPORT,
    ROOT,
    SCORE,
    SEE,
    change,
    clone,
    read_params,
    repro,
    write_params,
)

STUB = "import pathlib, sys, uuid\nfor out in map(pathlib.Path, sys.argv[1:]):\n"
STUB += "    out.parent.mkdir(parents=True, exist_ok=True)\n    out.write_text(uuid.uuid4().hex)\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped graph with stubs for scripts; everything has been run."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    (folder / "stub.py").write_text(STUB)
    yaml = YAML()
    graph = yaml.load(ROOT / "dvc.yaml")
    for stage in graph["stages"].values():
        body = stage.get("do", stage)
        body["cmd"] = " ".join(["python stub.py", *_outputs(body)])
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
        ("datasets.demo.visual.views", "five_crop", EXTRACT_VISUAL | LEARN),
        ("datasets.demo.visual.stride", 8, EXTRACT_VISUAL | EXTRACT_AUDIO | LEARN),
        ("datasets.demo.audio.window_seconds", 2.0, EXTRACT_AUDIO | LEARN),
        ("datasets.demo.training.seed", 7, LEARN),
        ("datasets.demo.training.loss_weights", {"binary": 1.0, "align": 2.0, "text": 0.0, "ukd": 0.5}, LEARN),
        ("extraction.workers", 1, set()),
        ("execution.engine", "ray", set()),
        # The visual student stands in where there is no sound, so every detector is scored again after it.
        ("train.audio_visual.fusion", "add", LEARN - {"train@demo-visual_baseline"}),
        (
            "train.visual_baseline.local_window",
            8,
            {"train@demo-visual_baseline", "score@demo-visual_baseline"} | SEE,
        ),
        (  # from now on imported, not trained
            "train.visual_baseline",
            {"released": {"path": "model.pth", "sha256": None}},
            {"train@demo-visual_baseline", "score@demo-visual_baseline"} | SEE,
        ),
        ("distill.audio_student.distillation", "mse", {"distill@demo-audio_student", "score@demo-audio_student"} | SEE),
        ("distill.visual_student.distillation", "mse", {"distill@demo-visual_student"} | PACKAGE | SCORE | SEE),
        ("teacher", "visual_baseline", DISTILL | PACKAGE | SCORE | SEE),
        ("compute.memory_gib", 1.0, set()),
        ("score.missing_audio", "visual_fallback", PACKAGE | SCORE | SEE),
        ("evaluate.alarm_threshold", 0.7, SEE),
        ("evaluate.strict.depth", 0.5, SEE),
        ("figures.n_videos", 3, FIGURES),
        ("report.players", 3, REPORT),
    ],
)
def test_a_change_runs_again_what_it_concerns(project: Path, key: str, value: object, expected: set[str]) -> None:
    change(project, key, value)
    assert repro(project) == expected


def test_every_block_is_in_the_table(project: Path) -> None:
    """A block that somebody adds to params.yaml has to be thought about here."""
    (mark,) = test_a_change_runs_again_what_it_concerns.pytestmark
    changed = {case[0].split(".")[0] for case in mark.args[1]}
    assert changed == set(read_params(project))


def test_a_variant_that_is_added_runs_alone(project: Path) -> None:
    params = read_params(project)
    params["train"]["audio_visual_concatenated"] = {"fusion": "concat_linear"}
    params["score"]["variants"].append("audio_visual_concatenated")
    write_params(project, params)
    name = "demo-audio_visual_concatenated"
    assert repro(project) == {f"train@{name}", f"score@{name}"} | SEE
