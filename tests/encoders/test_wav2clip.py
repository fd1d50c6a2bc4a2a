import importlib
import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from avadclip.config.features import Audio, Weights
from avadclip.encoders.spectrogram import spectrogram
from avadclip.encoders.wav2clip import AudioEncoder, load_wav2clip
from avadclip.errors import WeightsError
from avadclip.io import sha256_of
from tests.support.weights_factory import write_wav2clip_weights


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    path = tmp_path_factory.mktemp("wav2clip") / "Wav2CLIP.pt"
    sha256 = write_wav2clip_weights(path)
    return Audio(weights=Weights(path=str(path), sha256=sha256), precision="float32")


def window(seed: int, seconds: float = 1.0) -> np.ndarray:
    """A tone with noise, as loud as speech."""
    rng = np.random.default_rng(seed)
    time_seconds = np.arange(int(16_000 * seconds)) / 16_000
    tone = np.sin(2 * np.pi * rng.uniform(100, 4000) * time_seconds)
    return (0.1 * tone + rng.normal(0, 0.01, len(tone))).astype(np.float32)


class TorchSpectrogram(torch.nn.Module):
    """``torchaudio.transforms.Spectrogram`` with its defaults, for a machine without torchaudio."""

    def __init__(self, n_fft: int, hop_length: int):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("window", torch.hann_window(n_fft))

    def forward(self, samples):
        spectrum = torch.stft(
            samples.flatten(0, 1),
            self.n_fft,
            self.hop_length,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        return (spectrum.abs() ** 2).unsqueeze(1)


@pytest.fixture
def released_network(monkeypatch, audio):
    """The network of the package `wav2clip`, with our weights."""
    if importlib.util.find_spec("wav2clip") is None:
        pytest.skip("package wav2clip 0.1.0 is not installed: NOT compared with the released code")
    torchaudio = ModuleType("torchaudio")
    torchaudio.transforms = ModuleType("torchaudio.transforms")
    torchaudio.transforms.Spectrogram = TorchSpectrogram
    monkeypatch.setitem(sys.modules, "torchaudio", torchaudio)
    encoder = importlib.import_module("wav2clip.model.encoder")
    checkpoint = torch.load(audio.weights.path, weights_only=True)
    return encoder.ResNetExtractor(checkpoint=checkpoint, scenario="frozen", transform=True)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.0, 0.5, 2.3])
def test_equals_the_released_network(audio, released_network, seconds):
    samples = window(1, seconds)
    with torch.inference_mode():
        expected = released_network(torch.from_numpy(samples)[None])
        found = load_wav2clip(audio)(torch.from_numpy(spectrogram(samples))[None, None])
    # the specification's tolerance; librosa and torch compute the transform in another order
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_features_are_those_of_the_network_in_float16(audio):
    windows = np.stack([spectrogram(window(seed)) for seed in range(3)])
    with torch.inference_mode():
        expected = load_wav2clip(audio)(torch.from_numpy(windows)[:, None]).numpy()
    found = AudioEncoder(audio, device="cpu").encode(windows)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected, rtol=2**-11, atol=1e-5)  # float16 has 11 bits; atol for subnormals


@pytest.mark.slow
def test_feature_does_not_depend_on_its_neighbours(audio):
    encoder = AudioEncoder(audio, device="cpu")
    quiet, loud, other = spectrogram(window(1)), spectrogram(100 * window(2)), spectrogram(window(3))
    first = encoder.encode(np.stack([quiet, loud]))[0]
    np.testing.assert_array_equal(first, encoder.encode(np.stack([quiet, other]))[0])
    # alone, kernels may sum in another order: a few float16 steps
    np.testing.assert_allclose(first, encoder.encode(quiet[None])[0], rtol=2e-3, atol=1e-4)
    assert np.abs(encoder.encode(loud[None])[0] - first).max() > 0.01


def test_bfloat16_is_close_to_float32(audio):
    windows = np.stack([spectrogram(window(seed)) for seed in range(2)])
    exact = AudioEncoder(audio, device="cpu").encode(windows).astype(np.float64)
    cast = AudioEncoder(audio.model_copy(update={"precision": "bfloat16"}), device="cpu").encode(windows)
    cosine = (exact * cast).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(cast.astype(np.float64), axis=1)
    assert cosine.min() > 0.999  # eight bits of mantissa


def test_spectrogram_has_257_bins_mean_0_and_unbiased_deviation_1():
    found = spectrogram(window(5))
    assert found.shape == (257, 46)
    assert found.dtype == np.float32
    assert found.mean() == pytest.approx(0, abs=1e-5)  # float32 rounding of 12,000 numbers
    assert found.std(ddof=1) == pytest.approx(1, abs=1e-5)


def test_silence_has_a_finite_feature(audio):
    silent = spectrogram(np.zeros(16_000, np.float32))
    assert np.abs(silent).max() < 1e-3  # float64 rounding over the 1e-9 that guards the division
    assert np.isfinite(AudioEncoder(audio, device="cpu").encode(silent[None])).all()


def test_a_window_shorter_than_one_transform_is_refused():
    with pytest.raises(ValueError, match="at least 512 samples, found 511"):
        spectrogram(np.zeros(511, np.float32))


def test_narrow_network_has_the_same_output_width(tmp_path):
    sha256 = write_wav2clip_weights(tmp_path / "narrow.pt", width=8)
    weights = Weights(path=str(tmp_path / "narrow.pt"), sha256=sha256)
    encoder = AudioEncoder(Audio(weights=weights, precision="float32", width=8), device="cpu")
    assert encoder.encode(spectrogram(window(0))[None]).shape == (1, 512)
    assert (encoder.width, encoder.weights_sha256) == (512, sha256)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tensors: tensors.pop("audio_encoder.conv1.weight"), "Missing key.*audio_encoder.conv1.weight"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "Unexpected key.*extra"),
        (lambda tensors: tensors.update({"audio_encoder.bn1.bias": torch.zeros(3)}), "size mismatch.*bn1.bias"),
    ],
)
def test_checkpoint_that_does_not_fit_lists_its_keys(tmp_path, damage, message):
    path = tmp_path / "damaged.pt"
    write_wav2clip_weights(path, width=8)
    tensors = torch.load(path, weights_only=True)
    damage(tensors)
    torch.save(tensors, path)
    weights = Weights(path=str(path), sha256=sha256_of(path))
    with pytest.raises(WeightsError, match=f"(?s)damaged.pt: does not fit.*{message}"):
        load_wav2clip(Audio(weights=weights, precision="float32", width=8))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_gpu_and_cpu_agree_and_a_gpu_gives_the_same_bytes_twice(audio, precision):
    same = audio.model_copy(update={"precision": precision})
    windows = np.stack([spectrogram(window(seed)) for seed in range(5)])
    on_cpu, on_gpu, again = (AudioEncoder(same, device).encode(windows) for device in ("cpu", "cuda", "cuda"))
    np.testing.assert_array_equal(on_gpu, again)
    a, b = on_cpu.astype(np.float64), on_gpu.astype(np.float64)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() >= 0.9995  # the specification's number
