"""Test videos without segments, or no test videos: every stage succeeds and says what could not be measured."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avadclip import paths
from avadclip.config.evaluation import Evaluate
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.evaluation.assessment import assess
from avadclip.evaluation.headline import read_headline
from avadclip.evaluation.testset import TestSet
from avadclip.prediction.alarm import read_alarm
from avadclip.scoring import scores
from pipeline.evaluate import main as evaluate
from pipeline.figures import main as draw_figures
from pipeline.players import main as make_players
from pipeline.report import main as write_page
from tests.support.evaluation_factory import CLASSES, detector_of, make_scores, make_video
from tests.support.project_factory import save_params

WEIGHTS = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
TRAINED = make_video("t", 40, ["riot"], split="train", content_hash="1" * 64)
NORMAL = (make_video("a", 40, ["normal"]), make_video("b", 30, ["normal"], has_audio=False))
RIOT, FIGHT = make_video("c", 50, ["riot"]), make_video("d", 45, ["fighting"], has_audio=False)
COPY = replace(NORMAL[0], id="e", content_hash=TRAINED.content_hash)
WHEN = (Segment("c", "riot", 10, 20),)


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
        "evaluate": {"bootstrap_resamples": 10, "alarm_threshold": 0.7},
    }
    save_params(tmp_path, params)


def run_stages(tested: Sequence[Video], segments: Sequence[Segment]) -> None:
    """Run every stage after training, on made-up scores."""
    write_manifest(paths.manifest("demo"), [*tested, TRAINED])
    write_ground_truth(paths.ground_truth("demo"), segments)
    made = make_scores(tested, CLASSES, 4, np.random.default_rng(0))
    scores.write(paths.scores("demo", "audio_visual", 0), made)
    for stage in (evaluate, draw_figures, make_players, write_page):
        stage("demo")


FRAMES = {
    "alignment.AP",
    "alignment.AUC",
    "mAP.AVG",
    *(f"alarm.{name}" for name in ("precision", "recall", "f1", "caught_events")),
}
PER_HOUR, VIDEOS = {"alarm.false_alarms_per_hour"}, {"video.AP", "video.AUC", "video.caught"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tested", "segments", "defined", "said"),
    [
        ((), (), set(), ["there are no test videos, so nothing is measured"]),
        (NORMAL, (), PER_HOUR, ["no test video is anomalous"]),
        ((*NORMAL, RIOT, FIGHT), (), PER_HOUR | VIDEOS, ["no anomalous test video has segments"]),
        (
            (*NORMAL, RIOT, FIGHT),
            WHEN,
            FRAMES | PER_HOUR | VIDEOS,
            ["1 of 2 anomalous test videos have no segments .*: d$"],
        ),
        (
            (RIOT,),
            (),
            {"video.AP", "video.caught"},
            ["no anomalous test video has segments", "no test video is normal"],
        ),
        ((*NORMAL, RIOT, COPY), WHEN, FRAMES | PER_HOUR | VIDEOS, ["1 test videos are also training videos, .*: e$"]),
        ((*NORMAL, RIOT), WHEN, FRAMES | PER_HOUR | VIDEOS, []),
    ],
)
def test_every_stage_ends_well_and_tells_what_it_could_measure(
    tested: Sequence[Video], segments: Sequence[Segment], defined: set[str], said: list[str]
) -> None:
    run_stages(tested, segments)
    metrics = json.loads(paths.metrics("demo").read_text())
    details = json.loads(paths.details("demo").read_text())["detectors"]["audio_visual"]
    assert metrics["videos"] == {"evaluated": len(tested), "excluded": 0}
    assert None not in metrics["audio_visual"].values()
    for name in FRAMES | PER_HOUR | VIDEOS:
        group, key = name.split(".", maxsplit=1)
        value = details["strict"][group][key]
        assert (value is not None) == (name in defined), name
    assert (details["reliability"]["error"] is not None) == (defined >= FRAMES)
    headline = read_headline("demo")
    assert len(headline.limits) == len(said)
    assert all(re.search(pattern, limit) for pattern, limit in zip(said, headline.limits, strict=True))
    assert {len(row) for row in headline.rows} == {1 + len(headline.columns)}
    summary = paths.summary("demo").read_text(encoding="utf-8")
    assert all(limit in summary for limit in headline.limits)
    of_frames = re.search(r"## Coarse-grained.*?(\| `audio_visual`[^\n]*)", summary, re.DOTALL)
    assert of_frames is not None
    assert ("not defined" in of_frames[1]) == (not defined >= FRAMES)
    assert read_alarm(paths.model("demo")).threshold == 0.7
    assert {path.stem for path in paths.figures("demo").iterdir()} == {video.id for video in tested}
    page = (paths.report("demo") / "report.html").read_text(encoding="utf-8")
    rows = json.loads(re.search(r'id="index">(.*?)</script>', page, re.DOTALL)[1])["videos"]
    annotated = {row["id"]: row["annotated"] for row in rows}
    known = {segment.id for segment in segments}
    expected = {v.id: sorted(v.labels) if v.id in known else [] if v.is_normal else None for v in tested}
    assert annotated == expected


def test_a_video_without_segments_counts_as_a_whole_and_moves_no_other_number() -> None:
    rng = np.random.default_rng(1)
    videos = (*NORMAL, RIOT, FIGHT)
    made = make_scores(videos, CLASSES, 4, rng)
    without = scores.collect(made.provenance, [row for row in scores.rows(made) if row.id != FIGHT.id])
    settings = Evaluate(bootstrap_resamples=0)
    found, other = (
        assess(detector_of(of_videos), TestSet("demo", "table", CLASSES, 4, tested, WHEN), settings, 0)
        for of_videos, tested in ((made, videos), (without, videos[:3]))
    )
    assert found.released == other.released
    of_frames = {name for name in found.strict.mean if not name.startswith("video.")}
    assert {name: found.strict.mean[name] for name in of_frames} == {n: other.strict.mean[n] for n in of_frames}
    assert str(found.per_class) == str(other.per_class)  # some are NaN
    assert found.n_videos_by_audio == {"with_audio": 2, "without_audio": 2}
