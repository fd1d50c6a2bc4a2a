"""Seeded random weights in the published file formats, for networks of full and of tiny size."""

import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

from avadclip.config.architectures import read_architecture
from avadclip.encoders.wav2clip import Wav2Clip
from avadclip.io import sha256_of

TINY_CLIP = {
    "embed_dim": 512,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


def write_clip_weights(path: Path, name: str = "ViT-B-16-quickgelu", seed: int = 0) -> str:
    """Write a whole CLIP of open_clip's architecture `name` as .safetensors; return the file's sha256."""
    return _save_clip(path, read_architecture(name), seed)


def write_tiny_clip(folder: Path, seed: int = 0) -> tuple[str, Path, Path, str]:
    """Write a CLIP for 64 px with 3.5 M parameters; return its name, its architecture's JSON, its weights and sha256.

    Joint width (512), context (77) and vocabulary are the published ones, so that detectors and tokenizer fit.
    """
    config, weights = folder / "tiny.json", folder / "tiny.safetensors"
    config.write_text(json.dumps(TINY_CLIP))
    return "tiny", config, weights, _save_clip(weights, TINY_CLIP, seed)


def write_wav2clip_weights(path: Path, seed: int = 0, width: int = 64) -> str:
    """Write Wav2CLIP in the layout of the released .pt, extras included; return the file's sha256."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Wav2Clip(width)
        tensors = network.state_dict()
        for name, tensor in tensors.items():
            if tensor.ndim > 1:
                # with torch's default the signal fades over 18 layers, until a feature depends on biases only
                torch.nn.init.kaiming_normal_(tensor)
            # as after training: with means 0 and variances 1 a test could not tell whether they were loaded
            if name.endswith("running_mean"):
                tensor.normal_(std=0.1)
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
    training_leftovers = {
        "audio_encoder.spectrogram.window": torch.hann_window(512),
        "image_transform.sequential.0.weight": torch.zeros(512, 512),
        "loss_fn_i.logit_scale": torch.zeros(()),
    }
    torch.save(tensors | training_leftovers, path)
    return sha256_of(path)


def _save_clip(path: Path, architecture: dict, seed: int) -> str:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.CLIP(**architecture)
    save_file(model.state_dict(), path)
    return sha256_of(path)
