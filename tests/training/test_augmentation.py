"""Augmented batches and averaged rounds: off by default, each has its stated effect, and both survive a kill."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from avadclip.config.features import Modality
from avadclip.detectors.protocol import Batch, Detector, LabelledBatch
from avadclip.detectors.registry import build, settings_of
from avadclip.detectors.settings import Augment, Bag
from avadclip.training import loop
from avadclip.training.augmentation import augmented
from avadclip.training.data import Sample, TrainingSet
from avadclip.training.reproducibility import seed_round
from tests.support.training_factory import WIDTHS, dimensions, random_batch, text_tower

BOTH: tuple[Modality, ...] = ("visual", "audio")
LENGTHS = [32, 20, 9, 1] * 16
NAMES = ("visual", "audio", "audio_valid")


def labelled(n_views: int = 1) -> LabelledBatch:
    """Make a batch: every third video is normal, every fifth has no sound; the views of a video are adjacent rows."""
    lengths = [length for length in LENGTHS for _ in range(n_views)]
    batch = random_batch(lengths, 32)
    assert batch.audio is not None
    assert batch.audio_valid is not None
    video = torch.arange(len(lengths)) // n_views
    audible = (video % 5 > 0)[:, None] & batch.audio_valid[video * n_views]  # views share their sound
    batch = replace(
        batch, audio=batch.audio[video * n_views] * audible[..., None], audio_valid=audible, n_views=n_views
    )
    return LabelledBatch(batch, torch.eye(3)[video % 3])


def changed(data: LabelledBatch, modalities: tuple[Modality, ...] = BOTH, seed: int = 0, **augment: float) -> Batch:
    before = [getattr(data.batch, name).clone() for name in NAMES]
    after = augmented(data, Augment(**augment), modalities, np.random.default_rng(seed))
    assert after.labels is data.labels
    assert after.batch.n_snippets is data.batch.n_snippets
    assert all(torch.equal(x, getattr(data.batch, name)) for x, name in zip(before, NAMES, strict=True))
    return after.batch


def where(batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
    """Return the features, and which snippets have any."""
    counted = batch.valid if modality == "visual" else batch.audio_valid
    assert counted is not None
    return getattr(batch, modality), counted


def test_by_default_nothing_is_changed_and_no_number_drawn() -> None:
    data, random = labelled(), np.random.default_rng(0)
    after = augmented(data, Augment(), BOTH, random)
    assert after.batch is data.batch
    assert random.bit_generator.state == np.random.default_rng(0).bit_generator.state


SWITCHES: list[dict[str, float]] = [
    {"feature_noise": 0.5},
    {"feature_dropout": 0.3},
    {"modality_dropout": 0.5},
    {"mix_normal": 0.9},
]


@pytest.mark.parametrize("augment", SWITCHES)
def test_the_generator_decides_and_what_holds_nothing_stays_zero(augment: dict[str, float]) -> None:
    data = labelled()
    first, again, other = (changed(data, seed=seed, **augment) for seed in (0, 0, 1))
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in NAMES)
    assert any(not torch.equal(getattr(first, name), getattr(other, name)) for name in NAMES)
    for modality in BOTH:
        features, counted = where(first, modality)
        assert features.dtype == torch.float32
        assert features[~counted].abs().max() == 0
    assert not (where(first, "audio")[1] & ~first.valid).any()


@pytest.mark.parametrize("strength", [0.1, 2.0])
def test_noise_is_in_units_of_the_root_mean_square(strength: float) -> None:
    data = labelled()
    after = changed(data, feature_noise=strength)
    for modality in BOTH:
        (clean, counted), (noisy, _) = where(data.batch, modality), where(after, modality)
        noise = (noisy - clean)[counted] / clean[counted].square().mean().sqrt()
        assert noise.std().item() == pytest.approx(strength, rel=0.05)  # some 6,000 samples
        assert abs(noise.mean().item()) < 0.05 * strength


def test_dropped_features_are_zero_and_the_others_make_up_for_them() -> None:
    data = labelled()
    after = changed(data, feature_dropout=0.25)
    for modality in BOTH:
        (clean, counted), (thinned, _) = where(data.batch, modality), where(after, modality)
        kept = thinned != 0
        assert kept[counted].float().mean().item() == pytest.approx(0.75, abs=0.03)
        torch.testing.assert_close(thinned[kept], clean[kept] / 0.75)


@pytest.mark.parametrize("n_views", [1, 3])
def test_a_video_loses_one_modality_and_never_its_only_one(n_views: int) -> None:
    data = labelled(n_views)
    after = changed(data, modality_dropout=0.6)
    (seen, _), (heard, audible) = where(after, "visual"), where(after, "audio")
    silent = ~where(data.batch, "audio")[1].any(dim=1)
    blind, deaf = (seen == 0).flatten(1).all(dim=1), ~audible.any(dim=1)
    assert torch.equal(deaf, (heard == 0).flatten(1).all(dim=1))
    assert not (blind & deaf).any()
    with_sound = ~silent
    assert (blind | deaf)[with_sound].float().mean().item() == pytest.approx(0.6, abs=0.2)  # of some 50 videos
    assert 0.2 < blind[with_sound].sum() / (blind | deaf)[with_sound].sum() < 0.8
    for modality, lost in (("visual", blind), ("audio", deaf)):
        assert torch.equal(getattr(after, modality)[~lost], getattr(data.batch, modality)[~lost])
        assert torch.equal(lost.view(-1, n_views).any(dim=1), lost.view(-1, n_views).all(dim=1))


@pytest.mark.parametrize("augment", [{"modality_dropout": 0.9}, {"feature_noise": 1.0}, {"feature_dropout": 0.5}])
def test_what_only_a_teacher_looks_at_stays(augment: dict[str, float]) -> None:
    data = labelled()
    after = changed(data, ("visual",), **augment)
    assert after.audio is data.batch.audio
    assert after.audio_valid is data.batch.audio_valid
    assert torch.equal(where(after, "visual")[0], where(data.batch, "visual")[0]) == ("modality_dropout" in augment)


@pytest.mark.slow
@pytest.mark.parametrize("n_views", [1, 2])
def test_normal_videos_take_runs_of_normal_videos(n_views: int) -> None:
    data = labelled(n_views)
    after = changed(data, mix_normal=0.9)
    normal = (data.labels[:, 0] > 0).tolist()
    n_mixed = 0
    for row, length in enumerate(data.batch.n_snippets.tolist()):
        differs = (where(after, "visual")[0][row] != where(data.batch, "visual")[0][row]).any(dim=1).nonzero().flatten()
        if not len(differs):
            continue
        n_mixed += 1
        assert normal[row]
        first, last = int(differs[0]), int(differs[-1])
        assert len(differs) == last - first + 1
        assert last < length
        sources = [
            (other, start)
            for other in range(row % n_views, len(normal), n_views)  # the same view
            for start in range(int(data.batch.n_snippets[other]) - len(differs) + 1)
            if torch.equal(where(after, "visual")[0][row, first], where(data.batch, "visual")[0][other, start])
        ]
        ((other, start),) = sources  # features are random, so there is exactly one source
        assert normal[other]
        assert other // n_views != row // n_views
        for name in NAMES:  # the sound is taken along
            taken = getattr(data.batch, name)[other, start : start + len(differs)]
            assert torch.equal(getattr(after, name)[row, first : last + 1], taken)
    assert n_mixed > 0.6 * sum(normal)


def test_a_single_normal_video_has_nothing_to_take() -> None:
    data = replace(labelled(), labels=torch.eye(3)[[0] + [1] * (len(LENGTHS) - 1)])
    assert torch.equal(where(changed(data, mix_normal=0.9), "visual")[0], where(data.batch, "visual")[0])


class KilledError(Exception):
    """Stands for a power cut."""


def training_set() -> TrainingSet:
    random, lengths = np.random.default_rng(0), [10, 16, 7, 12, 9, 16]
    firsts = np.cumsum([0, *lengths])
    visual, audio = (random.standard_normal((firsts[-1], width)).astype(np.float32) for width in WIDTHS.values())
    samples = tuple(
        Sample(i, n, (int(first),), int(first)) for i, (n, first) in enumerate(zip(lengths, firsts, strict=False))
    )
    return TrainingSet(
        samples,
        Bag(length=32),
        np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 2, 1]],
        visual,
        audio,
        random.random(firsts[-1]) > 0.2,
    )


def trained(folder: Path, recipe: dict[str, Any], each_round: Callable[[Detector], None] = lambda _: None) -> Detector:
    seed_round(0, 0)
    values = {"hidden": 4, "recipe": {"rounds": 4, "batch_size": 3, "bag": {"length": 32}} | recipe}
    detector = build("mil_head", settings_of("mil_head", values), dimensions())
    detector.after_round = lambda _: each_round(detector)  # type: ignore[method-assign]
    loop.fit(detector, training_set(), 0, folder, "x")
    return detector


def same(a: Detector, b: Detector) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


RUNS: list[tuple[dict[str, Any], int]] = [
    *(({"augment": augment}, 2) for augment in SWITCHES),
    ({"average_rounds": 3}, 3),
    ({"average_rounds": 3}, 4),
    ({"average_rounds": 2, "phases": 2}, 7),
]


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "killed_after"), RUNS)
def test_a_switch_has_an_effect_and_killed_is_as_if_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: dict[str, Any], killed_after: int
) -> None:
    expected = trained(tmp_path / "whole", recipe)
    off = {key: value for key, value in recipe.items() if key == "phases"}
    assert not same(expected, trained(tmp_path / "off", off))
    save_state = loop.save_state

    def save_and_die(*args: Any) -> None:
        save_state(*args)
        if args[2].round == killed_after:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_and_die)
        with pytest.raises(KilledError):
            trained(tmp_path / "killed", recipe)
    torch.manual_seed(1)
    assert same(trained(tmp_path / "killed", recipe), expected)


@pytest.mark.parametrize(("average_rounds", "averaged"), [(0, [4]), (1, [4]), (3, [2, 3, 4]), (9, [1, 2, 3, 4])])
def test_the_mean_of_the_last_rounds(tmp_path: Path, average_rounds: int, averaged: list[int]) -> None:
    rounds: list[list[Tensor]] = []
    trained(tmp_path / "off", {}, lambda detector: rounds.append([p.detach().clone() for p in detector.parameters()]))
    expected = [sum(rounds[i - 1][k] for i in averaged) / len(averaged) for k in range(len(rounds[0]))]
    found = trained(tmp_path / "averaged", {"average_rounds": average_rounds})
    for mean, parameter in zip(expected, found.parameters(), strict=True):
        torch.testing.assert_close(parameter.detach(), mean)


def test_class_embeddings_are_those_of_the_averaged_prompts(tmp_path: Path) -> None:
    seed_round(0, 0)
    recipe = {"rounds": 2, "average_rounds": 2, "bag": {"length": 32}, "optimizer": {"learning_rate": 1e-2}}
    detector = build("audio_visual", settings_of("audio_visual", {"recipe": recipe}), dimensions(), text_tower())
    loop.fit(detector, training_set(), 0, tmp_path, "x")
    found = detector.branches.prompts.class_embeddings.clone()
    assert torch.equal(found, detector.train().eval().branches.prompts.class_embeddings)
