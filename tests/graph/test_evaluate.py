"""A changed threshold re-runs evaluation and what draws its results, and nothing else: the real ``dvc repro``."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from avadclip import config, paths
from avadclip.datasets import csv_file
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Video
from avadclip.prediction.alarm import read_alarm
from avadclip.prediction.familiarity import DISTANCES_HEADER
from avadclip.scoring import scores
from tests.support.dvc_project import (
    CODE,
    FIGURES,
    PLAYERS,
    REPORT,
    ROOT,
    SEE,
    THRESHOLD,
    change,
    clone,
    dvc,
    read_params,
    repro,
    write_params,
    write_yaml,
)
from tests.support.evaluation_factory import Case, make_case, make_scores, make_video
from tests.support.media_factory import tone, write_video

pytestmark = pytest.mark.slow

GRAPH = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
STAGES = ("evaluate", "figures", "players", "report")
VIDEOS = Path("data/demo/videos")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory: `STAGES` of the real graph with the real code, with made-up scores of a few video files;
    nothing has been run."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    write_yaml(folder / "dvc.yaml", {"stages": {name: GRAPH[name] for name in ("code", *STAGES)}})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder)
        yield folder


def write_inputs(folder: Path) -> None:
    case = make_case(np.random.default_rng(1))
    VIDEOS.mkdir(parents=True)
    for video in case.videos:
        sound = tone(video.n_frames / 24)
        write_video(VIDEOS / video.path, n_frames=video.n_frames, frame_rate=24, audio=sound)
    videos = tuple(replace(video, path=str(VIDEOS / video.path)) for video in case.videos)
    normal = make_video("normal", 2400, ["normal"], split="train", content_hash="1" * 64)
    write_manifest(paths.manifest("demo"), (*videos, normal))
    write_ground_truth(paths.ground_truth("demo"), case.segments)
    for variant in ("audio_visual", "visual_student"):
        write_scores(case, normal, variant, 0)
    write_scores(case, normal, "audio_visual", 1)
    csv_file.write(paths.distances("demo"), DISTANCES_HEADER, [(video.id, "0.5") for video in videos])
    recipe = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
    demo = {"kind": "table", "videos": "videos", "annotations": "annotations", "classes": list(case.classes)}
    params = config.validate(
        {
            "datasets": {
                "demo": demo | {"visual": recipe | {"stride": 4}, "audio": recipe, "selection": {"by": "last"}}
            },
            "train": {"audio_visual": {"kind": "audio_visual"}},
            "distill": {"visual_student": {"kind": "student"}},
            "score": {"variants": ["audio_visual", "visual_student"]},
            "evaluate": {"bootstrap_resamples": 5},
            "figures": {"n_videos": 1},
            "report": {"players": 3},
        },
        origin="params.yaml",
    )
    write_yaml(folder / "params.yaml", params.model_dump(mode="json"))


def write_scores(case: Case, normal: Video, variant: str, seed: int) -> None:
    rng = np.random.default_rng([seed, len(variant)])
    for place, videos in ((paths.scores, case.videos), (paths.normal_scores, (normal,))):
        scores.write(
            place("demo", variant, seed), make_scores(videos, case.classes, 4, rng, variant=variant, seed=seed)
        )


def page() -> dict:
    """The index that the page reads before any video is chosen."""
    text = (paths.report("demo") / "report.html").read_text()
    return json.loads(re.search(r'<script type="application/json" id="index">(.*?)</script>', text, re.DOTALL)[1])


def test_metrics_and_plots_are_shown(project: Path) -> None:
    assert repro(project) == CODE | SEE
    shown = dvc(project, "metrics", "show", "--json")
    assert '"released_mAP"' in shown
    plots = dvc(project, "plots", "show", "--json")
    for name in ("precision_recall", "roc", "map_over_iou", "per_class", "reliability", "alarms"):
        assert f"{name}.csv" in plots
    assert "DVC_METRIC" not in plots  # every anchor of the templates has been filled in


def test_the_page_plays_copies_that_are_not_in_the_cache(project: Path) -> None:
    """Follows the test above. What is not in the cache cannot be pushed."""
    played = [row for row in page()["videos"] if row["media"]]
    assert [row["media"] for row in played] == [f"../players/{n:04d}.mp4" for n in (1, 2, 3)]
    for row in played:
        copy = (paths.report("demo") / row["media"]).read_bytes()
        assert copy == (VIDEOS / f"{row['id']}.mp4").read_bytes()
        assert (paths.report("demo") / row["sound"]).is_file()
        cached = [path for path in (project / ".dvc/cache").rglob("*") if path.is_file() and path.read_bytes() == copy]
        assert cached == []


def test_a_threshold_opens_no_video(project: Path) -> None:
    """Follows the tests above: the videos become unreadable, and only what has to be drawn from them needs them."""
    assert repro(project) == set()
    before = page()
    for path in VIDEOS.iterdir():
        path.write_bytes(b"no video")
    change(project, "evaluate.alarm_threshold", 0.7)
    assert repro(project) == THRESHOLD
    after = page()
    assert {row["threshold"] for row in after["videos"]} == {0.7}
    for key in ("id", "media", "sound", "seconds"):
        assert [row[key] for row in after["videos"]] == [row[key] for row in before["videos"]]
    change(project, "report.players", 2)
    with pytest.raises(AssertionError, match="videos are not as stage `prepare` read them"):
        repro(project)
    for path in VIDEOS.iterdir():
        path.unlink()  # as on a machine that has none
    assert repro(project) == PLAYERS | REPORT
    assert [row["media"] for row in page()["videos"]] == [None] * 6


def test_what_a_change_reruns(project: Path) -> None:
    """Follows the tests above. test_blocks.py checks that DVC tracks every key of a block."""
    assert repro(project) == set()
    change(project, "evaluate.iou_thresholds", [0.2, 0.5])
    change(project, "evaluate.strict.depth", 0.4)
    change(project, "evaluate.bootstrap_seed", 1)
    assert repro(project) == THRESHOLD - FIGURES
    change(project, "figures.n_videos", 2)
    assert repro(project) == FIGURES
    change(project, "evaluate.alarm_branch", "classification")
    assert repro(project) >= THRESHOLD | PLAYERS
    change(project, "extraction.workers", 7)
    assert repro(project) == set()


def test_a_budget_reruns_what_a_level_does(project: Path) -> None:
    """Follows the tests above. Figures and page use the level that was chosen."""
    before = read_params(project)["evaluate"]["alarm_threshold"]
    change(project, "evaluate.alarm_threshold", {"false_alarms_per_hour": 100})
    assert repro(project) == THRESHOLD
    detail = json.loads(paths.details("demo").read_text())["detectors"]["audio_visual"]
    (chosen,) = detail["levels"]
    assert (chosen["part"], chosen["n_videos"]) == ("training", 1)
    assert read_alarm(paths.model("demo")).threshold == chosen["level"]
    assert {row["threshold"] for row in page()["videos"]} == {chosen["level"]}
    assert repro(project) == set()
    change(project, "evaluate.alarm_threshold", before)
    assert repro(project) <= THRESHOLD  # nothing, if it comes back from DVC's run cache
    assert {row["threshold"] for row in page()["videos"]} == {before} != {chosen["level"]}
    assert repro(project) == set()


def test_a_variant_that_was_removed_is_in_no_result(project: Path) -> None:
    """Follows the tests above. Its score file is still there, and so is one of a seed that is not asked for."""
    assert "visual_student" in (paths.summary("demo")).read_text()
    params = read_params(project)
    params["score"]["variants"].remove("visual_student")
    write_params(project, params)
    output = dvc(project, "repro")
    assert "name them: demo.audio_visual.seed1.h5, demo.visual_student.seed0.h5" in output
    metrics = json.loads(paths.metrics("demo").read_text())
    assert list(metrics) == ["videos", "audio_visual", "random"]
    assert [detector["name"] for detector in page()["detectors"]] == ["audio_visual"]
    for path in paths.results("demo").rglob("*.*"):
        if path.suffix in (".csv", ".json", ".md", ".html"):
            assert "visual_student" not in path.read_text(), path


def test_a_score_file_that_is_missing_stops_the_graph(project: Path) -> None:
    """Follows the tests above."""
    change(project, "seeds", [0, 1, 2])
    with pytest.raises(
        AssertionError, match=r"1 are not on this machine: results/demo/scores/demo\.audio_visual\.seed2"
    ):
        repro(project)
    change(project, "seeds", [0, 1])
    assert repro(project) >= THRESHOLD
    details = json.loads(paths.details("demo").read_text())
    assert details["detectors"]["audio_visual"]["n_seeds"] == 2


def test_no_stage_before_them_looks_at_thresholds() -> None:
    assert "evaluate" in GRAPH["evaluate"]["do"]["params"]
    assert "evaluate.alarm_threshold" not in GRAPH["players"]["do"]["params"]
    for name in GRAPH.keys() - set(STAGES):
        tracked = GRAPH[name].get("do", GRAPH[name]).get("params", [])
        assert not [key for key in tracked if str(key).startswith(("evaluate", "figures"))], name
