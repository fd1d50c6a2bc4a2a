"""Whole detectors: the branches against loops, padding, silence, wrong inputs, checkpoints."""

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from avadclip.detectors.audio_visual import AudioVisualSettings
from avadclip.detectors.checkpoint import load_checkpoint, save_checkpoint
from avadclip.detectors.description import Description
from avadclip.detectors.parts.branches import Branches
from avadclip.detectors.protocol import Batch, Detector, Targets
from avadclip.detectors.registry import build, needs, settings_of
from avadclip.detectors.settings import Settings
from avadclip.errors import CheckpointError
from tests.support.gradients import assert_same
from tests.support.training_factory import CLASSES, EMBEDDING, dimensions, random_batch, text_tower

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "adaptive": {},
    "add": {"fusion": "add", "av_prompt": "paper"},
    "concat_linear": {"fusion": "concat_linear", "av_prompt": "none"},
    "cross_attention": {"fusion": "cross_attention"},
    "visual_alone": {"modalities": ["visual"], "fusion": "none"},
    "audio_alone": {"modalities": ["audio"], "fusion": "none"},
    "visual_student": {"kind": "student", "local_window": 8},
    "audio_student": {"kind": "student", "modality": "audio", "local_window": 8, "distillation": "mse"},
    "normalized_student": {"kind": "student", "local_window": 5, "normalize_features": True, "av_prompt": "paper"},
}


def kind_and_settings(name: str, **changes: Any) -> tuple[str, Settings]:
    keys = ARCHITECTURES[name] | changes
    kind = keys.pop("kind", "audio_visual")
    return kind, settings_of(kind, keys)


def detector_of(name: str, **changes: Any) -> Detector:
    torch.manual_seed(1)
    return build(*kind_and_settings(name, **changes), dimensions(), text_tower())


def targets_of(labels: Tensor, teacher_features: Tensor | None = None) -> Targets:
    teacher = None if teacher_features is None else SimpleNamespace(features=teacher_features)
    return Targets(labels, teacher)


def shortened(batch: Batch, n_positions: int) -> Batch:
    """Return the same videos with less padding."""
    cut = {name: getattr(batch, name)[:, :n_positions] for name in ("visual", "audio", "audio_valid")}
    return replace(batch, **cut)


def enrich_slow(branches: Branches, x: Tensor, logits: Tensor, embeddings: Tensor) -> Tensor:
    """Compute X_cp of one video, from eq. 4-7 or from the released code as docs/method.md describes it."""
    if branches.av_prompt == "none":
        return embeddings
    video = sum(logit * snippet for logit, snippet in zip(logits, x, strict=True))
    video = video / video.norm()
    if branches.av_prompt == "released":
        similarity = torch.softmax(embeddings @ video.expand(len(CLASSES), -1).T, dim=-1)  # identical columns
        summed = embeddings + similarity @ video.expand(len(CLASSES), -1)
        return torch.stack([t + branches.prompt_mlp(t) for t in summed])
    share = torch.softmax(torch.stack([c @ video for c in embeddings]), dim=0)
    return torch.stack([branches.prompt_mlp(c + s * video) + c for c, s in zip(embeddings, share, strict=True)])


@pytest.mark.parametrize("av_prompt", ["released", "paper", "none"])
@pytest.mark.parametrize("n_seen", [6, 4])
def test_branches(av_prompt: str, n_seen: int) -> None:
    torch.manual_seed(2)
    branches = Branches(AudioVisualSettings(av_prompt=av_prompt), dimensions(), tower=None).double().eval()
    branches.prompts.class_embeddings.normal_()
    x = torch.randn(2, 6, EMBEDDING, dtype=torch.float64, requires_grad=True)
    seen = torch.arange(6) < torch.tensor([6, n_seen])[:, None]

    def slow() -> Tensor:
        maps = []
        for video, n in zip(x, (6, n_seen), strict=True):
            logits = torch.stack([branches.classifier(s + branches.classifier_mlp(s)) for s in video])
            embeddings = enrich_slow(branches, video[:n], logits[:n], branches.prompts.class_embeddings)
            cosines = [[(s @ c) / (s.norm() * c.norm()) / 0.07 for c in embeddings] for s in video]
            maps.append(torch.cat([logits, torch.stack([torch.stack(row) for row in cosines])], dim=1))
        return torch.stack(maps)

    def fast() -> Tensor:
        output = branches(x, None if n_seen == 6 else seen)
        assert output.class_logits is not None
        return torch.cat([output.anomaly_logits[:, :, None], output.class_logits], dim=2)

    used = [p for name, p in branches.named_parameters() if name not in ("prompts.context", "focal_weights")]
    assert_same(fast, slow, [x, *used])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_masked_padding_and_neighbours_influence_nothing(name: str) -> None:
    detector = detector_of(name, mask_padding=True).eval()
    batch = random_batch([32, 9, 1], n_positions=32)
    together = detector(batch)
    for video, n in enumerate([32, 9, 1]):
        alone = Batch(
            *(getattr(batch, key)[video : video + 1] for key in ("visual", "audio", "audio_valid", "n_snippets"))
        )
        for n_positions in {n, min(n + 3, 32)}:
            by_itself = detector(shortened(alone, n_positions))
            for key in ("anomaly_logits", "class_logits", "features", "log_variance"):
                expected, found = getattr(together, key), getattr(by_itself, key)
                if expected is not None:
                    # float32 sums in another order; logits go up to about 30
                    assert_close(found[0, :n], expected[video, :n], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["adaptive", "cross_attention", "visual_student", "audio_student"])
