"""The Ray engine compared with the local one, and what a driver of 100,000 videos costs.

Run ``python -m benchmarks.cluster`` from the root of the project; it needs the extra `cluster`. Both engines encode the
same short videos with the demo world's encoders, in turns, on the same cores. The large number of videos is simulated:
a stand-in replaces decoding and encoding, but everything that the driver does is real.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from avadclip import config, store
from avadclip.cluster.mapping import Row, map_rows
from avadclip.cluster.session import connected
from avadclip.config.execution import Execution
from avadclip.config.features import Extraction
from avadclip.extraction.cluster import AHEAD, Status, encode_on_cluster
from avadclip.extraction.encoding import Encoded, Outcome
from avadclip.extraction.local import encode_videos
from avadclip.extraction.modalities import modality
from avadclip.extraction.protocol import Pending
from avadclip.extraction.run import fill
from avadclip.io import sha256_of
from avadclip.media.probe import probe
from avadclip.store import Source
from avadclip.store.work_cache import WorkCache
from tests.support.media_factory import write_video

MEBIBYTE = 2**20
HERE = Execution(engine="ray", address="local")


class StandIn:
    """A stand-in for an encoder, which answers at once."""

    kind = "stand-in"

    def run(self, video: Pending) -> Status:
        """Return a status row like that of a real video."""
        return Status(Encoded(video.source.id, n_snippets=100, seconds=0.0, checksum="0" * 64))


def _rolled(texture: NDArray[np.uint8], n: int, index: int) -> NDArray[np.uint8]:
    """Picture `index` of video `n`."""
    return np.roll(texture, (index, 3 * index + n), axis=(0, 1))


def write_videos(folder: Path, n_videos: int) -> list[Pending]:
    """Write clips of 10 s that differ, and return them as a manifest would list them."""
    texture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    found = []
    for n in range(n_videos):
        path = folder / f"video {n:03}.mp4"
        write_video(
            path,
            n_frames=250,
            size=(256, 192),
            frame_fn=partial(_rolled, texture, n),
            options={"preset": "ultrafast"},
        )
        info = probe(path)
        found.append(Pending(path, Source(path.stem, sha256_of(path), info.n_frames, info.frame_rate)))
    return found


@dataclass(frozen=True)
class Speed:
    """Videos per second of one run."""

    with_start: float
    after_start: float  # from the first feature file to the last


def measure(encode: Callable[[WorkCache], Outcome], n_videos: int) -> Speed:
    """Run one engine into an empty work cache."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        outcome = encode(WorkCache(Path(folder)))
        seconds = time.perf_counter() - started
        assert not outcome.failures, outcome.failures
        written = [path.stat().st_mtime for path in Path(folder).glob("??/*.h5")]
        assert len(written) == n_videos
    return Speed(n_videos / seconds, (n_videos - 1) / (max(written) - min(written)))


def measure_engines(folder: Path, n_videos: int, repeats: int) -> dict[str, Any]:
    """Measure both engines in turns, and return the medians."""
    videos = write_videos(folder, n_videos)
    make = partial(modality, "visual", config.load().dataset("demo"))
    settings = Extraction(device="cpu")
    engines: dict[str, Callable[[WorkCache], Outcome]] = {
        "local": lambda cache: encode_videos(videos, make(), cache, settings),
        "ray": lambda cache: encode_on_cluster(videos, make, cache, settings, HERE),
    }
    speeds: dict[str, list[Speed]] = {name: [] for name in engines}
    for _ in range(repeats):
        for name, encode in engines.items():
            speeds[name].append(measure(encode, n_videos))
    return {
        name: {key: statistics.median(getattr(s, key) for s in found) for key in ("with_start", "after_start")}
        for name, found in speeds.items()
    }


def simulate(n_videos: int) -> dict[str, float]:
    """Simulate the driver's part of an extraction of `n_videos` listed videos."""
    process = psutil.Process()

    def rows() -> Iterator[Row]:
        for n in range(n_videos):
            video_id = f"video_{n:06}"
            path = Path(f"/archive/2024/{video_id}.mp4")
            yield Row(video_id, Pending(path, Source(video_id, f"{n:064x}", 25_000, 25.0)))

    peaks: list[int] = []
    with connected(HERE) as ray:
        results = map_rows(
            ray,
            rows(),
            StandIn,
            HERE,
            root=str(Path.cwd()),
            in_flight_per_worker=Extraction().workers + AHEAD,
            is_concurrent=True,
            may_use_gpu=False,
        )
        next(results)
        started = time.perf_counter()
        for n, _ in enumerate(results):
            if n % 1000 == 0:
                peaks.append(process.memory_info().rss)
        seconds = time.perf_counter() - started
    return {
        "milliseconds_a_video": 1000 * seconds / n_videos,
        "driver_mebibytes_at_a_tenth": peaks[len(peaks) // 10] / MEBIBYTE,
        "driver_mebibytes_at_the_end": peaks[-1] / MEBIBYTE,
    }


def measure_fill(folder: Path, n_videos: int) -> dict[str, float]:
    """Time how a work cache that holds everything fills the output folder, with files of 10 snippets."""
    cache, output = WorkCache(folder / "cache"), folder / "output"
    fingerprints = {}
    for n in range(n_videos):
        features = store.Features(
            Source(f"video_{n:06}", f"{n:064x}", 250, 25.0),
            {},
            np.zeros((1, 10, 512), np.float16),
            np.ones(10, bool),
            np.arange(11.0),
            "none",
        )
        cache.put(features)
        fingerprints[features.id] = features.fingerprint
    output.mkdir(parents=True, exist_ok=True)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        lacking = fill(output, fingerprints, cache)
        seconds.append(time.perf_counter() - started)
        assert not lacking
    size = next(output.iterdir()).stat().st_size
    return {"seconds": seconds[0], "seconds_again": seconds[1], "kilobytes_a_file": size / 1e3}


def main(
    videos: Annotated[int, typer.Option(help="Short videos that both engines encode.")] = 200,
    repeats: int = 5,
    listed: Annotated[int, typer.Option(help="Videos in the simulation.")] = 100_000,
    json_path: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure, and print tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engines = measure_engines(folder, videos, repeats)
        merge = measure_fill(folder, listed)
    results = {"videos": videos, "engines": engines, "listed": listed, "simulation": simulate(listed), "fill": merge}
    print_tables(results)
    if json_path is not None:
        json_path.write_text(json.dumps(results, indent=2) + "\n")


def print_tables(results: dict[str, Any]) -> None:
    """Print the results as tables."""
    console = Console()
    table = Table("videos/s", "local", "ray", "ray / local", title=f"{results['videos']} clips of 10 s")
    local, ray = results["engines"]["local"], results["engines"]["ray"]
    for key in ("with_start", "after_start"):
        table.add_row(key.replace("_", " "), f"{local[key]:.2f}", f"{ray[key]:.2f}", f"{ray[key] / local[key]:.2f}")
    console.print(table)
    table = Table("", "", title=f"driver of {results['listed']} videos, stand-in encoder")
    for section in ("simulation", "fill"):
        for key, value in results[section].items():
            table.add_row(f"{section}: {key.replace('_', ' ')}", f"{value:.2f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
