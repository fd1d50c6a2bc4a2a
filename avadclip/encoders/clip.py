"""CLIP from pinned weights, both towers: features need the image tower, a detector's prompts the text tower."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from avadclip.config.architectures import read_architecture
from avadclip.config.features import Clip, Visual
from avadclip.device import resolve_devices
from avadclip.encoders.fused import fuse
from avadclip.encoders.images import crops, normalise
from avadclip.encoders.lean import bring_timm
from avadclip.encoders.pickles import load_tensors
from avadclip.encoders.torchscript import is_torchscript, read_torchscript
from avadclip.encoders.tower import Begun, Tower
from avadclip.encoders.weights import DAMAGED, locate, published_clip, refused_weights
from avadclip.errors import ConfigError, WeightsError

# Stored beside the parameters in OpenAI's releases.
NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")


class ImageEncoder:
    """Canvases -> CLIP image features, in one precision, on one device or all GPUs.

    Raises
    ------
    WeightsError, ConfigError : as :func:`load_clip`; ConfigError also if there is no such device.
    """

    def __init__(self, visual: Visual, device: str = "auto") -> None:
        devices = resolve_devices(device)
        image_tower = _load(visual).visual
        if devices[0].type == "cuda" or visual.precision == "float32":  # otherwise casting makes a copy
            _copy(image_tower)
        self.width: int = image_tower.output_dim
        self.weights_sha256 = visual.weights.sha256
        self._visual = visual
        self._size: int = image_tower.image_size[0]
        self._tower = Tower(fuse(image_tower) if devices[0].type == "cuda" else image_tower, visual.precision, devices)
        self.ahead = self._tower.ahead

    def encode(self, canvases: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Begin one batch and wait for it."""
        return self.begin(canvases)()

    def begin(self, canvases: NDArray[np.uint8]) -> Begun:
        """Begin one batch: uint8 [n, height, width, 3] -> float16 [views, n, width], not normalised.

        On a CPU, a forward pass has the images of one view; on a GPU it mixes views, up to `visual.batch_size` images.

        Parameters
        ----------
        canvases : from :func:`avadclip.encoders.preprocess.canvas`; all of one video, at most `visual.batch_size`.

        Raises
        ------
        ConfigError : the images do not fit into the device's memory.
        FeatureError : a feature is not finite; raised when the features are awaited.
        """
        begun = self._tower.begin(canvases, self._passes)
        return lambda: begun().reshape(self._visual.n_views, len(canvases), self.width)

    def _passes(self, canvases: Tensor) -> Iterator[Tensor]:
        """uint8 [n, height, width, 3] -> float32 [images, 3, size, size], pass by pass."""
        views = crops(canvases, self._visual.views, self._size)
        # Short videos fill a GPU only if their views are encoded together.
        groups = views if views.device.type == "cpu" else torch.split(views.flatten(0, 1), self._visual.batch_size)
        for images in groups:
            yield normalise(images.permute(0, 3, 1, 2).float() / 255)


def load_clip(visual: Clip) -> open_clip.CLIP:
    """CLIP with both towers: float32, on the CPU, in evaluation mode, without gradients.

    Parameters
    ----------
    visual : `encoder` (or `encoder_config`) gives the architecture, `weights` the file: a state dict as .safetensors
        or .pt, or the TorchScript archive that OpenAI published.

    Raises
    ------
    ConfigError : no such architecture, or OpenAI's weights for one without QuickGELU.
    WeightsError : no file, not the pinned file, or its tensors do not fit the architecture.
    """
    model = _load(visual)
    _copy(model)
    return model


def _load(visual: Clip) -> open_clip.CLIP:
    """:func:`load_clip`, but the tensors may be those of the file: whoever wants one tower does not read the other."""
    architecture = read_architecture(visual.encoder, visual.encoder_config)
    path = locate(visual.weights, published_clip(visual), "visual.weights")
    by_openai = is_torchscript(path)
    if by_openai and not architecture.get("quick_gelu"):
        # The tensors would fit, but features would be silently wrong: OpenAI trained with QuickGELU.
        raise ConfigError(
            f"visual.encoder: {visual.encoder} computes GELU, but {path} is a release of OpenAI, whose networks need "
            f"QuickGELU; write {visual.encoder}-quickgelu"
        )
    if "timm_model_name" in architecture["vision_cfg"]:
        bring_timm()
    try:
        with _Uninitialised():
            model = open_clip.CLIP(**architecture)
    except TypeError as error:  # open_clip passes the JSON's keys on as arguments
        raise ConfigError(f"visual.encoder_config: {visual.encoder_config}: {error}") from error
    try:
        kinds = {name: tensor.dtype for name, tensor in model.state_dict().items()}
        found = _read(path, by_openai)
        tensors = {name: tensor.to(kinds.get(name, tensor.dtype)) for name, tensor in found.items()}
        model.load_state_dict(tensors, assign=True)
    except pickle.UnpicklingError as error:
        raise refused_weights(path, error) from None
    except DAMAGED as error:
        raise WeightsError(f"{path}: does not fit the architecture {visual.encoder}: {error}") from error
    return model.eval().requires_grad_(False)


def _copy(network: nn.Module) -> None:
    """Move the tensors of a network to memory of its own, where no change of the file can reach them."""
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.data = tensor.data.clone()


class _Uninitialised(TorchFunctionMode):
    """Skips the random initialisation, as a file replaces all parameters; it takes 1.6 s of CPU time for ViT-B/16."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == torch.nn.init.__name__ or func is Tensor.uniform_:
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


def _read(path: Path, by_openai: bool) -> dict[str, Tensor]:
    if not by_openai:
        found: dict[str, Any] = load_file(path) if path.suffix == ".safetensors" else load_tensors(path)
        tensors = found.get("state_dict", found)  # beside it lies the state of open_clip's training
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in read_torchscript(path).items() if name.split(".")[-1] not in NO_WEIGHTS}
