"""Training of small CLIP-like encoders: comparisons with slow code, toy tasks that can be learnt, and saved files."""

import math
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from avadclip.config.features import Audio
from avadclip.encoders.wav2clip import Wav2Clip, load_wav2clip
from avadclip.errors import TrainingError, WeightsError
from avadclip.io import sha256_of
from avadclip.pretraining import audio, image_text
from avadclip.pretraining.audio import train_wav2clip
from avadclip.pretraining.contrast import contrastive_loss, partners
from avadclip.pretraining.image_text import text_features, train_clip, zero_shot
from avadclip.pretraining.loop import Settings, fit, rounded_to_half, save_half

CPU = torch.device("cpu")
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
}


def slow_loss(left: torch.Tensor, right: torch.Tensor, scale: float, positives: torch.Tensor) -> float:
    """The mean over both directions and all samples of -mean log p(partner), written out."""

    def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    def one_way(queries: torch.Tensor, keys: torch.Tensor, belong: torch.Tensor) -> float:
        total = 0.0
        for query, row in zip(queries, belong, strict=True):
            weights = [math.exp(scale * cosine(query, key)) for key in keys]
            likely = [math.log(w / sum(weights)) for w, is_partner in zip(weights, row, strict=True) if is_partner]
            total -= sum(likely) / len(likely)
        return total / len(queries)

    return (one_way(left, right, positives) + one_way(right, left, positives.T)) / 2


@pytest.mark.parametrize("n_kinds", [2, 3, 6])
@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_the_contrastive_loss_is_the_slow_one(n_kinds: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(n_kinds)
    left = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    right = torch.randn(n_kinds, 5, generator=generator, dtype=torch.float64)
    positives = torch.arange(6)[:, None] % n_kinds == torch.arange(n_kinds)
    loss = contrastive_loss(left, right, torch.tensor(math.log(scale), dtype=torch.float64), positives)
    assert loss.item() == pytest.approx(slow_loss(left, right, scale, positives), rel=1e-10)  # float64, few terms


def test_with_one_partner_each_it_is_open_clips_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.nn.functional.normalize(torch.randn(2, 8, 5, generator=generator), dim=2)
    theirs = open_clip.ClipLoss()(left, right, torch.tensor(20.0))
    ours = contrastive_loss(left, right, torch.tensor(math.log(20.0)), partners(8, CPU))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)  # float32


def test_the_scale_is_limited() -> None:
    left, right = torch.eye(3), torch.eye(3).flip(0)
    at_limit, beyond = (contrastive_loss(left, right, torch.tensor(s).log(), partners(3, CPU)) for s in (100.0, 1e6))
    assert at_limit.item() == pytest.approx(beyond.item(), rel=1e-6)  # exp(log(100)) in float32


def colours(n: int) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Noisy red and blue pictures, and their captions."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (n, 16, 16, 3), np.uint8)
    names = [("red", "a red wall"), ("blue", "a blue wall")]
    for i, image in enumerate(images):
        image[..., (0, 2)[i % 2]] += 150
    return images, [names[i % 2] for i in range(n)]


@pytest.mark.slow
def test_clip_learns_what_pictures_are_called_twice_alike() -> None:
    images, captions = colours(64)
    settings = Settings(seed=1, epochs=12, batch_size=16, learning_rate=2e-3)
    first, second = (train_clip(TINY, images, captions, settings, CPU) for _ in range(2))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    with torch.inference_mode():
        features = first.encode_image(image_text.normalise(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)).numpy()
    texts = text_features(first, [("red", "a red wall"), ("blue", "a blue wall")])
    found = zero_shot(features, texts, np.arange(64) % 2)
    assert found.recall.tolist() == [1.0, 1.0]


@pytest.mark.slow
def test_wav2clip_learns_from_pictures_what_it_hears_twice_alike() -> None:
    """There are two sounds and two kinds of picture, and no labels."""
    rng = np.random.default_rng(0)
    kinds = np.arange(48) % 2
    spectrograms = rng.normal(0, 0.3, (48, 257, 24)).astype(np.float16)
    for spectrogram, kind in zip(spectrograms, kinds, strict=True):
        spectrogram[40:80] += 2 * kind
    pictures = (np.eye(512, dtype=np.float32)[kinds * 7] + rng.normal(0, 0.02, (48, 512))).astype(np.float32)
    settings = Settings(seed=1, epochs=16, batch_size=12, learning_rate=1e-3)
    first, second = (train_wav2clip(8, spectrograms, pictures, settings, CPU) for _ in range(2))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    with torch.inference_mode():
        heard = first(torch.from_numpy(spectrograms).float().unsqueeze(1)).numpy()
    assert zero_shot(heard, np.eye(512)[[0, 7]], kinds).balanced > 0.95


def test_augmentation_keeps_shape_range_and_most_of_the_content() -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 16, 16)
    seen = image_text.augment(images)
    assert seen.shape == images.shape
    assert seen.min() >= 0
    assert seen.max() <= 1
    spectrograms = torch.randn(4, 257, 101)
    heard = audio.augment(spectrograms)
    assert heard.shape == spectrograms.shape
    # Two bands of at most 15% each are silenced, different ones in each spectrogram.
    silenced = (heard == 0).float().mean(dim=(1, 2))
    assert silenced.max() <= 0.15 + 0.15
    assert len(silenced.unique()) > 1


def test_what_is_saved_is_what_was_measured(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = Wav2Clip(width=8).eval()
    rounded_to_half(network)
    digest = save_half(network, tmp_path / "w.safetensors")
    stored = load_file(tmp_path / "w.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16, torch.int64}
    section = Audio.model_validate(
        {"width": 8, "weights": {"path": str(tmp_path / "w.safetensors"), "sha256": digest}, "precision": "float32"}
    )
    for name, tensor in load_wav2clip(section).state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name


def test_a_damaged_safetensors_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    digest = save_half(Wav2Clip(width=8), path)
    section = {"width": 16, "weights": {"path": str(path), "sha256": digest}, "precision": "float32"}
    with pytest.raises(WeightsError, match=r"w\.safetensors: does not fit Wav2CLIP of width 16"):
        load_wav2clip(Audio.model_validate(section))
    path.write_bytes(path.read_bytes()[:100])
    section["weights"] = {"path": str(path), "sha256": sha256_of(path)}
    with pytest.raises(WeightsError, match=r"w\.safetensors: does not fit"):
        load_wav2clip(Audio.model_validate(section))


def test_zero_shot_counts_each_class_by_itself() -> None:
    features = np.array([[2.0, 0], [0.1, 0], [0, 3], [1, 0.5]])
    found = zero_shot(features, np.array([[1.0, 0], [0, 5.0], [-1, -1]]), np.array([0, 0, 1, 1]))
    assert found.recall[:2].tolist() == [1.0, 0.5]
    assert math.isnan(found.recall[2])
    assert found.n_samples.tolist() == [2, 2, 0]
    assert found.balanced == 0.75


def test_training_that_cannot_be_is_refused() -> None:
    model = torch.nn.Linear(1, 1)
    with pytest.raises(TrainingError, match="3 samples are less than one batch of 4"):
        fit(model, 3, lambda _: model.weight.sum(), Settings(0, 1, 4, 1e-3))
    losses = iter([1.0, math.nan])
    with pytest.raises(TrainingError, match="epoch 1, step 2: loss is not finite"):
        fit(model, 4, lambda _: model.weight.sum() * next(losses), Settings(0, 1, 2, 1e-3))
