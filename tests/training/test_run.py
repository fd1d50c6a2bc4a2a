"""Training with real files: reproducible to the byte, resumable, able to learn, and strict about its inputs."""

import json
from collections.abc import Callable
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
from avadclip.datasets.manifest import read_manifest, write_manifest
from avadclip.datasets.model import Video
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.detectors.inference import detect
from avadclip.detectors.parts import losses
from avadclip.detectors.registry import settings_of
from avadclip.errors import AvadclipError, CheckpointError, ConfigError, FeatureError, TrainingError
from avadclip.store.video import open_folders, read_video
from avadclip.training import loop
from pipeline import distill, train
from tests.support.training_factory import (
    CLASSES,
    NAME,
    STRIDE,
    anomalous_snippets,
    make_videos,
    write_training_project,
)

SEED = "0"
SHORT = {"kind": "shorten", "length": 32}
QUICK = {"rounds": 3, "batch_size": 8, "optimizer": {"learning_rate": 1e-3}, "bag": SHORT}
TRAIN: dict[str, dict[str, Any]] = {
    "audio_visual": {"kind": "audio_visual"},
    "visual_baseline": {"kind": "audio_visual", "modalities": ["visual"], "fusion": "none"},
    "audio_baseline": {"kind": "audio_visual", "modalities": ["audio"], "fusion": "none"},
}
DISTILL: dict[str, dict[str, Any]] = {
    "visual_student": {"kind": "student", "local_window": 8},
    "audio_student": {"kind": "student", "local_window": 8, "modality": "audio"},
}


def write(
    root: Path,
    videos: list[Video],
    strength: dict[str, float] | None = None,
    recipe: dict[str, Any] = QUICK,
    selection: str = "validation",
    **sections: dict[str, dict[str, Any]],
) -> None:
    sections = {"train": TRAIN, "distill": DISTILL} | sections
    trained = {name: {key: v | {"recipe": recipe} for key, v in section.items()} for name, section in sections.items()}
    chosen = {"by": selection, "validation_fraction": 0.3}
    write_training_project(root, videos, strength or {"visual": 1.0, "audio": 2.0}, selection=chosen, **trained)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, make_videos(18, 9))
    return tmp_path


def checkpoint_bytes(variant: str) -> tuple[bytes, bytes]:
    folder = paths.run(NAME, variant, int(SEED))
    return (folder / "model.safetensors").read_bytes(), (folder / "model.json").read_bytes()


def set_recipe(**recipe: Any) -> None:
    """Change the recipe of every variant."""
    _edit_params(lambda params: [v["recipe"].update(recipe) for s in ("train", "distill") for v in params[s].values()])


def select_by(selection: str) -> None:
    _edit_params(lambda params: params["datasets"][NAME]["selection"].update(by=selection))


def _edit_params(edit: Callable[[Any], object]) -> None:
    yaml = YAML(typ="safe")
    params = yaml.load(Path("params.yaml"))
    edit(params)
    with Path("params.yaml").open("w") as file:
        yaml.dump(params, file)


@pytest.mark.slow
def test_trained_twice_is_the_same_and_another_seed_is_not(project: Path) -> None:
    train.main(NAME, "audio_visual", SEED)
    distill.main(NAME, "visual_student", SEED)
    first = checkpoint_bytes("audio_visual"), checkpoint_bytes("visual_student")
    train.main(NAME, "audio_visual", SEED)
    distill.main(NAME, "visual_student", SEED)
    assert (checkpoint_bytes("audio_visual"), checkpoint_bytes("visual_student")) == first
    train.main(NAME, "audio_visual", "1")
    other = (paths.run(NAME, "audio_visual", 1) / "model.safetensors").read_bytes()
    assert other != first[0][0]
    assert checkpoint_bytes("audio_visual") == first[0]  # each seed has a folder of its own


def test_all_seeds_validate_on_the_same_videos(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = []
    monkeypatch.setattr(
        "avadclip.training.run.validation_score", lambda videos, *args: held_out.append(videos) or (lambda _: 0.5)
    )
    for seed in ("0", "7"):
        train.main(NAME, "visual_baseline", seed)
    assert held_out[0] == held_out[1]
    assert len(held_out[0]) > 0


class KilledError(Exception):
    """Stands for a power cut."""


@pytest.mark.slow
@pytest.mark.parametrize("selection", ["validation", "last", "released_test_selected"])
@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_killed_and_resumed_is_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, selection: str, killed_after: int
) -> None:
    select_by(selection)
    train.main(NAME, "audio_visual", SEED)
    expected = checkpoint_bytes("audio_visual")
    save_state, rounds = loop.save_state, []

    def save_and_die(*args: Any) -> None:
        save_state(*args)
        rounds.append(args[2].round)
        if rounds[-1] == killed_after:
            raise KilledError

    for file in paths.run(NAME, "audio_visual", int(SEED)).glob("model.*"):
        file.unlink()
    monkeypatch.setattr(loop, "save_state", save_and_die)
    with pytest.raises(KilledError):
        train.main(NAME, "audio_visual", SEED)
    torch.manual_seed(12345)  # whatever happened in the meantime
    train.main(NAME, "audio_visual", SEED)
    assert rounds == [1, 2, 3]  # no round was computed twice
    assert checkpoint_bytes("audio_visual") == expected
    assert not (paths.run(NAME, "audio_visual", int(SEED)) / "resume.safetensors").exists()


