"""The sessions of docs/your-videos.md and docs/review.md as written, with rendered clips and the demo's encoders."""

import csv
import json
import shlex
from pathlib import Path

import pytest

from avadclip.config.worlds import World
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.demo.render import render_world
from avadclip.interop.corrections.format import HEADER
from tests.support import pages
from tests.support.dvc_project import avadclip, clone, dvc, quicken, ran, read_params, repro, write_params

pytestmark = pytest.mark.slow


def session(page: str) -> list[list[str]]:
    """The words of each command of a page."""
    return [shlex.split(line) for line in pages.commands(page)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone, and in it a folder of twelve clips with one CSV."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    render_world(World(seed=3, n_train=8, n_test=4), folder / "world")
    (folder / "world" / "videos").rename(folder / "clips")
    with (folder / "world" / "annotations" / "videos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['video']},{'normal' if row['labels'] == 'normal' else 'trouble'}\n" for row in rows]
    (folder / "clips" / "labels.csv").write_text("".join(["video,labels\n", *lines]), encoding="utf-8")
    params = read_params(folder)
    # Of the shipped detectors, only those that the page and the model folder need; this session uses no others.
    packaged = [params["score"]["detector"], params["score"]["student"]]
    params["train"], params["distill"] = {name: params["train"][name] for name in packaged}, {}
    params["score"]["variants"] = packaged
    params["teacher"] = packaged[0]
    quicken(params, rounds=1)
    params["evaluate"] |= {"bootstrap_resamples": 10, "alarm_threshold": 0.01}  # one round is enough for an alarm
    write_params(folder, params)
    return folder


def test_three_commands_from_labels_to_a_model_and_a_page(project: Path) -> None:
    add, make, predict = session("docs/your-videos.md")
    assert (add[0], make[:2], predict[0]) == ("avadclip", ["dvc", "repro"], "avadclip")
    said = avadclip(project, *add[1:], "--like", "demo")
    assert "datasets.mine has" in said
    dvc(project, *make[1:])
    avadclip(project, *predict[1:])

    assert (project / "runs/mine/predictor.json").is_file()
    assert (project / "results/mine/report/report.html").is_file()
    assert len(json.loads((project / "out/predictions.json").read_text())["videos"]) == 12
    assert (project / "out/report.html").is_file()
    found = json.loads((project / "results/mine/metrics.json").read_text())["ensemble"]
    assert set(found) == {"video_AP", "false_alarms_per_hour"}  # all that labels of whole videos can measure
    assert 0 <= found["video_AP"] <= 100
    summary = (project / "results/mine/summary.md").read_text(encoding="utf-8")
    assert "no anomalous test video has segments" in summary
    assert repro(project) == set()


def test_judged_alarms_are_learnt(project: Path) -> None:
    """Follows the test above. One video's alarm is false, so it becomes normal; another one's is true and is kept."""
    predict, apply, make, again = session("docs/review.md")
    assert predict == session("docs/your-videos.md")[2]
    videos = json.loads((project / "out/predictions.json").read_text())["videos"]
    alarming = {video["id"] for video in videos if video["segments"]}
    labelled = [v for v in read_manifest(project / "data/mine/manifest.csv") if v.split == "train" and not v.is_normal]
    false, true = [video.id for video in labelled if video.id in alarming][:2]
    rows = [judged(project, id_, judgement) for id_, judgement in ((false, "wrong"), (true, "right"))]
    (project / "corrections.csv").write_text("\r\n".join([",".join(HEADER), *rows, ""]), newline="", encoding="utf-8")

    said = avadclip(project, *apply[1:])
    assert "1 video becomes normal, 1 event added; now: dvc repro" in " ".join(said.split())
    output = dvc(project, *make[1:])
    assert output.count("12 cached, 0 encoded") == 2
    assert {"train@mine-ensemble-0", "package@mine"} <= ran(output)
    labels = {video.id: video.labels for video in read_manifest(project / "data/mine/manifest.csv")}
    assert labels[false] == ("normal",)
    assert [segment.id for segment in read_ground_truth(project / "data/mine/ground_truth.csv")] == [true]
    avadclip(project, *again[1:])
    assert (project / "again/report.html").is_file()


def judged(project: Path, id_: str, judgement: str) -> str:
    """The row that the page saves for the first alarm of a video that belongs to no data set."""
    videos = json.loads((project / "out/predictions.json").read_text())["videos"]
    (video,) = [video for video in videos if video["id"] == id_]
    alarm = video["segments"][0]
    span = (f"{alarm['start_seconds']:.3f}", f"{alarm['end_seconds']:.3f}")
    label = "" if judgement == "wrong" else alarm["label"]
    return ",".join(("", id_, video["content_hash"], judgement, *span, label, *span, alarm["label"]))
