import copy
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from PIL import Image
from safetensors.torch import save_file

from avadclip.config.features import Visual, Weights
from avadclip.encoders.clip import ImageEncoder, load_clip
from avadclip.encoders.fused import SelfAttention, fuse
from avadclip.encoders.preprocess import canvas
from avadclip.errors import ConfigError, FeatureError, WeightsError
from avadclip.io import sha256_of
from tests.support.weights_factory import TINY_CLIP, write_clip_weights, write_tiny_clip


def texture(height: int, width: int, seed: int) -> np.ndarray:
    """Waves of a random colour, direction and length, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(0.02, 0.5, (3, 3))]
    image = rng.uniform(60, 200, 3) + 60 * np.stack(waves, axis=-1) + rng.normal(0, 15, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@dataclass(frozen=True)
class Reference:
    """Frames, and what open_clip itself makes of them with the full-size ViT-B/16."""

    visual: Visual
    canvases: np.ndarray
    features: np.ndarray


@pytest.fixture(scope="module")
def full_size(tmp_path_factory) -> Reference:
    path = tmp_path_factory.mktemp("clip") / "ViT-B-16.safetensors"
    visual = Visual(
        weights=Weights(path=str(path), sha256=write_clip_weights(path)), stride=16, precision="float32", batch_size=5
    )
    sizes = [(360, 640), (641, 361), (16, 16), (225, 223), (224, 900)]
    frames = [texture(*size, seed) for seed, size in enumerate(sizes)]
    model = open_clip.create_model(visual.encoder, pretrained=str(path)).eval()
    preprocess = open_clip.image_transform(224, is_train=False)
    with torch.inference_mode():
        features = torch.cat([model.encode_image(preprocess(Image.fromarray(frame))[None]) for frame in frames])
    return Reference(visual, np.stack([canvas(frame, "center", 224) for frame in frames]), features.numpy())


@pytest.mark.slow
def test_features_equal_open_clip_with_its_own_preprocessing(full_size):
    found = ImageEncoder(full_size.visual, device="cpu").encode(full_size.canvases)[0]
    assert found.shape == (5, 512)
    assert cosine(found, full_size.features).min() >= 0.9995  # the specification's number
    # one float16 step; also proves that features are not normalised
    np.testing.assert_allclose(found, full_size.features, rtol=2**-11, atol=2e-4)
    strangers = cosine(full_size.features[:-1], full_size.features[1:])
    assert strangers.max() < 0.9995, "random weights must tell these frames apart, or the test proves nothing"


@pytest.mark.slow
def test_bfloat16_is_close_to_float32(full_size):
    one = full_size.canvases[:1]  # only one: a processor without bfloat16 instructions takes seconds for a frame
    cast = ImageEncoder(full_size.visual.model_copy(update={"precision": "bfloat16"}), device="cpu").encode(one)[0]
    assert cosine(cast, full_size.features[:1]).min() >= 0.999  # the specification's number


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_gpu_and_cpu_agree_in_the_same_precision(full_size, precision):
    visual = full_size.visual.model_copy(update={"precision": precision})
    on_cpu, on_gpu = (ImageEncoder(visual, device).encode(full_size.canvases)[0] for device in ("cpu", "cuda"))
    assert cosine(on_gpu, on_cpu).min() >= 0.9995  # the specification's number
    assert cosine(on_gpu, full_size.features).min() >= 0.999  # eight bits of mantissa in bfloat16


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize(
    ("device", "precision"), [("cuda", "float32"), ("cuda", "bfloat16"), ("cuda", "float16"), ("all", "bfloat16")]
)
def test_a_gpu_gives_the_same_bytes_twice(full_size, device, precision):
    changes = {"precision": precision, "views": "ten_crop", "batch_size": 4}
    visual = full_size.visual.model_copy(update=changes)
    batches = [np.stack([canvas(texture(90, 120, 4 * n + i), "ten_crop", 224) for i in range(4)]) for n in range(6)]
    first, encoder = ImageEncoder(visual, "cuda"), ImageEncoder(visual, device)
    one_by_one = [first.encode(batch) for batch in batches]
    begun = [encoder.begin(batch) for batch in batches]
    for expected, features in zip(one_by_one, begun, strict=True):
        np.testing.assert_array_equal(features(), expected)


@pytest.mark.gpu
@gpu
def test_views_agree_on_gpu_and_cpu(full_size):
    visual = full_size.visual.model_copy(update={"views": "ten_crop", "batch_size": 3})  # passes mix views
    canvases = np.stack([canvas(texture(90, 120, seed), "ten_crop", 224) for seed in range(2)])
    on_cpu, on_gpu = (ImageEncoder(visual, device).encode(canvases) for device in ("cpu", "cuda"))
    assert on_gpu.shape == (10, 2, 512)
    assert cosine(on_gpu, on_cpu).min() >= 0.9999  # float32 in both: other views would be far away
    assert cosine(on_cpu[1:], on_cpu[:-1]).max() < 0.9999


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Visual:
    name, config, weights, sha256 = write_tiny_clip(tmp_path_factory.mktemp("tiny"))
    return Visual(
        encoder=name,
        encoder_config=str(config),
        weights=Weights(path=str(weights), sha256=sha256),
        stride=4,
        precision="float32",
    )


def with_weights(visual: Visual, path: Path) -> Visual:
    return visual.model_copy(update={"weights": Weights(path=str(path), sha256=sha256_of(path))})


def test_tiny_clip_feeds_detector_and_tokenizer(tiny):
    model = load_clip(tiny)
    assert not model.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in model.parameters())
    assert model.encode_text(open_clip.SimpleTokenizer()(["riot", "car accident"])).shape == (2, 512)


@pytest.mark.parametrize(("views", "n_views"), [("center", 1), ("five_crop", 5), ("ten_crop", 10)])
def test_views_are_encoded_one_by_one(tiny, views, n_views):
    encoder = ImageEncoder(tiny.model_copy(update={"views": views}), device="cpu")
    canvases = np.stack([canvas(texture(90, 120, seed), views, 64) for seed in range(3)])
    features = encoder.encode(canvases)
    assert (features.shape, features.dtype) == ((n_views, 3, 512), np.float16)
    assert (encoder.width, encoder.weights_sha256) == (512, tiny.weights.sha256)
    if views != "center":
        centre = canvases[:, (73 - 64) // 2 :, (97 - 64) // 2 :][:, :64, :64]
        np.testing.assert_array_equal(features[0], ImageEncoder(tiny, device="cpu").encode(centre)[0])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_feature_does_not_depend_on_its_neighbours(tiny, precision):
    encoder = ImageEncoder(tiny.model_copy(update={"precision": precision}), device="cpu")
    frames = [canvas(texture(64, 64, seed), "center", 64) for seed in range(5)]
    together = encoder.encode(np.stack(frames[:4]))[0, 0]
    others = encoder.encode(np.stack([frames[0], frames[4], frames[4], frames[2]]))[0, 0]
    np.testing.assert_array_equal(together, others)  # the same batch size gives the same bits


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_becomes_of_the_file_afterwards_changes_nothing(tiny, tmp_path, precision):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(Path(tiny.weights.path).read_bytes())
    visual = with_weights(tiny, path).model_copy(update={"precision": precision})
    encoder, model = ImageEncoder(visual, device="cpu"), load_clip(visual)
    frame = canvas(texture(64, 64, seed=0), "center", 64)[None]
    n_bytes = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(n_bytes // 8)
        file.write(bytes(n_bytes - n_bytes // 8))
    expected = ImageEncoder(tiny.model_copy(update={"precision": precision}), device="cpu").encode(frame)
    np.testing.assert_array_equal(encoder.encode(frame), expected)
    kept, original = model.state_dict(), load_clip(tiny).state_dict()
    assert all(torch.equal(kept[name], original[name]) for name in original)


def test_state_dict_in_a_pt_file_gives_the_same_model(tiny, tmp_path):
    expected = load_clip(tiny).state_dict()
    torch.save({"state_dict": expected}, tmp_path / "weights.pt")
    found = load_clip(with_weights(tiny, tmp_path / "weights.pt")).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


class OpenaiArchive(torch.nn.Module):
    """What OpenAI published: half-precision parameters under CLIP's names, with three sizes and a mask beside them."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        for name, tensor in model.state_dict().items():
            *parents, leaf = name.split(".")
            owner: torch.nn.Module = self
            for parent in parents:
                if not hasattr(owner, parent):
                    owner.add_module(parent, torch.nn.Module())
                owner = getattr(owner, parent)
            owner.register_buffer(leaf, tensor.half())
        for size in ("input_resolution", "context_length", "vocab_size"):
            self.register_buffer(size, torch.tensor(77))
        self.attn_mask = torch.zeros(77, 77)  # neither a parameter nor a buffer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture(scope="module")
