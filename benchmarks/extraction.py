"""How fast frames become features, compared with the usual research loop, and how much memory a long video takes.

Run ``python -m benchmarks.extraction`` from the root of the project. Everything is measured in turns in one run,
because machines are noisy: compare the ratios. Weights are random; real ones would take the same time.
"""

import contextlib
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import psutil
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from avadclip.config.datasets import Dataset
from avadclip.config.features import Audio, Extraction, Visual, Weights
from avadclip.errors import MediaError
from avadclip.extraction.local import encode_videos
from avadclip.extraction.protocol import Encoder, Pending
from avadclip.extraction.recipe import decoders
from avadclip.extraction.tasks import VisualTask
from avadclip.extraction.videos import VideoFrames
from avadclip.io import sha256_of
from avadclip.media.decord_reader import import_decord
from avadclip.media.frames import Decoder
from avadclip.media.probe import probe
from avadclip.media.timeline import n_snippets, sample_indices
from avadclip.store import Source
from avadclip.store.work_cache import WorkCache
from tests.support.media_factory import write_video

# Workers import this module again. Torch, which costs ten times as much as the rest, is imported where it is used.

FRAME_RATE, SIZE = 25, (640, 360)
MEBIBYTE = 2**20


class StandInEncoder:
    """An encoder that takes no time and no memory, so that a two-hour video is processed in minutes."""

    width, ahead = 512, 0

    def begin(self, inputs: NDArray[np.uint8]) -> Callable[[], NDArray[np.float16]]:
        """Return zeros."""
        return lambda: np.zeros((1, len(inputs), self.width), np.float16)


class Loaded(VideoFrames):
    """The visual modality with an encoder that is loaded already, as it is in a long run."""

    def __init__(self, visual: Visual, encoder: Encoder) -> None:
        audio = Audio(weights=visual.weights, precision="float32")
        super().__init__(
            Dataset(
                kind="table", videos="-", annotations="-", classes=("normal", "fighting"), visual=visual, audio=audio
            )
        )
        self._encoder = encoder

    def load_encoder(self, device: str) -> Encoder:
        """Return the encoder."""
        return self._encoder


class Contest:
    """One generated clip, and the ways to turn it into features."""

    def __init__(self, folder: Path, visual: Visual, clip: Path) -> None:
        import open_clip

        from avadclip.device import resolve_device
        from avadclip.encoders.clip import ImageEncoder, load_clip

        self.folder, self.visual, self.clip = folder, visual, clip
        self.source = source_of(clip)
        self.n_sampled = n_snippets(self.source.n_frames, visual.stride)
        self.encoder = ImageEncoder(visual)
        self._device = resolve_device("auto")
        self._clip_model = load_clip(visual).to(self._device)
        self._preprocess = open_clip.image_transform(224, is_train=False)
        self._canvases = np.random.default_rng(0).integers(0, 256, (visual.batch_size, 224, 224, 3), np.uint8)

    def encoder_alone(self) -> None:
        """Encode batches that are in memory already."""
        for done in range(0, self.n_sampled, self.visual.batch_size):
            self.encoder.encode(self._canvases[: self.n_sampled - done])

    def decoding_alone(self) -> None:
        """Decode as a worker does, but in this process: with the first decoder that takes the file."""
        reasons = []
        for decoder in decoders(self.visual):
            try:
                self._decode_with(decoder)
                return
            except MediaError as error:
                reasons.append(str(error))
        raise MediaError("; ".join(reasons))

    def _decode_with(self, decoder: Decoder) -> None:
        visual = self.visual
        for _ in VisualTask(
            self.clip, self.source, decoder, visual.stride, "first", None, "center", 224, visual.batch_size
        )():
            pass

    def end_to_end(self) -> None:
        """Extract: a worker decodes while this process encodes. The start of the worker counts."""
        extract_one(self.folder, self.visual, self.clip, self.encoder)

    def usual_loop(self) -> None:
        """Do what the scripts of the field do: read a frame, resize it with Pillow, encode it alone in float32."""
        import torch
        from PIL import Image

        reader = import_decord().VideoReader(str(self.clip))
        with torch.inference_mode():
            for index in sample_indices(self.source.n_frames, self.visual.stride).tolist():
                image = self._preprocess(Image.fromarray(reader[index].asnumpy()))
                self._clip_model.encode_image(image[None].to(self._device)).cpu()


def source_of(clip: Path) -> Source:
    """Return the clip as a manifest would list it."""
    info = probe(clip)
    return Source(clip.stem, sha256_of(clip), info.n_frames, info.frame_rate)


def extract_one(folder: Path, visual: Visual, clip: Path, encoder: Encoder) -> None:
    """Extract one clip with the local engine into an empty work cache."""
    cache = WorkCache(Path(tempfile.mkdtemp(dir=folder)))
    outcome = encode_videos([Pending(clip, source_of(clip))], Loaded(visual, encoder), cache, Extraction(workers=1))
    assert not outcome.failures, outcome.failures


