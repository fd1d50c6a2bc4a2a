"""CLIP architectures by name, read from open_clip's own files without importing it (that would import torch)."""

import difflib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avadclip.errors import ConfigError


@cache
def known_encoders() -> dict[str, Path]:
    """Name of every architecture that comes with open_clip -> its JSON file."""
    spec = find_spec("open_clip")  # locates a top-level package without importing it
    if spec is None or spec.origin is None:
        raise ConfigError("package `open_clip_torch` is not installed; install avadclip with its dependencies")
    return {file.stem: file for file in Path(spec.origin).with_name("model_configs").glob("*.json")}


def check_encoder(name: str) -> str:
    """`name` itself, if open_clip knows it.

    Raises
    ------
    ValueError : unknown name; the message lists close matches (raised within pydantic, which adds the key).
    """
    if name not in known_encoders():
        matches = difflib.get_close_matches(name, known_encoders(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(matches)}?" if matches else "`open_clip.list_models()` lists them"
        raise ValueError(f"open_clip has no such architecture ({hint}); for your own, set `encoder_config`")
    return name


def read_architecture(encoder: str, encoder_config: str | None = None) -> dict[str, Any]:
    """Constructor arguments of ``open_clip.CLIP``.

    Parameters
    ----------
    encoder : name of an open_clip architecture.
    encoder_config : JSON file in open_clip's format, read instead.

    Raises
    ------
    ConfigError : no such file, not JSON, or not a CLIP with a plain text transformer.
    """
    path = Path(encoder_config) if encoder_config else known_encoders()[encoder]
    try:
        architecture = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"visual.encoder_config: {path}: no such file") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"visual.encoder_config: {path}: not valid JSON: {error}") from None
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(architecture)
    if missing:
        raise ConfigError(f"visual.encoder_config: {path}: missing keys: {', '.join(sorted(missing))}; add them")
    if architecture.get("custom_text") or "hf_model_name" in architecture["text_cfg"]:
        # The detector's prompts go through CLIP's own text transformer, so no other kind of text tower will do.
        raise ConfigError(f"visual.encoder: {encoder} is not a plain CLIP; choose one like ViT-B-16-quickgelu")
    return dict(architecture)


def image_size(encoder: str, encoder_config: str | None = None) -> int:
    """Side of the square image that the image tower takes, in pixels."""
    size: int = read_architecture(encoder, encoder_config)["vision_cfg"].get("image_size", 224)  # open_clip's default
    return size