def openai_archive(tiny, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("openai") / "tiny.pt"
    torch.jit.script(OpenaiArchive(load_clip(tiny))).save(str(path))
    return path


def test_openai_archive_is_loaded_in_float32(tiny, openai_archive):
    expected = load_clip(tiny).state_dict()
    found = load_clip(with_weights(tiny, openai_archive)).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name].half().float()) for name in expected)


def test_openai_archive_without_quickgelu_is_refused(tiny, openai_archive, tmp_path):
    (tmp_path / "gelu.json").write_text(json.dumps(TINY_CLIP | {"quick_gelu": False}))
    visual = with_weights(tiny, openai_archive).model_copy(update={"encoder_config": str(tmp_path / "gelu.json")})
    with pytest.raises(ConfigError, match=r"visual\.encoder: tiny computes GELU.*QuickGELU; write tiny-quickgelu"):
        load_clip(visual)


def test_unknown_key_of_an_architecture_is_named(tiny, tmp_path):
    (tmp_path / "typo.json").write_text(json.dumps(TINY_CLIP | {"quick_gello": True}))
    with pytest.raises(ConfigError, match=r"visual\.encoder_config: .*typo\.json: .*quick_gello"):
        load_clip(tiny.model_copy(update={"encoder_config": str(tmp_path / "typo.json")}))


