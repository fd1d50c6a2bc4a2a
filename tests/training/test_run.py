"""Training from files to files: reproducible to the byte, resumable, able to learn, and strict about its inputs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from sklearn.metrics import average_precision_score
from torch import Tensor

from avadclip import config, paths, store
from avadclip.config.training import Training
from avadclip.datasets.manifest import read_manifest, write_manifest
from avadclip.datasets.model import Video
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.detectors.inference import detect
from avadclip.detectors.parts import losses
from avadclip.errors import AvadclipError, CheckpointError, ConfigError, FeatureError, TrainingError
from avadclip.store.video import open_folders, read_video
from avadclip.training import loop
from avadclip.training.loop import learning_rate
from pipeline import distill, train
from tests.support.training_factory import (
    CLASSES,
    NAME,
    STRIDE,
    anomalous_snippets,
    make_videos,
    write_training_project,
)

QUICK = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3, "validation_fraction": 0.3}
TRAIN = {
    "audio_visual": {},
    "visual_baseline": {"modalities": ["visual"], "fusion": "none"},
    "audio_baseline": {"modalities": ["audio"], "fusion": "none"},
}
DISTILL = {"visual_student": {"local_window": 8}, "audio_student": {"local_window": 8, "modality": "audio"}}


def write(root: Path, videos: list[Video], strength: dict[str, float] | None = None, **sections: Any) -> None:
    sections = {"training": QUICK, "train": TRAIN, "distill": DISTILL} | sections
    write_training_project(root, videos, strength or {"visual": 1.0, "audio": 2.0}, **sections)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, make_videos(18, 9))
    return tmp_path


def checkpoint_bytes(variant: str) -> tuple[bytes, bytes]:
    folder = paths.run(NAME, variant)
    return (folder / "model.safetensors").read_bytes(), (folder / "model.json").read_bytes()


def set_params(**training: Any) -> None:
    yaml = YAML(typ="safe")
    params = yaml.load(Path("params.yaml"))
    params["datasets"][NAME]["training"].update(training)
    with Path("params.yaml").open("w") as file:
        yaml.dump(params, file)


def test_trained_twice_is_the_same_and_another_seed_is_not(project: Path) -> None:
    train.main(NAME, "audio_visual")
    distill.main(NAME, "visual_student")
    first = checkpoint_bytes("audio_visual"), checkpoint_bytes("visual_student")
    train.main(NAME, "audio_visual")
    distill.main(NAME, "visual_student")
    assert (checkpoint_bytes("audio_visual"), checkpoint_bytes("visual_student")) == first
    set_params(seed=1)
    train.main(NAME, "audio_visual")
    assert checkpoint_bytes("audio_visual")[0] != first[0][0]


class KilledError(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize("selection", ["validation", "last", "released_test_selected"])
@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_killed_and_resumed_is_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, selection: str, killed_after: int
) -> None:
    set_params(selection=selection)
    train.main(NAME, "audio_visual")
    expected = checkpoint_bytes("audio_visual")
    save_state, epochs = loop.save_state, []

    def save_and_die(*args: Any) -> None:
        save_state(*args)
        epochs.append(args[2].epoch)
        if epochs[-1] == killed_after:
            raise KilledError

    for file in paths.run(NAME, "audio_visual").glob("model.*"):
        file.unlink()
    monkeypatch.setattr(loop, "save_state", save_and_die)
    with pytest.raises(KilledError):
        train.main(NAME, "audio_visual")
    torch.manual_seed(12345)  # whatever happened in the meantime
    train.main(NAME, "audio_visual")
    assert epochs == [1, 2, 3]  # no epoch was computed twice
    assert checkpoint_bytes("audio_visual") == expected
    assert not (paths.run(NAME, "audio_visual") / "resume.safetensors").exists()


def test_a_state_of_other_parameters_or_a_damaged_one_is_not_used(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.main(NAME, "visual_baseline")
    expected = checkpoint_bytes("visual_baseline")
    state = paths.run(NAME, "visual_baseline") / "resume.safetensors"
    set_params(learning_rate=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", lambda training, epoch: training.learning_rate if epoch < 3 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train.main(NAME, "visual_baseline")
    assert state.exists()
    set_params(learning_rate=QUICK["learning_rate"])
    train.main(NAME, "visual_baseline")
    assert checkpoint_bytes("visual_baseline") == expected
    state.write_bytes(b"cut")
    train.main(NAME, "visual_baseline")
    assert checkpoint_bytes("visual_baseline") == expected


def test_what_a_run_leaves(project: Path) -> None:
    train.main(NAME, "audio_visual")
    run = paths.run(NAME, "audio_visual")
    assert sorted(path.name for path in run.iterdir()) == ["curves", "model.json", "model.safetensors"]
    curves = {str(path.relative_to(run / "curves/plots/metrics")) for path in run.rglob("*.tsv")}
    assert curves == {
        "average_precision.tsv",
        "learning_rate.tsv",
        "loss/align.tsv",
        "loss/binary.tsv",
        "loss/text.tsv",
        "samples_per_second.tsv",
    }
    points = (run / "curves/plots/metrics/loss/align.tsv").read_text().splitlines()[1:]
    assert [point.split("\t")[0] for point in points] == ["1", "2", "3"]
    assert not Path("dvc.yaml").exists()
    description = json.loads((run / "model.json").read_text())
    assert description["selection"] == "validation"
    assert description["classes"] == list(CLASSES)
    assert description["recipes"] == {m: {"modality": m, "stride": 4} for m in ("audio", "visual")}
    assert set(description["text_tower"]) == {"encoder", "sha256"}


def test_selection_on_the_test_set_is_labelled(project: Path) -> None:
    set_params(selection="released_test_selected")
    train.main(NAME, "visual_baseline")
    assert load_checkpoint(paths.run(NAME, "visual_baseline")).description.selection == "released_test_selected"


def test_the_best_epoch_is_chosen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.7, 0.7])
    monkeypatch.setattr("avadclip.training.run.validation_judge", lambda *args: lambda detector: next(scores))
    train.main(NAME, "visual_baseline")
    assert load_checkpoint(paths.run(NAME, "visual_baseline")).description.epoch == 2


def test_learning_rate_falls_after_each_milestone() -> None:
    training = Training(learning_rate=1.0, gamma=0.1, milestones=(3, 6))
    rates = [learning_rate(training, epoch) for epoch in range(1, 9)]
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_bfloat16_is_near_float32(project: Path) -> None:
    def last_losses() -> dict[str, float]:
        train.main(NAME, "audio_visual")
        metrics = json.loads((paths.run(NAME, "audio_visual") / "curves/metrics.json").read_text())
        return dict(metrics["loss"])

    set_params(selection="last")
    exact = last_losses()
    set_params(precision="bfloat16")
    # bfloat16 has 8 bits, so a relative step of 4e-3; three epochs add some of them up
    assert last_losses() == pytest.approx(exact, rel=0.05)


def snippet_ap(variant: str, videos: list[Video]) -> float:
    """Average precision over the snippets of the test videos."""
    detector = load_checkpoint(paths.run(NAME, variant)).detector
    folders = open_folders(NAME, detector.modalities)
    truths, scores = [], []
    for video in (video for video in videos if video.split == "test"):
        scores.append(detect(detector, read_video(folders, video.id), "cpu").anomaly_confidence)
        truths.append(np.zeros(len(scores[-1])))
        truths[-1][anomalous_snippets(video)] = 1
    return float(average_precision_score(np.concatenate(truths), np.concatenate(scores)))


TOY = {"epochs": 16, "batch_size": 15, "learning_rate": 4e-3, "milestones": [], "selection": "last"}


def test_sound_alone_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    videos = make_videos(90, 45)
    write(tmp_path, videos, {"visual": 0.0, "audio": 2.0}, training=TOY)
    for variant in TRAIN:
        train.main(NAME, variant)
    assert snippet_ap("audio_visual", videos) > 0.95
    assert snippet_ap("audio_baseline", videos) > 0.95
    tests = [video for video in videos if video.split == "test"]
    n_snippets = sum(-(-video.n_frames // STRIDE) for video in tests)
    chance = sum(len(range(n_snippets)[anomalous_snippets(video)]) for video in tests) / n_snippets
    assert snippet_ap("visual_baseline", videos) == pytest.approx(chance, abs=0.1)


def test_a_teacher_who_hears_helps_a_student_who_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    videos = make_videos(60, 90)
    students = {
        "taught": {"local_window": 8, "normalize_features": True},
        "alone": {"local_window": 8, "distillation": "none"},
    }
    weights = {"binary": 1.0, "align": 1.0, "text": 1e-4, "ukd": 3.0}
    write(tmp_path, videos, {"visual": 0.4, "audio": 2.0}, training=TOY | {"loss_weights": weights}, distill=students)
    train.main(NAME, "audio_visual")
    for variant in students:
        distill.main(NAME, variant)
    teacher, taught, alone = (snippet_ap(variant, videos) for variant in ("audio_visual", "taught", "alone"))
    assert taught > alone
    assert taught > 0.8 * teacher


def edit_manifest(change: Any) -> None:
    videos = [change(video) for video in read_manifest(paths.manifest(NAME))]
    write_manifest(paths.manifest(NAME), [video for video in videos if video is not None])


def without_class(name: str) -> Any:
    return lambda: edit_manifest(lambda video: None if name in video.labels and video.split == "train" else video)


def only_tests() -> None:
    edit_manifest(lambda video: replace(video, split="test"))


def all_normal() -> None:
    edit_manifest(lambda video: replace(video, labels=("normal",)) if video.split == "train" else video)


def no_features() -> None:
    (paths.features(NAME, "audio") / "video004.h5").unlink()


WRONG: list[tuple[Any, type[AvadclipError], str]] = [
    (without_class("car accident"), TrainingError, "no training video has class car accident"),
    (only_tests, TrainingError, "no training videos"),
    (all_normal, TrainingError, "needs normal and anomalous videos, found 6 normal and 0|are normal"),
    (no_features, FeatureError, r"video004\.h5: no such feature file"),
    (lambda: set_params(loss_weights={"binary": 1.0, "text": 1.0}), ConfigError, "no weight for align"),
]


@pytest.mark.parametrize(("spoil", "error", "message"), WRONG)
def test_wrong_inputs_are_one_clear_error(project: Path, spoil: Any, error: type[Exception], message: str) -> None:
    spoil()
    with pytest.raises(error, match=message):
        train.main(NAME, "audio_visual")
    assert not (paths.run(NAME, "audio_visual") / "model.json").exists()


def test_excluded_videos_are_not_read(project: Path) -> None:
    no_features()
    edit_manifest(lambda video: replace(video, excluded="broken") if video.id == "video004" else video)
    train.main(NAME, "audio_visual")


def test_unknown_variants_are_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match="no variant 'visual_student' under `train`; there are: audio_visual"):
        train.main(NAME, "visual_student")


def test_teacher_must_exist_and_fit(project: Path) -> None:
    with pytest.raises(CheckpointError, match=r"runs/toy/audio_visual/model\.safetensors: no such file"):
        distill.main(NAME, "visual_student")
    train.main(NAME, "audio_visual")
    set_params(max_snippets=24)
    with pytest.raises(CheckpointError, match=r"teacher toy/audio_visual: expected .*24.*found .*32.*train"):
        distill.main(NAME, "visual_student")
    set_params(max_snippets=32)
    for path in paths.features(NAME, "visual").glob("*.h5"):
        store.write(path, replace(store.read(path), recipe={"modality": "visual", "stride": 16}))
    with pytest.raises(CheckpointError, match=r"visual features with stride 4 \(found 16\)"):
        distill.main(NAME, "visual_student")


def test_a_loss_that_is_not_finite_stops_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    align, calls = losses.align, []

    def overflow(*args: Tensor) -> Tensor:
        calls.append(1)
        return align(*args) * (torch.inf if len(calls) == 4 else 1)

    monkeypatch.setattr(losses, "align", overflow)
    with pytest.raises(TrainingError, match="epoch 2, step 2: loss align is not finite"):
        train.main(NAME, "audio_visual")


def test_a_gradient_that_is_not_finite_stops_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def steep(class_embeddings: Tensor) -> Tensor:
        return class_embeddings.sum().sub(class_embeddings.sum().detach()).abs().sqrt()  # 0, with an infinite slope

    monkeypatch.setattr(losses, "text", steep)
    with pytest.raises(TrainingError, match=r"epoch 1, step 1: gradient of branches\.prompts\.context is not finite"):
        train.main(NAME, "audio_visual")


def test_the_teacher_is_not_trained(project: Path) -> None:
    train.main(NAME, "audio_visual")
    before = checkpoint_bytes("audio_visual")
    distill.main(NAME, "audio_student")
    assert checkpoint_bytes("audio_visual") == before
    teacher = load_checkpoint(paths.run(NAME, "audio_visual")).detector
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_student_needs_a_known_teacher_and_a_name_of_its_own(project: Path) -> None:
    yaml = YAML(typ="safe")
    params = yaml.load(Path("params.yaml"))
    with pytest.raises(ConfigError, match="teacher: 'nobody' is no variant under `train`"):
        config.validate(params | {"teacher": "nobody"}, "params.yaml")
    with pytest.raises(ConfigError, match="`train` and `distill` both have a variant 'audio_visual'"):
        config.validate(params | {"distill": {"audio_visual": {}}}, "params.yaml")


UNFIT = [{"fusion": "none"}, {"modalities": ["visual"]}, {"modalities": ["audio"] * 2}]


@pytest.mark.parametrize("architecture", UNFIT)
def test_fusion_has_to_fit_the_modalities(project: Path, architecture: dict[str, Any]) -> None:
    params = YAML(typ="safe").load(Path("params.yaml"))
    with pytest.raises(ConfigError, match=r"train\.x.*modalit"):
        config.validate(params | {"train": params["train"] | {"x": architecture}}, "params.yaml")
