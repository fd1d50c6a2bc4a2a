"""How long evaluation takes at the scale of XD-Violence: 800 videos, 2.26 million frames, 7 classes, random scores.

Run it from the root of the checkout: ``python -m benchmarks.evaluation [result.json]``. The same run times the slow
implementation that is the oracle of the tests, and the real processes in a scratch project.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from avadclip import paths
from avadclip.config.evaluation import Evaluate
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.evaluation import metrics, protocols, timeline
from avadclip.evaluation.testset import TestSet, random_scores
from avadclip.scoring import scores
from tests.support.evaluation_oracle import OracleVideo, released_frame_metrics, released_map

ROOT = Path(__file__).parents[1]
CLASSES = ("normal", "fighting", "shooting", "riot", "abuse", "car accident", "explosion")
STRIDE, N_VIDEOS, N_FRAMES, N_FEATURE_FILES, FEATURE_BYTES = 16, 800, 2_260_000, 4754, 200_000
SETTINGS = Evaluate()


@dataclass(frozen=True)
class Row:
    """One measurement with the limit that it should stay below."""

    what: str
    seconds: float
    limit_seconds: float | None = None


def make_test_set() -> TestSet:
    """Make 500 anomalous and 300 normal videos whose lengths vary as much as those of XD-Violence."""
    rng = np.random.default_rng(0)
    share = rng.lognormal(0, 0.9, N_VIDEOS)
    lengths = np.maximum((share / share.sum() * N_FRAMES).astype(int), 40)
    videos, segments = [], []
    for index, n_frames in enumerate(lengths.tolist()):
        name, label = f"video-{index:03}", str(rng.choice(CLASSES[1:])) if index < 500 else "normal"
        videos.append(Video(name, f"{name}.mp4", "test", (label,), n_frames, 24.0, True, "0" * 64))
        for _ in range(rng.integers(1, 4) if label != "normal" else 0):
            start, end = sorted(rng.choice(n_frames + 1, 2, replace=False).tolist())
            segments.append(Segment(name, label, start, end))
    return TestSet("xd", "xd_violence", CLASSES, STRIDE, tuple(videos), tuple(segments))


def timed(what: str, run: Callable[[], object], limit_seconds: float | None = None, repeats: int = 1) -> Row:
    """Time the fastest of some repetitions."""
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    return Row(what, min(spent), limit_seconds)


def point_metrics(test_set: TestSet, scored: scores.Scores) -> None:
    """Compute all numbers of both protocols, from scores and ground truth in memory."""
    joined = timeline.strict(scored, test_set.videos, test_set.segments, CLASSES)
    released = protocols.released(joined, STRIDE, SETTINGS.released, SETTINGS.iou_thresholds)
    metrics.released(released, SETTINGS.iou_thresholds)
    strict = protocols.strict(joined, SETTINGS.strict, SETTINGS.iou_thresholds)
    metrics.strict(strict, SETTINGS.iou_thresholds, strict.ones)


def slow_released_metrics(test_set: TestSet, scored: scores.Scores) -> None:
    """Compute the released numbers only, frame by frame."""
    assert scored.class_probabilities is not None
    videos = []
    for index, video in enumerate(test_set.videos):
        first = scored.first_snippet[index]
        whole = slice(first, first + max(1, video.n_frames // STRIDE))
        events = [(s.label, s.start_frame, s.end_frame) for s in test_set.segments if s.id == video.id]
        videos.append(OracleVideo(scored.anomaly_confidence[whole], scored.class_probabilities[whole], events))
    released_frame_metrics(videos, STRIDE)
    for threshold in SETTINGS.iou_thresholds:
        released_map(videos, CLASSES, STRIDE, threshold)


def write_project(folder: Path, test_set: TestSet, scored: scores.Scores) -> None:
    """Write a DVC project with the real stage `evaluate`, and with feature files as the outputs of another stage."""
    for name in ("avadclip", "pipeline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".dvcignore").write_text("**/__pycache__\n")
    write_manifest(folder / paths.manifest("xd"), test_set.videos)
    write_ground_truth(folder / paths.ground_truth("xd"), test_set.segments)
    scores.write(folder / paths.scores("xd", "audio_visual", seed=0), scored)
    # All videos are test videos, so the file of normal training videos is empty.
    none = scores.only(scored, ())
    scores.write(folder / paths.normal_scores("xd", "audio_visual", seed=0), none)
    recipe = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
    section = {"kind": "xd_violence", "videos": "v", "annotations": "a", "classes": list(CLASSES)}
    shipped = YAML(typ="safe").load(ROOT / "params.yaml")
    params = {
        "datasets": {
            "xd": section | {"visual": recipe | {"stride": STRIDE}, "audio": recipe, "selection": {"by": "last"}}
        },
        "evaluate": SETTINGS.model_dump(mode="json") | {"bootstrap_resamples": 0},
        "worlds": {},
        **{key: shipped[key] for key in ("seeds", "teacher", "train", "distill")},
        "score": shipped["score"] | {"variants": ["audio_visual"]},
    }
    graph = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    # Features are the outputs of a stage, as in a full checkout; writing them is not timed.
    extract = {"cmd": "true", "outs": [{f"features/xd/{name}": {"persist": True}} for name in ("visual", "audio")]}
    for name, content in (
        ("params.yaml", params),
        ("dvc.yaml", {"stages": {"extract": extract, **{name: graph[name] for name in ("code", "evaluate")}}}),
    ):
        with (folder / name).open("w", encoding="utf-8") as file:
            YAML().dump(content, file)
    block = np.random.default_rng(0).bytes(FEATURE_BYTES)
    for modality in ("visual", "audio"):
        target = folder / paths.features("xd", modality)
        target.mkdir(parents=True)
        for index in range(N_FEATURE_FILES):
            (target / f"{index}.h5").write_bytes(index.to_bytes(4, "big") + modality.encode() + block)


def change(folder: Path, key: str, value: object) -> None:
    """Replace the value of a key that occurs once in params.yaml."""
    path = folder / "params.yaml"
    text, n_changed = re.subn(rf"(?m)^(\s+){key}: .*$", rf"\g<1>{key}: {value}", path.read_text())
    assert n_changed == 1, f"{path}: {key} occurs {n_changed} times"
    path.write_text(text)


def run_in(folder: Path, *words: str) -> None:
    """Run a Python module in a project."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": search, "PYTHONPATH": "", "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def main(result: str = "") -> None:
    """Measure, show a table, and write the numbers as JSON if a file is named."""
    test_set = make_test_set()
    scored = random_scores(test_set, seed=1)
    # The stage itself adds a detector `random`, so these random scores get the name of another one.
    provenance = replace(scored.provenance, variant="audio_visual", seed=0)
    scored = scores.collect(provenance, scores.rows(scored))
    fast = timed(
        "point metrics, released + strict, in process", lambda: point_metrics(test_set, scored), 1.0, repeats=3
    )
    slow = timed("point metrics, released alone, frame by frame", lambda: slow_released_metrics(test_set, scored))
    rows = [fast, slow]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_project(folder, test_set, scored)
        stage = ("pipeline.evaluate", "xd")
        rows.append(timed("process `evaluate`, no bootstrap", lambda: run_in(folder, *stage), 3.0, repeats=3))
        change(folder, "bootstrap_resamples", 1000)
        rows.append(timed("process `evaluate`, 1,000 resamples", lambda: run_in(folder, *stage), 8.0, repeats=3))
        run_in(folder, "dvc", "init", "--no-scm", "--quiet")
        rows.append(timed("first `dvc repro` (hashes all features)", lambda: run_in(folder, "dvc", "repro")))
        for what, resamples in (("no bootstrap", 0), ("1,000 resamples", 1000)):
            change(folder, "bootstrap_resamples", resamples)
            change(folder, "alarm_threshold", 0.6 + resamples / 10_000)
            repro = partial(run_in, folder, "dvc", "repro", "evaluate@xd")
            rows.append(timed(f"`dvc repro evaluate`, new threshold, {what}", repro, 6.0))
        rows.append(timed("`dvc repro`, nothing changed", lambda: run_in(folder, "dvc", "repro"), 6.0))
    table = Table("what", "seconds", "limit", title=f"{N_VIDEOS} videos, {N_FRAMES:,} frames; {os.cpu_count()} cores")
    for row in rows:
        table.add_row(row.what, f"{row.seconds:.2f}", f"{row.limit_seconds:g}" if row.limit_seconds else "")
    Console().print(table, f"in process: {slow.seconds / fast.seconds:.0f} times as fast as frame by frame (limit 30)")
    if result:
        Path(result).write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
