"""A changed threshold re-runs evaluation and what draws its results, and nothing else: the real ``dvc repro``."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_factory import make_case, make_scores
from ruamel.yaml import YAML

from avadclip import config, paths, scores
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest

ROOT = Path(__file__).parents[1]
STAGES = ("evaluate", "figures")


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def write_yaml(path: Path, content: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(content, file)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two stages of the real graph with the real code, on ready-made scores of a small data set."""
    for name in ("avadclip", "pipeline"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    graph = read_yaml(ROOT / "dvc.yaml")["stages"]
    write_yaml(tmp_path / "dvc.yaml", {"stages": {name: graph[name] for name in STAGES}})
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    case = make_case(np.random.default_rng(1))
    write_manifest(paths.manifest("demo"), case.videos)
    write_ground_truth(paths.ground_truth("demo"), case.segments)
    for seed, variant in enumerate(("audio_visual", "visual_student")):
        made = make_scores(case.videos, case.classes, 4, np.random.default_rng(seed), variant=variant)
        scores.write(paths.scores("demo", variant), made)
    recipe = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
    demo = {"kind": "table", "videos": "videos", "annotations": "annotations", "classes": list(case.classes)}
    params = config.validate(
        {
            "datasets": {"demo": demo | {"visual": recipe | {"stride": 4}, "audio": recipe}},
            "evaluate": {"bootstrap_resamples": 5},
            "figures": {"n_videos": 1},
        },
        origin="params.yaml",
    )
    write_yaml(tmp_path / "params.yaml", params.model_dump(mode="json"))
    dvc("init", "--no-scm", "--quiet")
    return tmp_path


def dvc(*words: str) -> str:
    # The stages have to find this interpreter, whichever way the tests were started.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": search, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def repro() -> set[str]:
    """Run the graph; which stages did anything."""
    return set(re.findall(r"Running stage '(\w+)@demo'", dvc("repro")))


def change(project: Path, key: str, value: object) -> None:
    params = read_yaml(project / "params.yaml")
    *sections, last = key.split(".")
    section = params
    for name in sections:
        section = section[name]
    assert section[last] != value
    section[last] = value
    write_yaml(project / "params.yaml", params)


def test_what_a_change_reruns(project: Path) -> None:
    assert repro() == {"evaluate", "figures"}
    assert repro() == set()
    for key, value in (
        ("evaluate.alarm_threshold", 0.7),
        ("evaluate.iou_thresholds", [0.2, 0.5]),
        ("evaluate.strict.depth", 0.4),
        ("evaluate.bootstrap_seed", 1),
    ):
        change(project, key, value)
        assert repro() == {"evaluate", "figures"}, key
    change(project, "figures.n_videos", 2)
    assert repro() == {"figures"}
    change(project, "score.missing_audio", "refuse")
    change(project, "extraction.workers", 7)
    assert repro() == set()
    paths.scores("demo", "visual_student").unlink()
    assert repro() == {"evaluate", "figures"}


def test_metrics_and_plots_are_shown(project: Path) -> None:
    repro()
    shown = dvc("metrics", "show", "--json")
    assert '"alignment"' in shown
    shutil.copytree(ROOT / ".dvc" / "plots", project / ".dvc" / "plots")
    plots = dvc("plots", "show", "--json")
    for name in ("precision_recall", "roc", "map_over_iou", "per_class", "reliability"):
        assert f"{name}.csv" in plots
    assert "DVC_METRIC" not in plots  # every anchor of the templates has been filled in


def test_no_stage_before_them_looks_at_thresholds() -> None:
    graph = read_yaml(ROOT / "dvc.yaml")["stages"]
    assert "evaluate" in graph["evaluate"]["do"]["params"]
    for name in graph.keys() - set(STAGES):
        tracked = graph[name].get("do", graph[name]).get("params", [])
        assert not [key for key in tracked if str(key).startswith(("evaluate", "figures"))], name
