"""The session of docs/your-videos.md as it stands there: rendered clips, their labels alone, encoders of the demo."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest

from avadclip.config.worlds import World
from avadclip.demo.render import render_world
from tests.support.dvc_project import ROOT, avadclip, clone, dvc, quicken, read_params, repro, write_params

pytestmark = pytest.mark.slow

SESSION = re.findall(r"^\$ (.*)$", (ROOT / "docs" / "your-videos.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone, and in it a folder of twelve clips with one CSV."""
    folder = clone(tmp_path)
    render_world(World(seed=3, n_train=8, n_test=4), folder / "world")
    (folder / "world" / "videos").rename(folder / "clips")
    with (folder / "world" / "annotations" / "videos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['video']},{'normal' if row['labels'] == 'normal' else 'trouble'}\n" for row in rows]
    (folder / "clips" / "labels.csv").write_text("".join(["video,labels\n", *lines]), encoding="utf-8")
    params = read_params(folder)
    # What the page and the model folder need of the shipped detectors, which differ in nothing that this session sees.
    packaged = [params["score"]["detector"], params["score"]["student"]]
    params["train"], params["distill"] = {name: params["train"][name] for name in packaged}, {}
    params["score"]["variants"] = packaged
    params["teacher"] = packaged[0]
    quicken(params, rounds=1)
    params["evaluate"]["bootstrap_resamples"] = 10
    write_params(folder, params)
    return folder


def test_three_commands_from_labels_to_a_model_and_a_page(project: Path) -> None:
    add, make, predict = (shlex.split(line) for line in SESSION)
    assert (add[0], make[:2], predict[0]) == ("avadclip", ["dvc", "repro"], "avadclip")
    said = avadclip(project, *add[1:], "--like", "demo")
    assert "datasets.mine holds" in said
    dvc(project, *make[1:])
    avadclip(project, *predict[1:])

    assert (project / "runs/mine/predictor.json").is_file()
    assert (project / "results/mine/report/report.html").is_file()
    assert len(json.loads((project / "out/predictions.json").read_text())["videos"]) == 12
    assert (project / "out/report.html").is_file()
    found = json.loads((project / "results/mine/metrics.json").read_text())["ensemble"]
    assert set(found) == {"video_AP", "false_alarms_per_hour"}  # all that labels of whole videos say
    assert 0 <= found["video_AP"] <= 100
    summary = (project / "results/mine/summary.md").read_text(encoding="utf-8")
    assert "no anomalous test video has segments" in summary
    assert repro(project) == set()
