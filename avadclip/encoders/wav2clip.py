"""Wav2CLIP's audio tower: spectrograms -> features in CLIP's joint space.

Ho-Hsiang Wu, Prem Seetharaman, Kundan Kumar, Juan Pablo Bello: Wav2CLIP: Learning Robust Audio Representations From
CLIP. ICASSP 2022. The released checkpoint is trained on VGGSound.
"""

import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, conv1x1

from avadclip.config.features import Audio
from avadclip.device import resolve_devices
from avadclip.encoders.pickles import load_tensors
from avadclip.encoders.torchscript import is_torchscript
from avadclip.encoders.tower import Begun, Tower
from avadclip.encoders.weights import DAMAGED, WAV2CLIP, locate, refused_weights
from avadclip.errors import WeightsError

JOINT_WIDTH = 512  # of CLIP ViT-B/16, the tower's teacher
# What the release has beside the network: the rest of its training, and a window that librosa computes here.
NOT_OURS = ("image_transform.", "loss_fn", "audio_encoder.spectrogram.")


class Wav2Clip(nn.Module):
    """ResNet-18 over a spectrogram [n, 1, 257, frames] and an MLP on its average -> [n, 512].

    Parts are named as in the released checkpoint; `width` is the number of channels of the first stage.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.audio_encoder = SpectrogramResNet(width)
        self.audio_transform = nn.ModuleDict({"sequential": _mlp(8 * width)})

    def forward(self, spectrograms: Tensor) -> Tensor:
        joint: Tensor = self.audio_transform["sequential"](self.audio_encoder(spectrograms))
        return joint


class SpectrogramResNet(nn.Module):
    """torchvision's ResNet-18 with one input channel, any width and no classifier: [n, 1, bins, frames] -> [n, 8w]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)

    def forward(self, spectrograms: Tensor) -> Tensor:
        stem = self.maxpool(self.relu(self.bn1(self.conv1(spectrograms))))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(stem))))
        return maps.mean(dim=(2, 3))


class AudioEncoder:
    """Spectrograms -> features, in one precision, on one device or all GPUs.

    Raises
    ------
    WeightsError : no file, not the pinned file, or its tensors do not fit.
    ConfigError : no such device.
    """

    def __init__(self, audio: Audio, device: str = "auto") -> None:
        self.width = JOINT_WIDTH
        self.weights_sha256 = audio.weights.sha256
        devices = resolve_devices(device)
        self._tower = Tower(load_wav2clip(audio), audio.precision, devices)
        self.ahead = self._tower.ahead

    def encode(self, spectrograms: NDArray[np.float32]) -> NDArray[np.float16]:
        """Begin one batch and wait for it."""
        return self.begin(spectrograms)()

    def begin(self, spectrograms: NDArray[np.float32]) -> Begun:
        """Begin one forward pass: float32 [n, 257, frames] -> float16 [n, 512], not normalised.

        Raises
        ------
        ConfigError : the batch does not fit into the device's memory.
        FeatureError : a feature is not finite; raised when the features are awaited.
        """
        return self._tower.begin(spectrograms, lambda batch: [batch.unsqueeze(1)])


def load_wav2clip(audio: Audio) -> Wav2Clip:
    """The network with the pinned weights: float32, on the CPU, in evaluation mode, without gradients.

    Raises
    ------
    WeightsError : no file, not the pinned file, or its tensors do not fit a network of `audio.width`.
    """
    path = locate(audio.weights, WAV2CLIP, key="audio.weights")
    model = Wav2Clip(audio.width)
    try:
        model.load_state_dict(_read_checkpoint(path))
    except pickle.UnpicklingError as error:
        raise refused_weights(path, error) from None
    except DAMAGED as error:
        raise WeightsError(f"{path}: does not fit Wav2CLIP of width {audio.width}: {error}") from error
    return model.eval().requires_grad_(False)


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    if is_torchscript(path):
        raise ValueError("expected a state dict, found a TorchScript archive")
    tensors = load_tensors(path)
    if not isinstance(tensors, dict):
        raise ValueError(f"expected a state dict, found {type(tensors).__name__}")
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(NOT_OURS)}


def _stage(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    resized = n_in != n_out
    shortcut = nn.Sequential(conv1x1(n_in, n_out, stride), nn.BatchNorm2d(n_out)) if resized else None
    return nn.Sequential(BasicBlock(n_in, n_out, stride, shortcut), BasicBlock(n_out, n_out))


def _mlp(n_in: int) -> nn.Sequential:
    # The dropout (inactive here) keeps the release's numbering: its second linear layer is number 3.
    return nn.Sequential(nn.Linear(n_in, JOINT_WIDTH), nn.ReLU(), nn.Dropout(0.1), nn.Linear(JOINT_WIDTH, JOINT_WIDTH))