def write_clip(path: Path, seconds: int, size: tuple[int, int] = SIZE) -> Path:
    """Write a moving texture in H.264, about as hard to decode as a street scene; `size` is a multiple of 80x45."""
    scale = size[1] // 45
    texture = np.random.default_rng(0).integers(0, 256, (45, 80, 3), np.uint8)
    texture = texture.repeat(scale, axis=0).repeat(scale, axis=1)
    return write_video(
        path,
        n_frames=seconds * FRAME_RATE,
        frame_rate=FRAME_RATE,
        size=size,
        frame_fn=lambda index: np.roll(texture, (index, 3 * index), axis=(0, 1)),
        options={"preset": "veryfast"},
    )


def repeat_clip(clip: Path, path: Path, times: int) -> Path:
    """Repeat a clip several times, without encoding anything again."""
    with av.open(str(path), "w") as output:
        copy = None
        for turn in range(times):
            with av.open(str(clip)) as container:
                original = container.streams.video[0]
                copy = copy or output.add_stream_from_template(original)
                assert original.duration is not None
                shift = turn * original.duration
                for packet in container.demux(original):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, copy
                        output.mux(packet)
    return path


def peak_mebibytes(work: Callable[[], None]) -> float:
    """Return the largest sum of the resident memory of this process and its workers while `work` runs."""
    process, peak, is_done = psutil.Process(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not is_done.wait(0.05):
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        is_done.set()
        watcher.join()
    return peak / MEBIBYTE


def measure_speed(contest: Contest, repeats: int) -> dict[str, float]:
    """Measure the median sampled frames per second of each way, in turns."""
    ways = [contest.encoder_alone, contest.decoding_alone, contest.end_to_end, contest.usual_loop]
    seconds: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for way in ways:
        if way is not contest.end_to_end:
            way()  # first calls allocate and compile
    for _ in range(repeats):
        for way in ways:
            started = time.perf_counter()
            way()
            seconds[way.__name__].append(time.perf_counter() - started)
    return {name: contest.n_sampled / statistics.median(values) for name, values in seconds.items()}


def main(
    seconds: Annotated[int, typer.Option(help="Length of the clip for the speed comparison.")] = 60,
    repeats: int = 3,
    precision: Annotated[str, typer.Option(help="auto: bfloat16 if the device computes in it.")] = "auto",
    long_minutes: Annotated[int, typer.Option(help="Length of the clip for the memory measurement.")] = 120,
    json_path: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure, and print a table."""
    import torch

    from avadclip.device import resolve_device
    from avadclip.encoders.tower import computes_natively
    from tests.support.weights_factory import write_clip_weights

    device = resolve_device("auto")
    if precision == "auto":
        precision = "bfloat16" if computes_natively("bfloat16", device) else "float32"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = Weights(path=str(folder / "clip.safetensors"), sha256=write_clip_weights(folder / "clip.safetensors"))
        visual = Visual.model_validate({"weights": weights, "stride": 16, "precision": precision})
        rates = measure_speed(Contest(folder, visual, write_clip(folder / "clip.mp4", seconds)), repeats)
        short = write_clip(folder / "short.mp4", 120)
        long = repeat_clip(short, folder / "long.mp4", long_minutes // 2)
        peaks = {
            clip.stem: peak_mebibytes(partial(extract_one, folder, visual, clip, StandInEncoder()))
            for clip in (short, long)
        }
    in_turn = 1 / (1 / rates["encoder_alone"] + 1 / rates["decoding_alone"])
    results = {
        "device": str(device),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "frames_per_second": rates,
        "end_to_end_over_in_turn": rates["end_to_end"] / in_turn,
        "end_to_end_over_usual_loop": rates["end_to_end"] / rates["usual_loop"],
        "peak_mebibytes": {"2 minutes": peaks["short"], f"{long_minutes} minutes": peaks["long"]},
    }
    print_table(results)
    if json_path is not None:
        json_path.write_text(json.dumps(results, indent=2) + "\n")


def print_table(results: dict[str, Any]) -> None:
    """Print the results as a table."""
    table = Table("", "", title=f"extraction, {results['device']}, {results['cpu']}, {results['precision']}")
    for name, rate in results["frames_per_second"].items():
        table.add_row(name.replace("_", " "), f"{rate:.2f} sampled frames/s")
    table.add_row("end to end / (decoding and encoding in turn)", f"{results['end_to_end_over_in_turn']:.2f}")
    table.add_row("end to end / usual loop", f"{results['end_to_end_over_usual_loop']:.2f}")
    for length, peak in results["peak_mebibytes"].items():
        table.add_row(f"peak memory, {length} of video (stand-in encoder)", f"{peak:.0f} MiB")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
