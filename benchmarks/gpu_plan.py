"""What `benchmarks.gpu` measures on this machine, and the files that its parts share. It imports no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avadclip.config.features import Views, Visual, Weights
from avadclip.store import Source

SIZES = {"360p": (640, 360), "1080p": (1920, 1080), "tiny": (160, 90)}


@dataclass(frozen=True)
class Plan:
    """The sizes of everything. `tiny` is for machines without a GPU: it only shows that everything runs."""

    gpu: bool
    tiny: bool
    workers: int
    stride: int
    batch_size: int
    image_size: int
    resolutions: tuple[str, ...]
    clip_seconds: int
    clip_repeats: int
    window_seconds: float  # of one measurement
    precision: str

    @classmethod
    def of(cls, tiny: bool, gpu: bool, workers: int, precision: str) -> "Plan":
        """Make the plan."""
        if tiny:
            return cls(gpu, tiny, min(workers, 2), 4, 8, 64, ("tiny",), 2, 1, 0.3, "float32")
        return cls(gpu, tiny, workers, 16, 256, 224, ("360p", "1080p"), 10, 4, 4.0, precision)

    def visual(self, folder: Path, views: Views, precision: str | None = None) -> Visual:
        """Return the section `visual` of a params.yaml that would make these features."""
        weights = Weights(path=str(folder / "clip.safetensors"), sha256=(folder / "clip.sha256").read_text())
        config = {"encoder": "tiny", "encoder_config": str(folder / "tiny.json")} if self.tiny else {}
        return Visual.model_validate(
            config
            | {
                "weights": weights,
                "stride": self.stride,
                "views": views,
                "precision": precision or self.precision,
                "batch_size": self.batch_size,
            }
        )


def clip_source(folder: Path, resolution: str) -> Source:
    """Return the clip of this resolution as a manifest would list it."""
    return Source(**json.loads((folder / f"{resolution}.source.json").read_text()))


def results_of(folder: Path, part: str) -> dict[str, Any]:
    """Return the results of an earlier part; none if it failed."""
    path = folder / f"{part}.results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
