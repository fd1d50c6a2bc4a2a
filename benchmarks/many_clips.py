"""The cost of a folder of many short clips beyond decoding them: probing, hashing, sending, storing.

Run ``python -m benchmarks.many_clips`` from the root of the project. It extracts ten-second clips of 160x90 with sound,
with an encoder that takes no time, and compares with loops in one process that only decode the same frames and sound.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from avadclip import config
from avadclip.config import features
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Video
from avadclip.encoders.preprocess import canvas
from avadclip.encoders.spectrogram import spectrogram
from avadclip.extraction.modalities import READERS
from avadclip.extraction.run import extract
from avadclip.extraction.videos import VideoFrames, VideoSound
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.probe import VideoInfo, probe
from avadclip.media.timeline import boundary_seconds, sample_indices
from avadclip.paths import manifest

SECONDS, FRAME_RATE, STRIDE, SIDE = 10, 25, 16, 64
WINDOW_SECONDS: float = features.Audio.model_fields["window_seconds"].default


class StandInEncoder:
    """An encoder that takes no time."""

    width, ahead = 512, 0

    def __init__(self, views: tuple[int, ...]) -> None:
        self._views = views

    def begin(self, inputs: NDArray[Any]) -> Callable[[], NDArray[np.float16]]:
        """Return zeros."""
        return lambda: np.zeros((*self._views, len(inputs), self.width), np.float16)


class Unencoded(VideoFrames):
    """The visual modality with its real tasks, but with a stand-in for the encoder."""

    def load_encoder(self, device: str) -> Any:
        """Return the stand-in."""
        return StandInEncoder((1,))


class UnencodedSound(VideoSound):
    """The audio modality with its real tasks, but with a stand-in for the encoder."""

    def load_encoder(self, device: str) -> Any:
        """Return the stand-in."""
        return StandInEncoder(())


def write_clips(folder: Path, n: int) -> list[str]:
    """Write equal clips with different hashes: a box that players skip holds their number."""
    from tests.support.media_factory import write_video  # see `main`

    folder.mkdir()
    texture = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    whole = write_video(
        folder / "whole.mp4",
        n_frames=SECONDS * FRAME_RATE,
        frame_rate=FRAME_RATE,
        size=(160, 90),
        frame_fn=lambda index: np.roll(texture, (index, 3 * index), axis=(0, 1)),
        audio=np.random.default_rng(1).standard_normal(SECONDS * 16_000, np.float32) / np.float32(8),
    )
    content = whole.read_bytes()
    whole.unlink()
    names = [f"clip {number:05}.mp4" for number in range(n)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(content + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return names


def see(video: Video, info: VideoInfo) -> None:
    """Decode the frames for one clip's visual features, and do nothing else."""
    for batch in decode_frames(Path(video.path), info, sample_indices(info.n_frames, STRIDE), "decord", n_threads=0):
        for rgb in batch.rgb:
            canvas(rgb, "center", SIDE)


def hear(video: Video, info: VideoInfo) -> None:
    """Decode the sound for one clip's audio features, and do nothing else."""
    boundaries = boundary_seconds(info, STRIDE)
    centres = (boundaries[:-1] + boundaries[1:]) / 2
    for window in decode_windows(Path(video.path), centres, WINDOW_SECONDS, sound=info.sound):
        spectrogram(window.samples)


def all_of(decode: Callable[[Video, VideoInfo], None], videos: Sequence[Video], infos: Sequence[VideoInfo]) -> None:
    """Decode all videos, one after the other."""
    for video, info in zip(videos, infos, strict=True):
        decode(video, info)


def main(
    clips: Annotated[int, typer.Option(help="Number of clips.")] = 1000,
    workers: Annotated[int, typer.Option(help="Decode workers; the loops that only decode are one process.")] = 1,
) -> None:
    """Time each step; print its seconds, and milliseconds a clip."""
    # Imported here, because decode workers import this module, and torch, which these bring, would cost them seconds.
    from tests.support.project_factory import NAME, load_params, prepare_here, save_params, write_project

    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        root = Path(name)
        names = write_clips(root / "videos", clips)
        write_project(root, {name: ("normal", "fighting")[n % 2] for n, name in enumerate(names)}, stride=STRIDE)
        params = load_params(root)
        params["extraction"]["workers"] = workers
        save_params(root, params)
        READERS[features.Visual], READERS[features.Audio] = Unencoded, UnencodedSound
        loaded = config.load()

        def timed(what: str, work: Callable[[], object]) -> float:
            started = time.perf_counter()
            work()
            seconds = time.perf_counter() - started
            print(f"{what}: {seconds:.1f} s, {1000 * seconds / clips:.1f} ms a clip", flush=True)
            return seconds

        beyond = timed("prepare", prepare_here)
        videos = read_manifest(manifest(NAME))
        infos = [probe(Path(video.path)) for video in videos]
        for modality, decode in (("visual", see), ("audio", hear)):
            decode(videos[0], infos[0])  # the first call imports libraries
            beyond += timed(f"extract_{modality}", partial(extract, NAME, modality, loaded))
            beyond -= timed("  decoding alone", partial(all_of, decode, videos, infos))
            timed("  extract again", partial(extract, NAME, modality, loaded))
            print(f"beyond decoding, up to here: {1000 * beyond / clips:.1f} ms a clip")


if __name__ == "__main__":
    typer.run(main)
