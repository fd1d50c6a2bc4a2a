"""What one short clip waits for: the stage that extracts it, as a process of its own, beside its encoder alone.

Run ``python -m benchmarks.single_clip [--seconds 60] [--repeats 5]`` from the root of the project. The clip is 640x360
H.264, one frame in 16; the encoder is CLIP ViT-B/16 with random weights, which take the time of real ones. In turns:

- `stage`: ``python -m pipeline.extract_visual`` with an empty work cache;
- `bare`: a process that imports torch, loads the encoder and encodes as many images; it decodes and stores nothing;
- `warm`: the same images in an encoder that is loaded already.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from avadclip import config
from avadclip.config.features import Visual
from avadclip.encoders.clip import ImageEncoder
from avadclip.media.timeline import n_snippets
from benchmarks.extraction import FRAME_RATE, write_clip
from tests.support.project_factory import NAME, prepare_here, write_project
from tests.support.weights_factory import write_clip_weights

ROOT = Path(__file__).parents[1]
STRIDE = 16
BARE = """
import numpy as np
from avadclip import config
from avadclip.encoders.lean import lean_imports
from avadclip.encoders.weights import hash_ahead, published_clip

visual = config.load().dataset("toy").visual
hash_ahead(visual.weights, published_clip(visual))
with lean_imports():
    from avadclip.encoders.clip import ImageEncoder
encoder, images = ImageEncoder(visual), np.load("images.npy")
for first in range(0, len(images), visual.batch_size):
    encoder.encode(images[first : first + visual.batch_size])
"""


def encode_all(encoder: ImageEncoder, visual: Visual, images: NDArray[np.uint8]) -> None:
    """Encode batch by batch, as the stage does."""
    for first in range(0, len(images), visual.batch_size):
        encoder.encode(images[first : first + visual.batch_size])


def main(
    seconds: Annotated[int, typer.Option(help="Length of the clip.")] = 60,
    repeats: int = 5,
    precision: Annotated[
        str, typer.Option(help="bfloat16 is quick only where the processor computes in it.")
    ] = "bfloat16",
) -> None:
    """Measure in turns; print medians, and what the stage loses."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        root = Path(name)
        (root / "videos").mkdir()
        write_clip(root / "videos" / "clip.mp4", seconds)
        weights = root / "clip.safetensors"
        pinned = {"path": weights.name, "sha256": write_clip_weights(weights)}
        architecture = {"encoder": Visual.model_fields["encoder"].default, "encoder_config": None}
        recipe = {"weights": pinned, "stride": STRIDE, "precision": precision}
        write_project(root, {"clip.mp4": "fighting"}, **architecture, **recipe)
        prepare_here()
        visual = config.load().dataset(NAME).visual
        assert isinstance(visual, Visual)
        images = np.zeros((n_snippets(seconds * FRAME_RATE, STRIDE), 224, 224, 3), np.uint8)
        np.save("images.npy", images)
        encoder = ImageEncoder(visual)
        encode_all(encoder, visual, images)  # the first call allocates

        def stage() -> None:
            shutil.rmtree("features", ignore_errors=True)
            shutil.rmtree(".cache/features", ignore_errors=True)
            run("-m", "pipeline.extract_visual", NAME)

        ways: dict[str, Callable[[], None]] = {
            "stage": stage,
            "bare": lambda: run("-c", BARE),
            "warm": lambda: encode_all(encoder, visual, images),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(repeats):
            for way, work in ways.items():
                started = time.perf_counter()
                work()
                taken[way].append(time.perf_counter() - started)
        for way, values in taken.items():
            print(f"{way}: {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})")
        lost = [whole - warm for whole, warm in zip(taken["stage"], taken["warm"], strict=True)]
        print(f"lost by the stage: {statistics.median(lost):.2f} s")
        beyond = [whole - bare for whole, bare in zip(taken["stage"], taken["bare"], strict=True)]
        print(f"of it, beyond the bare process: {statistics.median(beyond):.2f} s")


def run(*words: str) -> None:
    """Run Python in the working directory with this project's modules."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *words], env=environment, check=True, capture_output=True)


if __name__ == "__main__":
    typer.run(main)
