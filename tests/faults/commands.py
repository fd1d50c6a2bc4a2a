"""The commands that write, each with the smallest project in which it runs; what computes for long has a stand-in."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avadclip import config, paths, store
from avadclip.commands import predicting
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.extraction import run as extraction
from avadclip.extraction.encoding import Outcome
from avadclip.extraction.modalities import recipes
from avadclip.extraction.protocol import Modality, Pending
from avadclip.prediction.alarm import Alarm
from avadclip.prediction.document import Prediction
from avadclip.scoring import scores
from avadclip.store import Features
from avadclip.store.audit import needed
from avadclip.store.work_cache import WorkCache
from avadclip.training import run as training
from pipeline import evaluate, extract_visual, score, train
from tests.support import released_factory as released
from tests.support.arrays_factory import write_dataset
from tests.support.dvc_project import ROOT
from tests.support.evaluation_factory import make_scores
from tests.support.media_factory import NOISE
from tests.support.project_factory import NAME, write_project
from tests.support.report_factory import make_prediction
from tests.support.training_factory import NAME as TRAINED
from tests.support.training_factory import make_videos, write_training_project

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Command:
    """Words of a command line; what it needs (in the working directory); what stands in for what takes long.

    Attributes
    ----------
    replaces : pattern of the files that may stand there from an earlier run, whatever is in them.
    clears : removes earlier results before it begins.
    """

    words: tuple[str, ...]
    build: Callable[[], None]
    stand_in: Callable[[Patch], None] = lambda _patch: None
    replaces: str = ""
    clears: bool = False


STAGES: dict[str, Callable[..., None]] = {
    "extract": extract_visual.main,
    "train": train.main,
    "score": score.main,
    "evaluate": evaluate.main,
}
VIDEOS = [
    Video(f"v{n}", f"videos/v{n}.mp4", "test", (label,), 40, 25.0, True, f"{n:064x}")
    for n, label in enumerate(("normal", "fighting"))
]


def _two_videos() -> None:
    write_project(Path(), {f"{video.id}.mp4": video.labels[0] for video in VIDEOS})
    write_manifest(paths.manifest(NAME), VIDEOS)


def _features(recipe: store.Recipe, source: store.Source) -> Features:
    shape = (1, 10, 512) if recipe["modality"] == "visual" else (10, 512)
    values = np.random.default_rng(len(source.id)).normal(size=shape).astype("f2")
    return Features(source, recipe, values, np.ones(10, bool), np.arange(11) * 0.16, "none")


def _encode(pending: Sequence[Pending], modality: Modality, cache: WorkCache, _settings: Any) -> Outcome:
    for video in pending:
        cache.put(_features(modality.recipe, video.source))
    return Outcome({}, 10 * len(pending))


def _somebodys_cache() -> None:
    _two_videos()
    for entry in needed(recipes(config.load())):
        WorkCache(Path("theirs")).put(_features(entry.recipe, store.Source(entry.id, entry.content_hash, 40, 25.0)))


def _trainable() -> None:
    recipe = {"rounds": 2, "steps_per_round": 1, "batch_size": 2}
    variants = {"mil": {"kind": "deep_mil", "hidden": [8, 4], "recipe": recipe}}
    write_training_project(Path(), make_videos(6, 3), {"visual": 1.0, "audio": 1.0}, train=variants)


def _trained() -> None:
    _trainable()
    train.main(TRAINED, "mil", "0")


def _scored() -> None:
    _two_videos()
    write_ground_truth(paths.ground_truth(NAME), [Segment("v1", "fighting", 10, 30)])
    params = Path("params.yaml")
    sections = "\ntrain: {audio_visual: {kind: audio_visual}}\ndistill: {visual_student: {kind: student}}\n"
    sections += "score: {variants: [audio_visual]}\nevaluate: {bootstrap_resamples: 0}\n"
    params.write_text(params.read_text(encoding="utf-8") + sections, encoding="utf-8")
    made_by = {"dataset": NAME, "trained_on": NAME, "variant": "audio_visual"}
    made = make_scores(VIDEOS, ("normal", "fighting"), 4, np.random.default_rng(0), **made_by)
    scores.write(paths.scores(NAME, "audio_visual", 0), made)


def _released() -> None:
    train_id, test_id = "a__#1_label_A", "b__#1_label_B1-0-0"
    folder = Path("release")
    for id_, view in ((train_id, 0), (test_id, released.TEST_VIEW)):
        released.save(folder / "visual" / f"{id_}__{view}.npy", np.ones((3, 4)))
        released.save(folder / "audio" / f"{id_}.npy", np.ones((3, 4)))
    released.write_lists(folder / "list", [train_id], [test_id], n_views=1)
    released.write_annotations(folder / "list", {test_id: [("B1", 5, 20)]})
    Path("params.yaml").write_text("datasets: {}\n", encoding="utf-8")


def _arrays() -> None:
    write_dataset(Path("in"), {"visual": 6})
    shutil.copy(ROOT / "params.yaml", "params.yaml")


class _Predictor:
    """Knows what it will say before it has seen anything."""

    alarm = Alarm(branch="alignment", threshold=0.5)
    identity = "none"

    class description:  # noqa: N801 - stands for an attribute
        dataset, detector, student = "toy", "audio_visual", "visual_student"

    def __init__(self, *_args: object, **_options: object) -> None:
        pass

    def __enter__(self) -> "_Predictor":
        return self

    def __exit__(self, *_args: object) -> None:
        pass

    def predict(self, path: Path, video_id: str, **_options: object) -> Prediction:
        return make_prediction(video_id, path=str(path))

    def in_worker(self, *_args: object) -> bytes:
        return b"a picture of the sound"


COMMANDS: dict[str, Command] = {
    "extract": Command(
        ("extract", NAME),
        _two_videos,
        lambda patch: patch.setattr(extraction, "encode_videos", _encode),
    ),
    "train": Command(
        ("train", TRAINED, "mil", "0"),
        _trainable,
        lambda patch: patch.setattr(training, "fingerprint", lambda _files: "the same code"),
        replaces=r"runs/.*/model\..*",
    ),
    "score": Command(("score", TRAINED, "mil", "0"), _trained, replaces="results/.*"),
    "evaluate": Command(("evaluate", NAME), _scored, replaces=r"results/.*|runs/.*\.json"),
    "merge": Command(("features", "merge", "theirs"), _somebodys_cache),
    "import-features": Command(
        (
            *("import-features", "--visual", "release/visual", "--audio", "release/audio"),
            *("--annotations", "release/list", "--dataset", "xd"),
        ),
        _released,
        replaces="data/xd/annotations/.*",
    ),
    "import-features of arrays": Command(
        (
            *("import-features", "--visual", "in/visual", "--annotations", "in", "--dataset", "own"),
            *("--stride", "16", "--frame-rate", "24", "--alone"),
        ),
        _arrays,
        replaces="data/own/annotations/.*",
    ),
    "predict": Command(
        ("predict", "a.mp4", "--model", "runs/toy", "--out", "out"),
        lambda: shutil.copyfile(NOISE, "a.mp4") and None,
        lambda patch: patch.setattr(predicting, "Predictor", _Predictor),
        replaces=r"out/(?!predictions/).*",
        clears=True,
    ),
}
