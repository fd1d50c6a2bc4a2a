"""The page of a test split, as stage ``report`` writes it from the files of earlier stages."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from avadclip import config, paths
from avadclip.datasets import csv_file
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.evaluation.testset import read_test_set
from avadclip.prediction.document import UNLIKE_TRAINING
from avadclip.prediction.familiarity import DISTANCES_HEADER
from avadclip.report.from_results import write_report
from avadclip.report.plots import PLOTS
from avadclip.scoring import scores
from pipeline.evaluate import main as evaluate
from pipeline.players import main as make_players
from tests.support.evaluation_factory import CLASSES, make_scores, make_video
from tests.support.project_factory import save_params

WEIGHTS = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
NORMAL = (make_video("a", 40, ["normal"]), make_video("b", 30, ["normal"], has_audio=False))
RIOT = make_video("c", 50, ["riot"])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = {"kind": "table", "videos": "videos", "annotations": "annotations", "classes": list(CLASSES)}
    dataset |= {"visual": {**WEIGHTS, "stride": 4}, "audio": WEIGHTS}
    params = {
        "datasets": {"demo": dataset},
        "train": {"audio_visual": {"kind": "audio_visual"}},
        "distill": {"visual_student": {"kind": "student"}},
        "score": {"variants": ["audio_visual"]},
        "evaluate": {"bootstrap_resamples": 10},
    }
    save_params(tmp_path, params)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("videos", "segments", "expected"),
    [
        (NORMAL, (), []),
        ((*NORMAL, RIOT), (Segment("c", "riot", 10, 20),), [title for title, _ in PLOTS.values()]),
    ],
)
def test_a_page_of_whatever_the_test_split_holds(
    videos: tuple[Video, ...], segments: tuple[Segment, ...], expected: list[str]
) -> None:
    write_manifest(paths.manifest("demo"), videos)
    write_ground_truth(paths.ground_truth("demo"), segments)
    scores.write(paths.scores("demo", "audio_visual", 0), make_scores(videos, CLASSES, 4, np.random.default_rng(0)))
    evaluate("demo")
    make_players("demo")
    csv_file.write(paths.distances("demo"), DISTANCES_HEADER, [("a", "1.5"), ("b", ""), ("c", "0.5")])
    params = config.load()
    write_report(Path("page"), read_test_set("demo", params.dataset("demo")), params)
    assert len(list(Path("page/data").glob("*.js"))) == len(videos)
    rows = json.loads(re.search('id="index">(.*?)</script>', Path("page/report.html").read_text())[1])["videos"]
    known = {row["id"]: (row["distance"], row["unlikeTraining"]) for row in rows}
    by_id = {"a": (1.5, UNLIKE_TRAINING), "b": (None, None), "c": (0.5, None)}
    assert known == {video.id: by_id[video.id] for video in videos}
    assert {row["id"]: row["contentHash"] for row in rows} == {video.id: video.content_hash for video in videos}
    assert re.findall(r"<figcaption>(.*?)</figcaption>", Path("page/report.html").read_text()) == expected
