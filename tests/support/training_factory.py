"""A small project to train on: a manifest and features without any video, and a tiny CLIP text tower."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from ruamel.yaml import YAML
from safetensors.torch import save_file

from avadclip import paths, store
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Dimensions
from avadclip.encoders.weights import sha256_of

NAME = "toy"
STRIDE = 4
CLASSES = ("normal", "fighting", "car accident")
WIDTHS = {"visual": 12, "audio": 8}
EMBEDDING, TEXT_WIDTH = 16, 32
CLIP = {
    "embed_dim": EMBEDDING,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "patch_size": 32, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": TEXT_WIDTH, "heads": 2, "layers": 2},
}


def text_tower(classes: tuple[str, ...] = CLASSES) -> TextTower:
    """A random text tower, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = open_clip.CLIP(**CLIP)
    return TextTower(clip, open_clip.tokenize(list(classes)))


def dimensions(max_snippets: int = 32) -> Dimensions:
    return Dimensions(dict(WIDTHS), len(CLASSES), max_snippets, EMBEDDING, TEXT_WIDTH, context_length=77)


def random_batch(n_snippets: list[int], n_positions: int, seed: int = 0) -> Batch:
    """Make features around one direction a video, so that cosines lie on both sides of the graph's threshold."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.tensor(n_snippets)
    valid = torch.arange(n_positions) < lengths[:, None]
    visual, audio = (
        (
            torch.randn(len(n_snippets), 1, width, generator=random) * 2
            + torch.randn(len(n_snippets), n_positions, width, generator=random)
        )
        * valid[:, :, None]
        for width in WIDTHS.values()
    )
    audio_valid = valid & (torch.rand(valid.shape, generator=random) > 0.3)
    return Batch(visual, audio, audio_valid, lengths)


def make_videos(n_train: int, n_test: int) -> list[Video]:
    """Make videos of 6 to 40 snippets that are normal, fighting and car accident in turn."""
    random = np.random.default_rng(0)
    return [
        Video(
            id=f"video{index:03}",
            path=f"videos/video{index:03}.mp4",
            split="train" if index < n_train else "test",
            labels=(CLASSES[index % 3],),
            n_frames=int(random.integers(6, 41)) * STRIDE - 1,
            frame_rate=8.0,
            has_audio=True,
            content_hash=f"{index:064x}",
        )
        for index in range(n_train + n_test)
    ]


def anomalous_snippets(video: Video) -> slice:
    """Return the second half of an anomalous video, or no snippets of a normal one."""
    n_snippets = -(-video.n_frames // STRIDE)
    return slice(0, 0) if video.is_normal else slice(n_snippets // 2, n_snippets)


def write_training_project(
    root: Path, videos: list[Video], strength: dict[str, float], n_views: int = 1, **sections: Any
) -> None:
    """Write manifest, ground truth, features, CLIP and params.yaml into `root`.

    `strength` says for each modality how far anomalous snippets lie from normal ones, whose standard deviation is 1.
    """
    config_file, weights = root / "clip.json", root / "clip.safetensors"
    config_file.write_text(json.dumps(CLIP))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(open_clip.CLIP(**CLIP).state_dict(), weights)
    write_manifest(root / paths.manifest(NAME), videos)
    spans = {video.id: (video, anomalous_snippets(video)) for video in videos if not video.is_normal}
    write_ground_truth(
        root / paths.ground_truth(NAME),
        [Segment(i, v.labels[0], s.start * STRIDE, min(s.stop * STRIDE, v.n_frames)) for i, (v, s) in spans.items()],
    )
    random = np.random.default_rng(1)
    for modality, width in WIDTHS.items():
        directions = random.standard_normal((len(CLASSES), width))
        for video in videos:
            features = _features(video, modality, directions * strength[modality], n_views, random)
            store.write(root / paths.features(NAME, modality) / f"{video.id}.h5", features)
    visual = {
        "encoder": "tiny",
        "encoder_config": str(config_file),
        "weights": {"path": str(weights), "sha256": sha256_of(weights)},
        "stride": STRIDE,
        "precision": "float32",
    }
    params = {
        "datasets": {
            NAME: {
                "kind": "table",
                "videos": "videos",
                "annotations": "annotations",
                "classes": list(CLASSES),
                "visual": visual,
                "audio": {"weights": {"sha256": "0" * 64}, "precision": "float32"},
                "selection": sections.get("selection", {}),
            }
        },
        "train": sections.get("train", {}),
        "distill": sections.get("distill", {}),
        "compute": {"device": "cpu"},
    }
    with (root / "params.yaml").open("w") as file:
        YAML().dump(params, file)


def _features(
    video: Video, modality: str, directions: NDArray[np.float64], n_views: int, random: np.random.Generator
) -> store.Features:
    n_snippets = -(-video.n_frames // STRIDE)
    values = random.standard_normal((n_views, n_snippets, directions.shape[1]))
    values[:, anomalous_snippets(video)] += directions[CLASSES.index(video.labels[0])]
    values = values if modality == "visual" else values[0]
    return store.Features(
        source=store.Source(video.id, video.content_hash, video.n_frames, video.frame_rate),
        recipe={"modality": modality, "stride": STRIDE},
        values=values.astype(np.float16),
        valid=np.ones(n_snippets, bool),
        boundary_seconds=np.arange(n_snippets + 1) * STRIDE / video.frame_rate,
        decoder="none",
    )
