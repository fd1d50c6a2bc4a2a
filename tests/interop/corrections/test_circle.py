"""The full circle: a false alarm is judged, learnt, and gone."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avadclip import config, paths, store
from avadclip.datasets.manifest import read_manifest
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.evaluation.segments import find_alarms
from avadclip.extraction.modalities import modality
from avadclip.extraction.run import extract
from avadclip.scoring.run import score_video
from avadclip.store.video import open_folders, read_video
from avadclip.store.work_cache import WorkCache
from pipeline import prepare, train
from tests.support.arrays_factory import write_array
from tests.support.corrections_factory import row, run, save, write_params, write_tables


def keep_features(values: Mapping[str, NDArray[np.float64]]) -> None:
    """Put features of the manifest's videos into the work cache, as if they had been extracted."""
    params = config.load()
    recipe = modality("visual", params.dataset("mine")).recipe
    for video in read_manifest(paths.manifest("mine")):
        n_snippets = len(values[video.id])
        features = store.Features(
            source=store.Source(video.id, video.content_hash, video.n_frames, video.frame_rate),
            recipe=recipe,
            values=values[video.id][None].astype(np.float16),
            valid=np.ones(n_snippets, bool),
            boundary_seconds=np.arange(n_snippets + 1) * 16 / 24,
            decoder="arrays",
        )
        WorkCache(Path(params.extraction.work_cache)).put(features)


def repro() -> int:
    """Run stages prepare, extract and train, and return how many videos were encoded."""
    prepare.main("mine")
    n_encoded = extract("mine", "visual", config.load()).n_encoded
    train.main("mine", "head", "0")
    return n_encoded


def alarms(video_id: str) -> list[tuple[float, float]]:
    """Alarms of the current detector, in seconds."""
    folders = open_folders("mine", ("visual",))
    scores = score_video(load_checkpoint(paths.run("mine", "head", 0), "cpu"), read_video(folders, video_id), "cpu")
    found = find_alarms(scores.anomaly_confidence, scores.class_probabilities, 0.5)
    return [(alarm.first * 16 / 24, alarm.end * 16 / 24) for alarm in found]


@pytest.mark.slow
def test_a_false_alarm_is_judged_learnt_and_gone() -> None:
    """Actors who play a fight look like a fight; the next detector has learnt the difference."""
    shutil.rmtree("videos")
    rng, direction = np.random.default_rng(0), np.eye(8)
    offsets = {"walk": np.zeros(8), "fight": direction[0], "actor": direction[0] + direction[1]}
    names = ("fight1", "fight2", "fight3", "fight4", "walk1", "walk2", "walk3", "walk4", "actor", "fight5", "walk5")
    values = {
        name: 0.05 * rng.standard_normal((20, 8)) + direction[7] + offsets[name.rstrip("12345")] for name in names
    }
    for name in names:
        write_array(Path(f"videos/visual/{name}.npy"), values[name])
    rows = [f"{n},{'fighting' if 'fight' in n else 'normal'},{'train' if n[-1] in '1234' else 'test'}" for n in names]
    write_tables("\n".join(["video,labels,split", *rows]), None)
    recipe = {"rounds": 20, "batch_size": 8, "optimizer": {"learning_rate": 0.01}}
    write_params(
        "features",
        classes=["normal", "fighting"],
        visual={"extractor": "C3D", "stride": 16, "frame_rate": 24.0},
        audio={"extractor": None},
        selection={"by": "last"},
        train={"head": {"kind": "mil_head", "modalities": ["visual"], "dropout": 0.0, "recipe": recipe}},
    )
    prepare.main("mine")
    keep_features(values)
    repro()
    whole = [(0, pytest.approx(20 * 16 / 24))]
    assert {name: alarms(name) for name in ("actor", "fight5", "walk5")} == {
        "actor": whole,
        "fight5": whole,
        "walk5": [],
    }
    content = {video.id: video.content_hash for video in read_manifest(paths.manifest("mine"))}["actor"]
    save(*(row("actor", "wrong", *alarm, content=content) for alarm in alarms("actor")))
    assert "1 video moved from test to training; now: dvc repro" in run("--yes", "--move-to-training").stdout
    assert repro() == 0  # labels have changed, but no video has
    assert {name: alarms(name) for name in ("actor", "fight5", "walk5")} == {"actor": [], "fight5": whole, "walk5": []}
