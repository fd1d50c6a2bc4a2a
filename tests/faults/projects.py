"""The smallest project in which each command runs, in the working directory, and stand-ins for what is slow."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from avadclip import config, paths, store
from avadclip.config.features import Clip
from avadclip.config.features import Modality as ModalityName
from avadclip.datasets import csv_file
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import ListedVideo, Segment, Video
from avadclip.datasets.probe_cache import VideoFacts
from avadclip.datasets.probing import Probed
from avadclip.detectors.description import Description, write_description
from avadclip.detectors.parts.text import TextTower
from avadclip.evaluation.figures.drawing import save
from avadclip.extraction.encoding import Outcome
from avadclip.extraction.modalities import recipes
from avadclip.extraction.protocol import Modality, Pending
from avadclip.prediction.alarm import Alarm
from avadclip.prediction.document import Prediction
from avadclip.prediction.familiarity import DISTANCES_HEADER
from avadclip.scoring import scores
from avadclip.store import Features
from avadclip.store.audit import needed
from avadclip.store.work_cache import WorkCache
from pipeline import evaluate, players, train
from tests.support import released_factory as release
from tests.support.arrays_factory import write_dataset
from tests.support.dvc_project import ROOT
from tests.support.evaluation_factory import make_scores
from tests.support.media_factory import NOISE
from tests.support.project_factory import NAME, save_params, write_table
from tests.support.report_factory import make_prediction
from tests.support.training_factory import NAME as TRAINED
from tests.support.training_factory import make_videos, text_tower, write_training_project
from tests.support.weights_factory import TINY_CLIP

RECIPE = {"rounds": 2, "steps_per_round": 1, "batch_size": 2}
VIDEOS = [
    Video(f"v{n}", f"videos/v{n}.mp4", "test", (label,), 40, 25.0, True, f"{n:064x}")
    for n, label in enumerate(("normal", "fighting"))
]


WEIGHTS = b"weights that nobody loads"


def two_videos() -> None:
    """Two videos that do not exist, and encoders that are never loaded."""
    weights = {"path": "weights.bin", "sha256": hashlib.sha256(WEIGHTS).hexdigest()}
    visual = {"encoder": "tiny", "encoder_config": "tiny.json", "stride": 4, "precision": "float32", "weights": weights}
    places = {"kind": "table", "videos": "videos", "annotations": "annotations", "classes": ["normal", "fighting"]}
    params = {
        "datasets": {NAME: {**places, "visual": visual, "audio": {"precision": "float32", "weights": weights}}},
        "train": {"audio_visual": {"kind": "audio_visual"}},
        "distill": {"visual_student": {"kind": "student"}},
        "score": {"variants": ["audio_visual"]},
        "evaluate": {"bootstrap_resamples": 0},
        "figures": {"n_videos": 1},
    }
    save_params(Path(), params)
    Path("weights.bin").write_bytes(WEIGHTS)
    Path("tiny.json").write_text(json.dumps(TINY_CLIP), encoding="utf-8")
    Path("annotations").mkdir()
    write_table(Path(), {f"{video.id}.mp4": video.labels[0] for video in VIDEOS})
    write_manifest(paths.manifest(NAME), VIDEOS)


def listed() -> None:
    """Two videos that have not been probed yet."""
    two_videos()
    paths.manifest(NAME).unlink()
    for video in VIDEOS:
        Path(video.path).parent.mkdir(exist_ok=True)
        Path(video.path).write_bytes(video.id.encode())


def probe_all(videos: Sequence[ListedVideo], *_args: object) -> Probed:
    """Stands in for worker processes."""
    return Probed({video.id: VideoFacts(40, 25.0, 1.6, True, "0" * 64, None) for video in videos}, {}, 0)


def _features(recipe: store.Recipe, source: store.Source) -> Features:
    shape = (1, 10, 512) if recipe["modality"] == "visual" else (10, 512)
    values = np.random.default_rng(len(source.id)).normal(size=shape).astype("f2")
    return Features(source, recipe, values, np.ones(10, bool), np.arange(11) * 0.16, "none")


def encode(pending: Sequence[Pending], modality: Modality, cache: WorkCache, _settings: Any) -> Outcome:
    for video in pending:
        cache.put(_features(modality.recipe, video.source))
    return Outcome({}, 10 * len(pending))


def somebodys_cache() -> None:
    two_videos()
    for entry in needed(recipes(config.load())):
        WorkCache(Path("theirs")).put(_features(entry.recipe, store.Source(entry.id, entry.content_hash, 40, 25.0)))


def trainable() -> None:
    _write_trainable()
    Path("clip.safetensors").unlink()  # this detector does not read it


def _write_trainable(**sections: dict[str, Any]) -> None:
    variants = {"mil": {"kind": "deep_mil", "hidden": [8, 4], "recipe": RECIPE}}
    write_training_project(Path(), make_videos(6, 3), {"visual": 1.0, "audio": 1.0}, **{"train": variants, **sections})


def trained() -> None:
    trainable()
    train.main(TRAINED, "mil", "0")


def taught() -> None:
    """A trained teacher and an untrained student; :func:`read_classes` stands in for its text tower."""
    teacher, student = (
        {"kind": kind, "local_window": 8, "recipe": {**RECIPE, "rounds": 1}} for kind in ("audio_visual", "student")
    )
    _write_trainable(train={"audio_visual": teacher}, distill={"visual_student": student})
    train.main(TRAINED, "audio_visual", "0")
    Path("clip.safetensors").unlink()


@cache
def read_classes(_clip: Clip, classes: tuple[str, ...]) -> TextTower:
    """A text tower without a checkpoint, the same one every time."""
    return text_tower(classes)


def packable() -> None:
    """Features, and descriptions of detectors that were never trained."""
    two_videos()
    made = recipes(config.load())[NAME]
    for modality, recipe in made.items():
        for video in VIDEOS:
            source = store.Source(video.id, video.content_hash, video.n_frames, video.frame_rate)
            store.write(paths.features(NAME, modality) / f"{video.id}.h5", _features(recipe, source))
    modalities: dict[str, tuple[ModalityName, ...]] = {
        "audio_visual": ("visual", "audio"),
        "visual_student": ("visual",),
    }
    for variant, seen in modalities.items():
        wanted = {name: dict(made[name]) for name in seen}
        described = Description(
            **{"dataset": NAME, "variant": variant, "kind": "toy", "settings": {}, "modalities": seen},
            **{"dimensions": {}, "classes": ("normal", "fighting"), "recipes": wanted, "text_tower": None},
            **{"selection": "last", "round": 1, "seed": 0},
        )
        write_description(paths.run(NAME, variant, 0), described)


def scored() -> None:
    two_videos()
    write_ground_truth(paths.ground_truth(NAME), [Segment("v1", "fighting", 10, 30)])
    made_by = {"dataset": NAME, "trained_on": NAME, "variant": "audio_visual"}
    made = make_scores(VIDEOS, ("normal", "fighting"), 4, np.random.default_rng(0), **made_by)
    scores.write(paths.scores(NAME, "audio_visual", 0), made)


def evaluated() -> None:
    """Every result about the two videos, which do not exist."""
    scored()
    evaluate.main(NAME)
    players.main(NAME)
    csv_file.write(paths.distances(NAME), DISTANCES_HEADER, [(video.id, "0.5") for video in VIDEOS])


def draw_nothing(*_args: object) -> Figure:
    return Figure(figsize=(0.1, 0.1))


def draw_plots(_tables: Path, folder: Path) -> list[Path]:
    """One picture instead of six."""
    save(draw_nothing(), folder / "ROC.png")
    return [folder / "ROC.png"]


def released() -> None:
    train_id, test_id = "a__#1_label_A", "b__#1_label_B1-0-0"
    folder = Path("release")
    for id_, view in ((train_id, 0), (test_id, release.TEST_VIEW)):
        release.save(folder / "visual" / f"{id_}__{view}.npy", np.ones((3, 4)))
        release.save(folder / "audio" / f"{id_}.npy", np.ones((3, 4)))
    release.write_lists(folder / "list", [train_id], [test_id], n_views=1)
    release.write_annotations(folder / "list", {test_id: [("B1", 5, 20)]})
    Path("params.yaml").write_text("datasets: {}\n", encoding="utf-8")


def arrays() -> None:
    write_dataset(Path("in"), {"visual": 6})
    shutil.copy(ROOT / "params.yaml", "params.yaml")


def video() -> None:
    shutil.copyfile(NOISE, "a.mp4")


class Predictor:
    """A predictor that looks at no video."""

    alarm = Alarm(branch="alignment", threshold=0.5)
    identity = "none"

    description = SimpleNamespace(dataset="toy", detector="audio_visual", student="visual_student")

    def __init__(self, *_args: object, **_options: object) -> None:
        pass

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *_args: object) -> None:
        pass

    def predict(self, path: Path, video_id: str, **_options: object) -> Prediction:
        return make_prediction(video_id, path=str(path))

    def in_worker(self, *_args: object) -> bytes:
        return b"a picture of the sound"