def test_masked_padding_gives_no_gradient(name: str) -> None:
    detector = detector_of(name, mask_padding=True).eval()
    batch = random_batch([20, 7], n_positions=24)
    visual, audio = (x.clone().requires_grad_() for x in (batch.visual, batch.audio))
    output = detector(replace(batch, visual=visual, audio=audio))
    teacher = targets_of(torch.eye(3)[:2], torch.randn(2, 24, EMBEDDING))
    sum(detector.losses(output, batch, teacher).values()).backward()
    for features in (visual, audio):
        if features.grad is not None:
            assert features.grad[~batch.valid].abs().max() == 0
            assert features.grad[batch.valid].abs().max() > 0


def test_released_padding_takes_part() -> None:
    detector = detector_of("adaptive", mask_padding=False).eval()
    batch = random_batch([9], n_positions=32)
    other = replace(batch, visual=batch.visual + 0.1 * ~batch.valid[:, :, None])
    difference = detector(batch).anomaly_logits[0, :9] - detector(other).anomaly_logits[0, :9]
    assert difference.abs().max() > 1e-4


@pytest.mark.parametrize("mask_padding", [True, False])
@pytest.mark.parametrize("name", ["adaptive", "add", "concat_linear", "cross_attention"])
def test_a_snippet_without_sound_keeps_its_visual_feature(name: str, mask_padding: bool) -> None:
    detector = detector_of(name, mask_padding=mask_padding).eval()
    batch = random_batch([32, 9], n_positions=32)
    silent = replace(batch, audio_valid=batch.audio_valid & torch.tensor([[False], [True]]))
    features = detector(silent).features
    visual = detector.temporal(batch.visual, batch.valid, batch.valid if mask_padding else None)
    assert torch.equal(features[0], visual[0])  # a whole video without sound
    unheard = ~batch.audio_valid[1, :9]
    assert unheard.any()
    assert torch.equal(features[1, :9][unheard], visual[1, :9][unheard])
    assert not torch.equal(features[1, :9][~unheard], visual[1, :9][~unheard])


@pytest.mark.parametrize("name", ["adaptive", "cross_attention", "audio_alone", "audio_student"])
def test_what_is_stored_where_there_is_no_sound_does_not_matter(name: str) -> None:
    detector = detector_of(name).eval()
    batch = random_batch([32, 9], n_positions=32)
    garbage = replace(batch, audio=torch.where(batch.audio_valid[:, :, None], batch.audio, 1e3))
    assert torch.equal(detector(garbage).anomaly_logits, detector(batch).anomaly_logits)


@pytest.mark.parametrize("kind", ["ukd", "mse", "none"])
def test_distillation_terms(kind: str) -> None:
    student = detector_of("visual_student", distillation=kind)
    batch = random_batch([32, 9], n_positions=32)
    output = student(batch)
    assert (output.log_variance is not None) == (kind == "ukd")
    terms = student.losses(output, batch, targets_of(torch.eye(3)[:2], torch.randn(2, 32, EMBEDDING)))
    assert set(terms) == {"binary", "align", "text"} | ({kind} - {"none"})
    assert set(student.losses(output, batch, Targets(torch.eye(3)[:2]))) == {"binary", "align", "text"}