OTHER_RUNS = [
    ("avadclip.training.run.fingerprint", lambda modules: "other code"),
    ("avadclip.training.run.asdict", lambda video: {"id": video.id, "labels": "others"}),
]


@pytest.mark.slow
@pytest.mark.parametrize("change", OTHER_RUNS)
def test_a_state_of_another_run_or_a_damaged_one_is_not_used(
    project: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, Any]
) -> None:
    train.main(NAME, "visual_baseline", SEED)
    expected = checkpoint_bytes("visual_baseline")
    state = paths.run(NAME, "visual_baseline", int(SEED)) / "resume.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(*change)
        patch.setattr(loop, "set_learning_rate", lambda optimizer, recipe, round_: 1e-3 if round_ < 3 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train.main(NAME, "visual_baseline", SEED)
    assert state.exists()
    train.main(NAME, "visual_baseline", SEED)
    assert checkpoint_bytes("visual_baseline") == expected
    state.write_bytes(b"cut")
    train.main(NAME, "visual_baseline", SEED)
    assert checkpoint_bytes("visual_baseline") == expected


def test_what_a_run_leaves(project: Path) -> None:
    train.main(NAME, "audio_visual", SEED)
    run = paths.run(NAME, "audio_visual", int(SEED))
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
    select_by("released_test_selected")
    train.main(NAME, "visual_baseline", SEED)
    description = load_checkpoint(paths.run(NAME, "visual_baseline", int(SEED))).description
    assert description.selection == "released_test_selected"


def test_the_best_round_is_chosen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.7, 0.7])
    monkeypatch.setattr("avadclip.training.run.validation_score", lambda *args: lambda detector: next(scores))
    train.main(NAME, "visual_baseline", SEED)
    assert load_checkpoint(paths.run(NAME, "visual_baseline", int(SEED))).description.round == 2


@pytest.mark.slow
def test_bfloat16_is_near_float32(project: Path) -> None:
    def last_losses() -> dict[str, float]:
        train.main(NAME, "audio_visual", SEED)
        metrics = json.loads((paths.run(NAME, "audio_visual", int(SEED)) / "curves/metrics.json").read_text())
        return dict(metrics["loss"])

    select_by("last")
    exact = last_losses()
    set_recipe(precision="bfloat16")
    # bfloat16 has 8 bits of precision, so a relative step of 4e-3; over three rounds, some of these errors add up
    assert last_losses() == pytest.approx(exact, rel=0.05)


def snippet_ap(variant: str, videos: list[Video]) -> float:
    """Average precision over the snippets of the test videos."""
    detector = load_checkpoint(paths.run(NAME, variant, int(SEED))).detector
    folders = open_folders(NAME, detector.modalities)
    truths, scores = [], []
    for video in (video for video in videos if video.split == "test"):
        scores.append(detect(detector, read_video(folders, video.id), "cpu").anomaly_confidence)
        truths.append(np.zeros(len(scores[-1])))
        truths[-1][anomalous_snippets(video)] = 1
    return float(average_precision_score(np.concatenate(truths), np.concatenate(scores)))


TOY: dict[str, Any] = {
    "rounds": 16,
    "batch_size": 15,
    "optimizer": {"learning_rate": 4e-3},
    "schedule": {"kind": "constant"},
    "bag": SHORT,
}


