"""A changed threshold re-runs evaluation and what draws its results, and nothing else: the real ``dvc repro``."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from avadclip import config, paths
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.scoring import scores
from tests.support.dvc_project import FIGURES, REPORT, ROOT, SEE, change, clone, dvc, repro, write_yaml
from tests.support.evaluation_factory import make_case, make_scores

pytestmark = pytest.mark.slow

GRAPH = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
STAGES = ("evaluate", "figures", "report")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """These stages of the real graph with the real code, on ready-made scores of a small data set; the working
    directory. Nothing has been run."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    write_yaml(folder / "dvc.yaml", {"stages": {name: GRAPH[name] for name in STAGES}})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder)
        yield folder


def write_inputs(folder: Path) -> None:
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
    write_yaml(folder / "params.yaml", params.model_dump(mode="json"))


def test_metrics_and_plots_are_shown(project: Path) -> None:
    assert repro(project) == SEE
    shown = dvc(project, "metrics", "show", "--json")
    assert '"alignment"' in shown
    plots = dvc(project, "plots", "show", "--json")
    for name in ("precision_recall", "roc", "map_over_iou", "per_class", "reliability"):
        assert f"{name}.csv" in plots
    assert "DVC_METRIC" not in plots  # every anchor of the templates has been filled in


def test_what_a_change_reruns(project: Path) -> None:
    """Follows the test above. That DVC tracks every key of a block is the matter of test_graph_blocks.py."""
    assert repro(project) == set()
    change(project, "evaluate.alarm_threshold", 0.7)
    assert repro(project) == SEE
    change(project, "evaluate.iou_thresholds", [0.2, 0.5])
    change(project, "evaluate.strict.depth", 0.4)
    change(project, "evaluate.bootstrap_seed", 1)
    assert repro(project) == SEE
    change(project, "figures.n_videos", 2)
    assert repro(project) == FIGURES
    change(project, "report.players", 2)
    assert repro(project) == REPORT
    change(project, "score.missing_audio", "refuse")
    change(project, "extraction.workers", 7)
    assert repro(project) == set()
    paths.scores("demo", "visual_student").unlink()
    assert repro(project) == SEE


def test_no_stage_before_them_looks_at_thresholds() -> None:
    assert "evaluate" in GRAPH["evaluate"]["do"]["params"]
    for name in GRAPH.keys() - set(STAGES):
        tracked = GRAPH[name].get("do", GRAPH[name]).get("params", [])
        assert not [key for key in tracked if str(key).startswith(("evaluate", "figures"))], name