@pytest.mark.slow
def test_weights_of_another_architecture_are_refused(tiny):
    with pytest.raises(WeightsError, match=r"(?s)tiny\.safetensors: does not fit .*ViT-B-32.*size mismatch"):
        load_clip(tiny.model_copy(update={"encoder": "ViT-B-32", "encoder_config": None}))


def test_a_text_file_is_no_weights(tiny, tmp_path):
    (tmp_path / "weights.pt").write_text("not found")
    with pytest.raises(WeightsError, match=r"weights\.pt: does not fit"):
        load_clip(with_weights(tiny, tmp_path / "weights.pt"))


def test_features_that_are_not_finite_are_an_error(tiny, tmp_path):
    tensors = load_clip(tiny).state_dict()
    tensors["visual.proj"][0, 0] = float("nan")
    save_file(tensors, tmp_path / "broken.safetensors")
    encoder = ImageEncoder(with_weights(tiny, tmp_path / "broken.safetensors"), device="cpu")
    with pytest.raises(FeatureError, match="features are not finite; try `precision: float32`"):
        encoder.encode(np.zeros((1, 64, 64, 3), np.uint8))


def test_a_fused_tower_is_the_same_function(tiny):
    tower, pictures = load_clip(tiny).visual, torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    fused = fuse(copy.deepcopy(tower))
    kinds = {type(module) for module in fused.modules()}
    assert SelfAttention in kinds
    assert not kinds & {torch.nn.MultiheadAttention, QuickGELU}
    with torch.inference_mode():
        torch.testing.assert_close(fused(pictures), tower(pictures), rtol=1e-4, atol=1e-5)  # float32 in another order


def test_a_tower_without_quickgelu_keeps_its_activation():
    tower = open_clip.CLIP(**(TINY_CLIP | {"quick_gelu": False})).visual.eval().requires_grad_(False)
    fused, pictures = fuse(copy.deepcopy(tower)), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(fused(pictures), tower(pictures), rtol=1e-4, atol=1e-5)
