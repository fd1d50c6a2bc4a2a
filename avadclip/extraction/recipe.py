"""What a feature is made with: everything that decides its value, except the video itself."""

import hashlib
import json
from importlib.metadata import version
from typing import Any

from avadclip.config.architectures import read_architecture
from avadclip.config.features import Audio, Visual
from avadclip.media.decord_reader import decord_available

RESIZE = {
    "center": "short side, bicubic, antialias (Pillow)",
    "five_crop": "340x256, bilinear",
    "ten_crop": "340x256, bilinear",
}


def visual_recipe(visual: Visual) -> dict[str, Any]:
    """Recipe of the features of ``extract_visual``: JSON values only."""
    pyav = f"PyAV {version('av')}"
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
        "decoder": f"decord {version('decord')}, else {pyav}" if decord_available() else pyav,
    }


def audio_recipe(audio: Audio, visual: Visual) -> dict[str, Any]:
    """Recipe of the features of ``extract_audio``, one for each snippet of the visual stride: JSON values only."""
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
        "decoder": f"PyAV {version('av')}",
    }


def _architecture_sha256(visual: Visual) -> str | None:
    # A named architecture is open_clip's; of one's own, the sha256 of the weights does not pin heads and activation.
    if visual.encoder_config is None:
        return None
    canonical = json.dumps(read_architecture(visual.encoder, visual.encoder_config), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
