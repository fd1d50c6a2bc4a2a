"""Sections ``datasets.<name>`` and dummy video files for tests."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from avadclip.config.datasets import Dataset
from avadclip.config.features import Audio, Visual, Weights

XD_CLASSES = ("normal", "fighting", "shooting", "riot", "abuse", "car accident", "explosion")


def make_dataset(kind: str, root: Path, classes: tuple[str, ...] = ("normal", "fighting"), **keys: Any) -> Dataset:
    """A data set whose folders are ``root/videos`` and ``root/annotations``, unless `keys` say otherwise."""
    weights = Weights(sha256="0" * 64)
    return Dataset.model_validate(
        {
            "kind": kind,
            "videos": str(root / "videos"),
            "annotations": str(root / "annotations"),
            "classes": classes,
            "visual": Visual(weights=weights, stride=16, precision="float32"),
            "audio": Audio(weights=weights, precision="float32"),
            **keys,
        }
    )


def write_files(folder: Path, texts: dict[str, str]) -> None:
    """Write text files below `folder`, which is created."""
    for name, text in {"": "", **texts}.items():
        path = folder / name
        (path if not name else path.parent).mkdir(parents=True, exist_ok=True)
        if name:
            path.write_bytes(text.encode())


def write_videos(root: Path, names: Iterable[str]) -> None:
    """Write empty files below ``root/videos``."""
    write_files(root / "videos", dict.fromkeys(names, ""))
