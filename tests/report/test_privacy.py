"""``dvc push`` sends results of the evaluation and the page, but no video, neither whole nor in part."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from avadclip import paths
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment
from avadclip.scoring import scores
from pipeline.evaluate import main as evaluate
from pipeline.figures import main as draw_figures
from pipeline.players import main as make_players
from pipeline.report import main as write_page
from tests.support.evaluation_factory import CLASSES, make_scores, make_video
from tests.support.media_factory import tone, write_video
from tests.support.project_factory import save_params

STAGES: dict[str, Any] = YAML(typ="safe").load(Path(__file__).parents[2] / "dvc.yaml")["stages"]
WEIGHTS = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
VIDEOS = (make_video("gate", 30, ["riot"]), make_video("lobby", 20, ["normal"], has_audio=False))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which every stage after scoring has run on real files."""
    monkeypatch.chdir(tmp_path)
    dataset = {"kind": "table", "videos": ".", "annotations": "annotations", "classes": list(CLASSES)}
    dataset |= {"visual": {**WEIGHTS, "stride": 4}, "audio": WEIGHTS}
    params = {
        "datasets": {"mine": dataset},
        "train": {"audio_visual": {"kind": "audio_visual"}},
        "distill": {"visual_student": {"kind": "student"}},
        "score": {"variants": ["audio_visual"]},
        "evaluate": {"bootstrap_resamples": 10},
        "extraction": {"workers": 1, "stall_seconds": 300},
    }
    save_params(tmp_path, params)
    for video in VIDEOS:
        write_video(Path(video.path), n_frames=video.n_frames, audio=tone(1.0) if video.has_audio else None)
    write_manifest(paths.manifest("mine"), VIDEOS)
    write_ground_truth(paths.ground_truth("mine"), [Segment("gate", "riot", 5, 15)])
    made = make_scores(VIDEOS, CLASSES, 4, np.random.default_rng(0), dataset="mine", trained_on="mine")
    scores.write(paths.scores("mine", "audio_visual", 0), made)
    for stage in (evaluate, draw_figures, make_players, write_page):
        stage("mine")
    return tmp_path


def outputs(*, pushed: bool) -> Iterator[Path]:
    """Yield every file in the outputs that DVC pushes, or in those that it does not; rendered videos show nobody."""
    for name, stage in STAGES.items():
        body = stage.get("do", stage)
        for out in (out for kind in ("outs", "metrics", "plots") for out in body.get(kind, ()) if name != "render"):
            (text, settings) = (out, {}) if isinstance(out, str) else next(iter(out.items()))
            if settings.get("cache", True) == pushed:
                place = Path(text.replace("${key}", "mine").replace("${item.dataset}", "mine"))
                yield from (file for file in (place, *place.rglob("*")) if file.is_file())


def holds_a_video(file: Path) -> bool:
    content = file.read_bytes()
    parts = [video[at : at + 64] for video in (Path(v.path).read_bytes() for v in VIDEOS) for at in range(0, 512, 64)]
    return any(part in content for part in parts if len(set(part)) > 8)  # a row of zeros proves nothing


@pytest.mark.slow
def test_only_what_is_not_pushed_holds_videos(project: Path) -> None:
    kept = [file for file in outputs(pushed=False) if holds_a_video(file)]
    assert [file.parent for file in kept] == [paths.players("mine")] * len(VIDEOS)
    sent = list(outputs(pushed=True))
    # The page, the sound that it draws and the summary are among them.
    assert {paths.report("mine") / "report.html", paths.footage("mine"), paths.summary("mine")} <= set(sent)
    assert [file for file in sent if holds_a_video(file)] == []


def test_videos_and_annotations_are_nobodys_output_but_the_renderers() -> None:
    for name, stage in STAGES.items():
        body = stage.get("do", stage)
        named = [str(out) for kind in ("outs", "metrics", "plots") for out in body.get(kind, ())]
        assert name == "render" or not any("videos" in out or "annotations" in out for out in named), name
