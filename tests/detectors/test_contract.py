"""What every detector must satisfy: a new file in avadclip/detectors is tested here without further code.

A kind whose defaults are too slow or too careful for toy data gets a line in `QUICK`.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch import Tensor

from avadclip import config, paths
from avadclip.config.features import Modality
from avadclip.config.variants import Variant
from avadclip.datasets.manifest import read_manifest
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.detectors.description import read_description
from avadclip.detectors.inference import SnippetScores, detect
from avadclip.detectors.parts import losses
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Scores, Targets
from avadclip.detectors.registry import build, kinds, needs, settings_of
from avadclip.detectors.settings import Settings
from avadclip.errors import ConfigError
from avadclip.store.video import VideoFeatures, open_folders, read_video
from avadclip.training import loop, preparation
from avadclip.training.bags import sample_length
from avadclip.training.preparation import Run
from avadclip.training.run import train
from tests.docs import zoo_table
from tests.support.dvc_project import ROOT
from tests.support.training_factory import (
    CLASSES,
    EMBEDDING,
    NAME,
    STRIDE,
    TEXT_WIDTH,
    WIDTHS,
    anomalous_snippets,
    make_videos,
    random_batch,
    text_tower,
    write_training_project,
)

TOY = "tests.support.toy_detectors"
REGULARISED = "tests.support.regularised_detector"
KINDS = [*kinds(), TOY, REGULARISED]
QUICK: dict[str, dict[str, Any]] = {
    "anomaly_clip": {"width": 16, "heads": 2, "recipe": {"optimizer": {"learning_rate": 1e-2}}},
    "avcl": {"width": 32, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "audio_visual": {"recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "clip_tsa": {"hidden": [16, 8], "dropout": 0.2, "ignored": 0.2, "margin": 5.0},
    "avvd": {"dropout": 0.2, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "cupl": {"hidden": [32, 8], "dropout": 0.2, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "efficient_prompt": {"recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "fvai": {"width": 32, "dropout": 0.2, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "hl_net": {"dropout": 0.2, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "rtfm": {"hidden": [16, 8], "dropout": 0.2, "ignored": 0.2, "margin": 5.0},
    "bn_wvad": {"width": 32, "head_width": 8, "mlp_width": 32, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "macil_sd": {"width": 32, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "pel4vad": {"attention_width": 16, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "tpwng": {"layers": 2, "reach": 16, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "student": {"distillation": "none", "local_window": 8, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "ur_dmu": {"width": 32, "head_width": 8, "mlp_width": 32, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
    "vadclip": {"local_window": 8, "recipe": {"optimizer": {"learning_rate": 3e-3}}},
}
SYSTEMS = {kind: row for row in zoo_table.table("The zoo") for kind in re.findall(r"`(\w+)`", row["`kind`"])}
SHORT = {"rounds": 2, "steps_per_round": 4, "batch_size": 8, "bag": {"length": 16}}
LONG = {"rounds": 6, "steps_per_round": 15, "bag": {"length": 32}}
N_VIEWS = 2


class KilledError(Exception):
    """Stands for a power cut."""


def settings_for(kind: str, **recipe: Any) -> Settings:
    values = dict(QUICK.get(kind, {}))
    values["recipe"] = values.get("recipe", {}) | recipe
    return settings_of(kind, values)


def detector_of(kind: str, **values: Any) -> Detector:
    settings = settings_of(kind, QUICK.get(kind, {}) | values)
    wanted = needs(kind, settings)
    widths: dict[Modality, int] = {modality: WIDTHS[modality] for modality in wanted.modalities}
    torch.manual_seed(0)
    if not wanted.text_tower:
        return build(kind, settings, Dimensions(widths, len(CLASSES), 32))
    return build(kind, settings, Dimensions(widths, len(CLASSES), 32, EMBEDDING, TEXT_WIDTH, 77), text_tower())


def scores_of(detector: Detector, batch: Batch) -> Scores:
    return detector.scores(detector(batch), batch)


def arrays(scores: Scores) -> list[Tensor]:
    return [x for x in (scores.anomaly, scores.class_probabilities, scores.uncertainty) if x is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_ranges(kind: str) -> None:
    detector = detector_of(kind).eval()
    n = detector.n_positions(32)
    scores = scores_of(detector, random_batch([32, 9, 1], n))
    assert scores.anomaly.shape == (3, n)
    assert scores.anomaly.dtype == torch.float32
    assert ((scores.anomaly >= 0) & (scores.anomaly <= 1)).all()
    if kind in SYSTEMS:  # the others are toys
        assert (scores.class_probabilities is not None) == (SYSTEMS[kind]["says which class"] == "yes")
    if scores.class_probabilities is not None:
        assert scores.class_probabilities.shape == (3, n, len(CLASSES))
        torch.testing.assert_close(scores.class_probabilities.sum(dim=2), torch.ones(3, n))
    if scores.uncertainty is not None:
        assert scores.uncertainty.shape == (3, n)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_influences_nothing_or_the_detector_says_so(kind: str) -> None:
    detector = detector_of(kind).eval()
    n = max(32, detector.n_positions(9))
    batch = random_batch([9], n)
    garbage = {
        name: torch.where(batch.valid[:, :, None], getattr(batch, name), 3.0)
        for name in ("visual", "audio")
        if getattr(batch, name) is not None
    }
    with torch.no_grad():
        difference = max(
            float((a[:, :9] - b[:, :9]).abs().max())
            for a, b in zip(
                arrays(scores_of(detector, batch)),
                arrays(scores_of(detector, replace(batch, **garbage))),
                strict=True,
            )
        )
    assert (difference > 1e-6) == detector.padding_matters


@pytest.mark.parametrize("kind", KINDS)
def test_every_trainable_parameter_gets_a_gradient(kind: str) -> None:
    detector = detector_of(kind).train()
    batch = random_batch([32, 20, 9, 5], detector.n_positions(32))
    labels = torch.eye(3)[[0, 1, 2, 0]]
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in detector.parameters():  # one that begins as zero hides the gradients of others
            parameter.add_(0.01 * torch.randn_like(parameter))
    output = detector(batch)
    torch.stack(list(detector.losses(output, batch, Targets(labels)).values())).sum().backward()
    grouped = {id(p) for group in detector.parameter_groups().values() for p in group}
    trainable = {name: p for name, p in detector.named_parameters() if p.requires_grad}
    without = [name for name, p in trainable.items() if p.grad is None or not p.grad.abs().max() > 0]
    assert without == []
    assert {id(p) for p in detector.parameters() if p.requires_grad} == grouped


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_from_segments_and_only_in_videos_that_have_some(kind: str) -> None:
    detector = detector_of(kind).train()
    batch = random_batch([32, 20, 9, 5], detector.n_positions(32))
    confidences = detector.confidences(detector(batch), batch)
    assert confidences.shape[:2] == batch.valid.shape
    assert ((confidences >= 0) & (confidences <= 1)).all()
    confidences.retain_grad()
    share = torch.where(torch.tensor([False, True, True, False])[:, None], 0.75, -1.0) * batch.valid
    losses.segments(confidences, share, batch.valid).backward()
    assert confidences.grad is not None
    counted = batch.valid & (share > 0)
    assert ((confidences.grad != 0).all(dim=2) == counted).all()
    gradients = [p.grad for p in detector.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_every_loss_term_has_a_weight_in_the_published_recipe(kind: str) -> None:
    detector = detector_of(kind).train()
    batch = random_batch([32, 20, 9, 5], detector.n_positions(32))
    terms = detector.losses(detector(batch), batch, Targets(torch.eye(3)[[0, 1, 2, 0]]))
    assert terms.keys() <= settings_of(kind, {}).recipe.loss_weights.keys()
    assert all(term.dim() == 0 and term.dtype == torch.float32 for term in terms.values())


@pytest.mark.slow
@pytest.mark.parametrize(("n", "silent"), [(1, False), (1, True), (2, False), (2, True), (4_000, False)])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_finite_for_any_video(kind: str, n: int, silent: bool) -> None:
    random = np.random.default_rng(0)
    audio = random.standard_normal((n, WIDTHS["audio"])).astype(np.float16)
    video = VideoFeatures(
        "a",
        visual=random.standard_normal((N_VIEWS, n, WIDTHS["visual"])).astype(np.float16),
        audio=np.zeros_like(audio) if silent else audio,
        audio_valid=np.full(n, not silent),
    )
    found = detect(detector_of(kind).eval(), video, "cpu")
    for array in (found.anomaly_confidence, found.class_probabilities, found.uncertainty):
        assert array is None or (len(array) == n and np.isfinite(array).all())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with anomalies that are easy to see and to hear."""
    root = tmp_path_factory.mktemp("project")
    write_training_project(
        root, make_videos(24, 12), {"visual": 3.0, "audio": 3.0}, n_views=N_VIEWS, selection={"by": "last"}
    )
    return root


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def train_kind(kind: str, variant: str, seed: int = 0, **recipe: Any) -> bytes:
    """Train a detector of this kind; return the bytes of its weights."""
    params = config.load()
    values = settings_for(kind, **(SHORT | recipe)).model_dump(mode="json")
    section = Variant.model_validate({"kind": kind, **values})
    train(Run(NAME, params.dataset(NAME), variant, section, f"train.{variant}", seed), params.compute)
    return (paths.run(NAME, variant, seed) / "model.safetensors").read_bytes()


