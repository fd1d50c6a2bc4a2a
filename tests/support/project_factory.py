"""A small project in a folder of its own: annotations of given videos, tiny random encoders, and params.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from avadclip import config
from avadclip.config import Params
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.prepare import prepare
from avadclip.media.probe import probe
from avadclip.paths import manifest
from tests.support.weights_factory import write_tiny_clip, write_wav2clip_weights

NAME = "toy"


def write_project(root: Path, labels: Mapping[str, str], **visual: Any) -> Path:
    """Write annotations, encoders and params.yaml for the videos `labels` (file name -> label) in ``root/videos``.

    `visual` overrides keys of the visual recipe.
    """
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    write_table(root, labels)
    encoder, encoder_config, weights, sha256 = write_tiny_clip(root)
    params = {
        "datasets": {
            NAME: {
                "kind": "table",
                "videos": "videos",
                "annotations": "annotations",
                "classes": ["normal", "fighting"],
                "exclude": {},
                "visual": {
                    "encoder": encoder,
                    "encoder_config": encoder_config.name,
                    "weights": {"path": weights.name, "sha256": sha256},
                    "stride": 4,
                    "precision": "float32",
                    **visual,
                },
                "audio": {
                    "width": 8,
                    "weights": {
                        "path": "wav2clip.pt",
                        "sha256": write_wav2clip_weights(root / "wav2clip.pt", width=8),
                    },
                    "precision": "float32",
                },
            }
        },
        # A worker's first import of librosa compiles code, which can take minutes on a busy machine.
        "extraction": {"device": "cpu", "workers": 2, "stall_seconds": 300},
    }
    save_params(root, params)
    return root


def write_table(root: Path, labels: Mapping[str, str]) -> None:
    """Write ``videos.csv`` with the label of each video, all for training."""
    rows = [f'"{name.replace(chr(34), chr(34) * 2)}",{label},train' for name, label in labels.items()]
    (root / "annotations" / "videos.csv").write_text("\n".join(["video,labels,split", *rows]) + "\n")


def load_params(root: Path) -> dict[str, Any]:
    """Read ``params.yaml`` as plain data."""
    return YAML(typ="safe").load(root / "params.yaml")


def save_params(root: Path, params: dict[str, Any]) -> None:
    """Write ``params.yaml``."""
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.dump(params, root / "params.yaml")


def prepare_here() -> Params:
    """Run stage ``prepare`` in the working directory, and return the parameters."""
    params = config.load()
    prepared = prepare(NAME, params.dataset(NAME), params.extraction, probe)
    write_manifest(manifest(NAME), prepared.videos)
    return params


def contents(folder: Path) -> dict[str, bytes]:
    """Map the name of every file in a folder to its bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
