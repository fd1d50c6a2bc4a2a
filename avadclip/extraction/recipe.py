"""How a feature is made: everything that determines its value, except the video itself."""

import hashlib
import json
from importlib.metadata import version
from typing import Any

from avadclip.config.architectures import read_architecture
from avadclip.config.features import Audio, Visual
from avadclip.errors import ConfigError
from avadclip.media.decord_reader import decord_available
from avadclip.media.frames import Decoder
from avadclip.media.torchcodec_reader import torchcodec_available

DISTRIBUTIONS: dict[Decoder, str] = {"decord": "decord", "torchcodec": "torchcodec", "pyav": "av"}
RESIZE = {
    "center": "short side, bicubic, antialias (Pillow)",
    "five_crop": "340x256, bilinear",
    "ten_crop": "340x256, bilinear",
}


def visual_recipe(visual: Visual) -> dict[str, Any]:
    """Recipe of the features of ``extract_visual``, with JSON values only."""
    return {
        "modality": "visual",
        "encoder": visual.encoder,
        "architecture_sha256": _architecture_sha256(visual),
        "weights_sha256": visual.weights.sha256,
        "stride": visual.stride,
        "frame": visual.frame,
        **({"mean_of": visual.mean_of or "all"} if visual.frame == "mean" else {}),
        "views": visual.views,
        "resize": RESIZE[visual.views],
        "precision": visual.precision,
        "batch_size": visual.batch_size,
        "decoder": ", else ".join(map(_named, decoders(visual))),
    }


def decoders(visual: Visual) -> tuple[Decoder, ...]:
    """The decoders of pictures on this machine, in the order in which they are tried.

    Raises
    ------
    ConfigError : torchcodec is asked for but not installed; another decoder would be another recipe.
    """
    if visual.decoder == "torchcodec":
        if not torchcodec_available():
            raise ConfigError("visual.decoder: torchcodec is not installed; pip install '.[torchcodec]', or `auto`")
        return ("torchcodec", "pyav")
    return ("decord", "pyav") if decord_available() else ("pyav",)


def _named(decoder: Decoder) -> str:
    return f"{'PyAV' if decoder == 'pyav' else decoder} {version(DISTRIBUTIONS[decoder])}"


def audio_recipe(audio: Audio, visual: Visual) -> dict[str, Any]:
    """Recipe of the features of ``extract_audio``, one for each snippet of the visual stride, with JSON values only."""
    return {
        "modality": "audio",
        "encoder": audio.encoder,
        "width": audio.width,
        "weights_sha256": audio.weights.sha256,
        "stride": visual.stride,
        "window_seconds": audio.window_seconds,
        "spectrogram": f"librosa {version('librosa')}, standardised per window",
        "precision": audio.precision,
        "batch_size": audio.batch_size,
        "decoder": _named("pyav"),
    }


def _architecture_sha256(visual: Visual) -> str | None:
    # A named architecture is open_clip's. For one of your own, the sha256 of the weights does not pin heads and
    # activation.
    if visual.encoder_config is None:
        return None
    canonical = json.dumps(read_architecture(visual.encoder, visual.encoder_config), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