def variant_of(kind: str) -> str:
    return kind.rpartition(".")[2]


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes_another_seed_others_and_killed_is_as_if_never(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = variant_of(kind)
    first = train_kind(kind, variant)
    assert train_kind(kind, variant, seed=1) != first
    save_state, rounds = loop.save_state, []

    def save_and_die(*args: Any) -> None:
        save_state(*args)
        rounds.append(args[2].round)
        if len(rounds) == 1:
            raise KilledError

    monkeypatch.setattr(loop, "save_state", save_and_die)
    with pytest.raises(KilledError):
        train_kind(kind, variant)
    torch.manual_seed(1)
    assert train_kind(kind, variant) == first
    assert rounds == sorted(set(rounds))  # no round was computed twice


@dataclass(frozen=True)
class Trained:
    """The result of a training that is long enough to learn something."""

    kind: str
    detector: Detector
    run: Path
    n_towers: int  # how many text towers were loaded


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest, project: Path) -> Trained:
    """Train a kind of detector once for all the tests that use it."""
    kind, variant = request.param, f"{variant_of(request.param)}_long"
    detectors: list[Detector] = []
    towers: list[object] = []
    fit, text_tower_of = loop.fit, preparation.text_tower
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(
            "avadclip.training.run.fit",
            lambda detector, *args, **kw: detectors.append(detector) or fit(detector, *args, **kw),
        )
        patch.setattr(preparation, "text_tower", lambda *args: towers.append(args) or text_tower_of(*args))
        train_kind(kind, variant, **LONG)
    return Trained(kind, detectors[0], paths.run(NAME, variant, 0), len(towers))


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("trained", KINDS, indirect=True)
def test_a_loaded_detector_says_what_the_trained_one_said(trained: Trained) -> None:
    loaded = load_checkpoint(trained.run).detector
    video = read_video(open_folders(NAME, loaded.modalities), "video030")
    expected, found = detect(trained.detector, video, "cpu"), detect(loaded, video, "cpu")
    assert np.array_equal(expected.anomaly_confidence, found.anomaly_confidence)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("trained", KINDS, indirect=True)
