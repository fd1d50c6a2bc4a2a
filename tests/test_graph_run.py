"""The whole graph on a handful of generated videos: from an empty folder to figures with the real ``dvc repro``."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_factory import tone, write_video
from project_factory import NAME, load_params, save_params, write_project

ROOT = Path(__file__).parents[1]
VARIANTS = ["audio_visual", "visual_baseline", "visual_student", "audio_student"]
TRAINING = {"seed": 1, "epochs": 1, "batch_size": 4, "max_snippets": 16, "selection": "last"}
ALL_STAGES = {
    "prepare@toy",
    "extract_visual@toy",
    "extract_audio@toy",
    *(f"train@toy-{variant}" for variant in VARIANTS[:2]),
    *(f"distill@toy-{variant}" for variant in VARIANTS[2:]),
    *(f"score@toy-{variant}" for variant in VARIANTS),
    "evaluate@toy",
    "figures@toy",
}


def write_videos(root: Path) -> None:
    """Twelve short videos; in fights the picture flickers and the tone is higher. One test video is silent."""
    rng = np.random.default_rng(0)
    rows, segments = ["video,labels,split"], ["video,label,start_frame,end_frame"]
    (root / "videos").mkdir()
    for n in range(12):
        label, split = ("fighting", "normal")[n % 2], "test" if n >= 8 else "train"
        noise = rng.integers(0, 256, (40, 48, 64, 3), np.uint8)
        calm = np.full((48, 64, 3), 40 + 10 * n, np.uint8)
        fighting = label == "fighting"
        write_video(
            root / "videos" / f"clip {n}.mp4",
            n_frames=40,
            frame_fn=lambda i, calm=calm, noise=noise, fighting=fighting: noise[i] if fighting and i >= 20 else calm,
            audio=None if n == 10 else tone(1.6, frequency=1500 if fighting else 300),
        )
        rows.append(f"clip {n}.mp4,{label},{split}")
        if fighting and split == "test":
            segments.append(f"clip {n}.mp4,fighting,20,40")
    (root / "annotations" / "videos.csv").write_text("\n".join(rows) + "\n")
    (root / "annotations" / "segments.csv").write_text("\n".join(segments) + "\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with a data set of its own, in which nothing has been run."""
    root = tmp_path_factory.mktemp("clone")
    for name in ("avadclip", "pipeline"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, root)
    write_project(root, {})
    write_videos(root)
    params = load_params(root)
    params["datasets"][NAME]["training"] = TRAINING
    params |= {
        "teacher": "audio_visual",
        "train": {"audio_visual": {}, "visual_baseline": {"modalities": ["visual"], "fusion": "none"}},
        "distill": {"visual_student": {"modality": "visual"}, "audio_student": {"modality": "audio"}},
        "score": {"variants": VARIANTS, "across": {}, "missing_audio": "visual_student", "student": "visual_student"},
        "evaluate": {"alarm_threshold": 0.5, "bootstrap_resamples": 20},
        "figures": {"n_videos": 2},
    }
    save_params(root, params)
    dvc(root, "init", "--no-scm", "--quiet")
    return root


def dvc(root: Path, *words: str) -> str:
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=root,
        env=environment | {"PATH": search, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def repro(root: Path) -> set[str]:
    """Run what has to be run; the stages that did anything."""
    return set(re.findall(r"Running stage '([^']+)'", dvc(root, "repro")))


def change(root: Path, keys: tuple[str, ...], value: Any) -> None:
    params = load_params(root)
    section = params
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    save_params(root, params)


def test_from_videos_to_figures_and_what_a_change_costs(project: Path) -> None:
    assert repro(project) == ALL_STAGES
    metrics = json.loads((project / "results" / NAME / "metrics.json").read_text())
    assert {*VARIANTS, "random", "videos"} == {name.lower() for name in metrics}
    assert metrics["videos"] == {"evaluated": 4, "excluded": 0}
    assert len(list((project / "results" / NAME / "figures").iterdir())) == 2
    assert repro(project) == set()

    change(project, ("evaluate", "alarm_threshold"), 0.7)
    assert repro(project) == {"evaluate@toy", "figures@toy"}

    # The other audio recipe gives other sound features; what only looks at pictures is trained again with the same
    # result, so nothing after it runs.
    model = project / "runs" / NAME / "visual_baseline" / "model.safetensors"
    before = model.read_bytes()
    change(project, ("datasets", NAME, "audio", "window_seconds"), 0.5)
    ran = repro(project)
    assert {"extract_audio@toy", "train@toy-audio_visual", "distill@toy-audio_student", "evaluate@toy"} <= ran
    assert not ran & {"prepare@toy", "extract_visual@toy"}
    assert model.read_bytes() == before

    scores = project / "results" / NAME / "scores" / f"{NAME}.audio_visual.h5"
    before = scores.read_bytes()
    scores.unlink()
    dvc(project, "repro")
    assert scores.read_bytes() == before


def test_trained_on_one_data_set_and_tested_on_another(project: Path) -> None:
    """Paper, table V. Follows the test above, whose detectors it tests on a second data set with the same videos."""
    params = load_params(project)
    params["datasets"]["other"] = params["datasets"][NAME]
    params["score"]["across"] = {"it": {"dataset": "other", "trained_on": NAME, "variant": "audio_visual"}}
    save_params(project, params)
    output = dvc(project, "repro", "score_across@it")
    ran = set(re.findall(r"Running stage '([^']+)'", output))
    assert ran == {"prepare@other", "extract_visual@other", "extract_audio@other", "score_across@it"}
    assert output.count("12 cached, 0 encoded") == 2  # the same videos and recipes: nothing is decoded again
    dvc(project, "repro", "--single-item", "evaluate@other")
    metrics = json.loads((project / "results" / "other" / "metrics.json").read_text())
    assert f"audio_visual_from_{NAME}" in metrics
    own = json.loads((project / "results" / NAME / "metrics.json").read_text())
    assert metrics[f"audio_visual_from_{NAME}"]["strict"]["alignment"] == own["audio_visual"]["strict"]["alignment"]