def test_normalized_features_are_compared_at_unit_mean_square() -> None:
    student = detector_of("visual_student", distillation="mse", normalize_features=True, mask_padding=True)
    batch = random_batch([32, 9], n_positions=32)
    output, teacher = student(batch), torch.randn(2, 32, EMBEDDING)
    pairs = zip(output.features[batch.valid], teacher[batch.valid], strict=True)
    cosines = torch.stack([functional.cosine_similarity(x, y, dim=0) for x, y in pairs])
    found = student.losses(output, batch, targets_of(torch.eye(3)[:2], teacher))["mse"]
    assert_close(found, (2 - 2 * cosines).mean())  # |x/|x| - y/|y||^2 = 2 - 2 cos


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_learns(name: str) -> None:
    detector = detector_of(name)
    batch = random_batch([32, 9], n_positions=32)
    targets = targets_of(torch.eye(3)[1:], torch.randn(2, 32, EMBEDDING))
    sum(detector.losses(detector(batch), batch, targets).values()).backward()
    assert [key for key, p in detector.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []


def without(batch: Batch, modality: str) -> Batch:
    return replace(batch, **{modality: None})


WRONG = [
    (lambda batch: without(batch, "visual"), "needs visual features and got none"),
    (lambda batch: without(batch, "audio"), "needs audio features and got none"),
    (lambda batch: replace(batch, visual=batch.visual[..., :7]), "visual features of width 12, found 7"),
    (lambda batch: replace(batch, audio=batch.audio[..., :7]), "audio features of width 8, found 7"),
    (lambda batch: shortened(batch, 16), "takes 32 to 32 positions, found 16"),
    (lambda batch: random_batch([40], 40), "takes 32 to 32 positions, found 40"),
]


@pytest.mark.parametrize(("spoil", "message"), WRONG)
def test_features_that_do_not_fit_are_refused(spoil: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        detector_of("adaptive")(spoil(random_batch([16, 9], n_positions=32)))


def describe(name: str) -> Description:
    kind, settings = kind_and_settings(name)
    return Description(
        dataset="toy",
        variant=name,
        kind=kind,
        settings=settings.model_dump(mode="json"),
        modalities=needs(kind, settings).modalities,
        dimensions=asdict(dimensions()),
        classes=CLASSES,
        recipes={"visual": {"stride": 4, "frame": "first"}},
        text_tower={"encoder": "tiny", "sha256": "0" * 64},
        selection="last",
        round=3,
        seed=5,
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_checkpoint_round_trip_needs_no_text_tower(name: str, tmp_path: Path) -> None:
    detector = detector_of(name).eval()
    save_checkpoint(tmp_path, detector, describe(name))
    loaded = load_checkpoint(tmp_path)
    assert loaded.description == describe(name)
    batch = random_batch([32, 9], n_positions=32)
    assert torch.equal(loaded.detector(batch).class_logits, detector(batch).class_logits)
    assert not any(parameter.requires_grad for parameter in loaded.detector.parameters())
    assert not any("transformer" in key for key in load_file(tmp_path / "model.safetensors"))


def test_same_detector_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_checkpoint(tmp_path / folder, detector_of("adaptive").eval(), describe("adaptive"))
    for file in ("model.safetensors", "model.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_other_features_than_those_of_training_are_refused() -> None:
    description = describe("adaptive")
    description.check_recipe("visual", {"stride": 4, "frame": "first"})
    with pytest.raises(CheckpointError, match=r"toy/adaptive: expects visual features with stride 4 \(found 16\)"):
        description.check_recipe("visual", {"stride": 16, "frame": "first"})
    description.check_recipe("visual", {"stride": 16, "frame": "first"}, ignoring={"stride"})


def cut_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])


def change(old: str, new: str) -> Any:
    def apply(folder: Path) -> None:
        text = (folder / "model.json").read_text()
        assert old in text
        (folder / "model.json").write_text(text.replace(old, new))

    return apply


DAMAGE = [
    (lambda folder: (folder / "model.json").unlink(), r"model\.json: no such file"),
    (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors: no such file"),
    (cut_weights, r"model\.safetensors: damaged"),
    (change('"round"', '"rund"'), "not a description of a detector"),
    (change('"format": 2', '"format": 9'), r"format 9 is newer than this version understands \(2\): update avadclip"),
    (change('"format": 2', '"format": 1'), "expected format 2, found 1; train it again"),
    (lambda folder: (folder / "model.json").write_bytes(b'{"format": 2,'), "not a description of a detector"),
    (change('"max_snippets": 32', '"max_snippets": 31'), "weights do not fit their description"),
    (change('"max_snippets": 32', '"max_snippets": "many"'), "dimensions: (.|\n)*max_snippets(.|\n)*train it again"),
    (change('"max_snippets"', '"most_snippets"'), "dimensions: (.|\n)*most_snippets(.|\n)*train it again"),
    (change('"snippet_seconds": 1.0', '"snippet_seconds": 0.0'), "dimensions: (.|\n)*snippet_seconds"),
    (change('"max_snippets": 32', '"max_snippets": 9000000'), r"weights do not fit .* describes more than \d+ MiB"),
    (change('"max_snippets": 32', '"max_snippets": 9000000000000'), "weights do not fit their description"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damaged_checkpoints_are_refused(damage: Any, message: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, detector_of("adaptive").eval(), describe("adaptive"))
    damage(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_gpu_gives_the_same(name: str) -> None:
    batch = random_batch([32, 9], n_positions=32)
    expected = detector_of(name).eval()(batch)
    found = detector_of(name).cuda().eval()(batch.to("cuda"))
    # A GPU adds in another order: differences reach 2.1e-4 on an H200. TF32 is off by default.
    assert_close(found.anomaly_logits.cpu(), expected.anomaly_logits, rtol=1e-3, atol=1e-3)