def test_only_who_needs_the_text_tower_loads_it(trained: Trained) -> None:
    assert bool(trained.n_towers) == needs(trained.kind, settings_for(trained.kind)).text_tower
    assert (read_description(trained.run).text_tower is not None) == bool(trained.n_towers)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("trained", KINDS, indirect=True)
def test_beats_chance_clearly_where_anomalies_are_easy(trained: Trained) -> None:
    detector = load_checkpoint(trained.run).detector
    folders = open_folders(NAME, detector.modalities)
    truths, scores = [], []
    for video in (video for video in read_manifest(paths.manifest(NAME)) if video.split == "test"):
        found: SnippetScores = detect(detector, read_video(folders, video.id), "cpu")
        truth = np.zeros(-(-video.n_frames // STRIDE))
        truth[anomalous_snippets(video)] = 1
        truths.append(truth)
        scores.append(found.anomaly_confidence)
    assert roc_auc_score(np.concatenate(truths), np.concatenate(scores)) > 0.8


@pytest.mark.usefixtures("here")
def test_hooks_are_called_and_what_is_only_for_training_is_not_saved() -> None:
    train_kind(TOY, "toy_hooks", rounds=2, bag={"kind": "blocks", "length": 4, "block_snippets": 3})
    folder = paths.run(NAME, "toy_hooks", 0)
    saved = load_file(folder / "model.safetensors")
    assert not any(name.startswith("training_only") for name in saved)
    assert saved["rounds_seen"] == 4  # two phases of two rounds
    assert saved["normal_mean"].abs().max() > 0
    assert load_checkpoint(folder).detector.dimensions.max_snippets == sample_length(settings_of(TOY, {}).recipe.bag)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("audio_visuel", "params.yaml: train.x.kind: no detector of kind 'audio_visuel'; .*did you mean audio_visual?"),
        ("protocol", "no detector of kind 'protocol'"),
        ("tests.support.nothing", "no detector of kind"),
        ("tests.support.training_factory", "must define exactly one subclass of Detector, found none"),
    ],
)
def test_unknown_kinds_are_refused(kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_of(kind, {}, "train.x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hiden": [4, 2]}, r"params\.yaml: train\.x\.hiden: unknown key"),
        ({"recipe": {"bag": {"length": 0}}}, r"train\.x\.recipe\.bag\.length: .*greater than or equal to 1, found 0"),
        ({"recipe": {"optimizer": {"name": "lion"}}}, r"train\.x\.recipe\.optimizer\.name: .*found 'lion'"),
    ],
)
def test_wrong_settings_are_one_line_that_names_the_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_of("deep_mil", values, "train.x")


def test_part_of_a_recipe_overrides_those_keys_alone() -> None:
    published = settings_of("deep_mil", {}).recipe
    changed = settings_of("deep_mil", {"recipe": {"rounds": 3, "loss_weights": {"sparse": 0.0}}}).recipe
    assert changed == published.model_copy(
        update={"rounds": 3, "loss_weights": published.loss_weights | {"sparse": 0.0}}
    )


def test_published_recipes_of_avadclip() -> None:
    params = config.load(ROOT / "params.yaml")
    for dataset, ukd in (("xd_violence", 1e-8), ("cctv_fights_sub", 1e-7)):
        for variant in ("audio_visual", "visual_student", "audio_student"):
            section = params.variant(variant)
            assert isinstance(section, Variant)
            recipe = settings_of(section.kind, section.settings_on(dataset)).recipe
            assert (recipe.rounds, recipe.batch_size, recipe.optimizer.learning_rate) == (10, 96, 1e-5)
            assert (recipe.bag.length, recipe.schedule.milestones) == (256, (3, 6, 10))
            assert recipe.loss_weights.get("ukd", ukd) == ukd