@pytest.mark.slow
def test_sound_alone_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    videos = make_videos(90, 45)
    write(tmp_path, videos, {"visual": 0.0, "audio": 2.0}, TOY, "last")
    for variant in TRAIN:
        train.main(NAME, variant, SEED)
    assert snippet_ap("audio_visual", videos) > 0.95
    assert snippet_ap("audio_baseline", videos) > 0.95
    tests = [video for video in videos if video.split == "test"]
    n_snippets = sum(-(-video.n_frames // STRIDE) for video in tests)
    chance = sum(len(range(n_snippets)[anomalous_snippets(video)]) for video in tests) / n_snippets
    assert snippet_ap("visual_baseline", videos) == pytest.approx(chance, abs=0.1)


@pytest.mark.slow
def test_a_teacher_who_hears_helps_a_student_who_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    videos = make_videos(60, 90)
    students = {
        "taught": {"kind": "student", "local_window": 8, "normalize_features": True},
        "alone": {"kind": "student", "local_window": 8, "distillation": "none"},
    }
    recipe = TOY | {"loss_weights": {"ukd": 3.0}}
    write(tmp_path, videos, {"visual": 0.4, "audio": 2.0}, recipe, "last", distill=students)
    train.main(NAME, "audio_visual", SEED)
    for variant in students:
        distill.main(NAME, variant, SEED)
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
    (lambda: set_recipe(roundz=3), ConfigError, r"params\.yaml: train\.audio_visual\.recipe\.roundz: unknown key"),
    (lambda: set_recipe(rounds="3"), ConfigError, r"train\.audio_visual\.recipe\.rounds: .*valid integer, found '3'"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "error", "message"), WRONG)
def test_wrong_inputs_are_one_clear_error(project: Path, spoil: Any, error: type[Exception], message: str) -> None:
    spoil()
    with pytest.raises(error, match=message):
        train.main(NAME, "audio_visual", SEED)
    assert not (paths.run(NAME, "audio_visual", int(SEED)) / "model.json").exists()


def test_excluded_videos_are_not_read(project: Path) -> None:
    no_features()
    edit_manifest(lambda video: replace(video, excluded="broken") if video.id == "video004" else video)
    train.main(NAME, "audio_visual", SEED)


def test_unknown_variants_are_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match="no variant 'nobody' under `train` or `distill`; there are: audio_visual"):
        train.main(NAME, "nobody", SEED)
    with pytest.raises(TrainingError, match="learns from a teacher, but none is named; move it from `train`"):
        train.main(NAME, "visual_student", SEED)


@pytest.mark.slow
def test_teacher_must_exist_and_fit(project: Path) -> None:
    with pytest.raises(CheckpointError, match=r"runs/toy/audio_visual/seed0/model\.json: no such file"):
        distill.main(NAME, "visual_student", SEED)
    train.main(NAME, "audio_visual", SEED)
    set_recipe(bag={"kind": "shorten", "length": 24})
    with pytest.raises(CheckpointError, match=r"teacher toy/audio_visual: expected .*24.*found .*32.*train"):
        distill.main(NAME, "visual_student", SEED)
    set_recipe(bag=SHORT)
    for path in paths.features(NAME, "visual").glob("*.h5"):
        store.write(path, replace(store.read(path), recipe={"modality": "visual", "stride": 16}))
    with pytest.raises(CheckpointError, match=r"visual features with stride 4 \(found 16\)"):
        distill.main(NAME, "visual_student", SEED)


def test_a_loss_that_is_not_finite_stops_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    align, calls = losses.align, []

    def overflow(*args: Tensor) -> Tensor:
        calls.append(1)
        return align(*args) * (torch.inf if len(calls) == 4 else 1)

    monkeypatch.setattr(losses, "align", overflow)
    with pytest.raises(TrainingError, match="round 2, step 2: loss align is not finite"):
        train.main(NAME, "audio_visual", SEED)


def test_a_gradient_that_is_not_finite_stops_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def steep(class_embeddings: Tensor) -> Tensor:
        return class_embeddings.sum().sub(class_embeddings.sum().detach()).abs().sqrt()  # 0, with an infinite slope

    monkeypatch.setattr(losses, "text", steep)
    with pytest.raises(TrainingError, match=r"round 1, step 1: gradient of branches\.prompts\.context is not finite"):
        train.main(NAME, "audio_visual", SEED)


def test_the_teacher_is_not_trained(project: Path) -> None:
    train.main(NAME, "audio_visual", SEED)
    before = checkpoint_bytes("audio_visual")
    distill.main(NAME, "audio_student", SEED)
    assert checkpoint_bytes("audio_visual") == before
    teacher = load_checkpoint(paths.run(NAME, "audio_visual", int(SEED))).detector
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_student_needs_a_known_teacher_and_a_name_of_its_own(project: Path) -> None:
    yaml = YAML(typ="safe")
    params = yaml.load(Path("params.yaml"))
    with pytest.raises(ConfigError, match="teacher: 'nobody' is not a variant under `train`"):
        config.validate(params | {"teacher": "nobody"}, "params.yaml")
    with pytest.raises(ConfigError, match="`train` and `distill` both have a variant 'audio_visual'"):
        config.validate(params | {"distill": {"audio_visual": {"kind": "student"}}}, "params.yaml")


UNFIT = [{"fusion": "none"}, {"modalities": ["visual"]}, {"modalities": ["audio"] * 2}]


@pytest.mark.slow
@pytest.mark.parametrize("settings", UNFIT)
def test_fusion_has_to_fit_the_modalities(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml: train\.x.*modalit"):
        settings_of("audio_visual", settings, "train.x")
