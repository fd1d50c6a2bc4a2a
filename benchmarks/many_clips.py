"""What a folder of many short clips costs beyond decoding them: opening, hashing, sending, keeping.

``python -m benchmarks.many_clips`` from the root of the project. Ten-second clips of 160x90 with one decode worker and
an encoder that takes no time, against a plain loop in one process that decodes the same frames and does nothing else.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from avadclip import config
from avadclip.config import features
from avadclip.datasets.manifest import read_manifest
from avadclip.encoders.preprocess import canvas
from avadclip.extraction.modalities import READERS
from avadclip.extraction.run import extract
from avadclip.extraction.videos import VideoFrames
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe
from avadclip.media.timeline import sample_indices
from avadclip.paths import manifest
from tests.support.media_factory import write_video
from tests.support.project_factory import NAME, load_params, prepare_here, save_params, write_project

SECONDS, FRAME_RATE, STRIDE, SIDE = 10, 25, 16, 64


class StandInEncoder:
    """Takes no time."""

    width, ahead = 512, 0

    def begin(self, inputs: NDArray[np.uint8]) -> Callable[[], NDArray[np.float16]]:
        """Zeros."""
        return lambda: np.zeros((1, len(inputs), self.width), np.float16)


class WithoutEncoder(VideoFrames):
    """The visual modality of the real tasks."""

    def load_encoder(self, device: str) -> Any:
        """The stand-in."""
        return StandInEncoder()


def write_clips(folder: Path, n: int) -> list[str]:
    """The same pictures under different hashes: a box that players skip holds the number."""
    folder.mkdir()
    texture = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    whole = write_video(
        folder / "whole.mp4",
        n_frames=SECONDS * FRAME_RATE,
        frame_rate=FRAME_RATE,
        size=(160, 90),
        frame_fn=lambda index: np.roll(texture, (index, 3 * index), axis=(0, 1)),
    )
    content = whole.read_bytes()
    whole.unlink()
    names = [f"clip {number:05}.mp4" for number in range(n)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(content + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return names


def decode(path: Path) -> None:
    """Decode what one clip's features are made of, and nothing else."""
    info = probe(path)
    for batch in decode_frames(path, info, sample_indices(info.n_frames, STRIDE), "decord", n_threads=0):
        for rgb in batch.rgb:
            canvas(rgb, "center", SIDE)


def main(clips: Annotated[int, typer.Option(help="How many.")] = 1000) -> None:
    """Print seconds, and milliseconds a clip."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        root = Path(name)
        names = write_clips(root / "videos", clips)
        write_project(root, {name: ("normal", "fighting")[n % 2] for n, name in enumerate(names)}, stride=STRIDE)
        params = load_params(root)
        params["extraction"]["workers"] = 1
        save_params(root, params)
        READERS[features.Visual] = WithoutEncoder
        loaded = config.load()
        decode(root / "videos" / names[0])
        seconds: dict[str, float] = {}
        for what, work in (
            ("prepare", prepare_here),
            ("extract", lambda: extract(NAME, "visual", loaded)),
            ("decoding alone", lambda: [decode(Path(video.path)) for video in read_manifest(manifest(NAME))]),
            ("extract again", lambda: extract(NAME, "visual", loaded)),
        ):
            started = time.perf_counter()
            work()
            seconds[what] = time.perf_counter() - started
            print(f"{what}: {seconds[what]:.1f} s, {1000 * seconds[what] / clips:.1f} ms a clip")
        beyond = seconds["extract"] - seconds["decoding alone"]
        print(f"extract beyond decoding: {1000 * beyond / clips:.1f} ms a clip")


if __name__ == "__main__":
    typer.run(main)
