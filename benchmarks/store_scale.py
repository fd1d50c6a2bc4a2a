"""The cost of the feature store and of DVC at 1,000, 10,000 and 100,000 videos: the limits of one machine.

Run ``python -m benchmarks.store_scale`` from the root of the project. Each size is a project of its own with the real
graph up to extraction. No video is decoded: the features are stand-ins of 4 snippets a video, so that a file has a few
kB, because it is the cost of each *file* that adds up with the number of videos. Everything is in the page cache.
"""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from avadclip import config, paths, store
from avadclip.config.features import Extraction, Modality
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import read_manifest, write_manifest
from avadclip.datasets.model import Video
from avadclip.detectors.settings import Bag
from avadclip.extraction.modalities import modality as modality_of
from avadclip.store import Features, Recipe, Source, audit
from avadclip.store.video import open_folders
from avadclip.store.work_cache import WorkCache
from avadclip.training.data import load_training_set

ROOT = Path(__file__).parents[1]
NAME, CLASSES = "many", ("normal", "fighting")
MODALITIES: tuple[Modality, ...] = ("visual", "audio")
STRIDE, N_SNIPPETS, WIDTH, N_NEW = 16, 4, 512, 10
FRAME_RATE = 24.0
TEST_SHARE = 10  # one video in ten is for testing
XD_VIOLENCE_SNIPPETS = 217 * 3600 * FRAME_RATE / STRIDE / 4754  # of a video on average: 217 hours in 4,754 videos
GIBIBYTE = 2**30

log = Console(stderr=True)


@dataclass
class Measured:
    """The measurements of one project."""

    n_videos: int
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)  # of this process and of those that it has started
    bytes_per_file: float = 0.0
    peak_gibibytes: float = 0.0  # resident, of the largest process that was started until now

    def time(self, what: str, work: Callable[[], object]) -> None:
        """Run `work` once and keep how long it took."""
        started, cpu_started = time.perf_counter(), sum(os.times()[:4])
        work()
        self.seconds[what] = time.perf_counter() - started
        self.cpu_seconds[what] = sum(os.times()[:4]) - cpu_started
        self.peak_gibibytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # Linux counts in KiB
        spent = f"{self.seconds[what]:.2f} s, processor {self.cpu_seconds[what]:.2f} s"
        log.print(f"{self.n_videos:>7,} videos: {what}: {spent}", highlight=False)


def make_videos(n_videos: int) -> list[Video]:
    """Make videos, every second one anomalous."""
    return [
        Video(
            id=f"video{index:06}",
            path=f"data/{NAME}/videos/video{index:06}.mp4",
            split="test" if index % TEST_SHARE == 0 else "train",
            labels=(CLASSES[index % 2],),
            n_frames=N_SNIPPETS * STRIDE,
            frame_rate=FRAME_RATE,
            has_audio=True,
            content_hash=hashlib.sha256(b"%d" % index).hexdigest(),
        )
        for index in range(n_videos)
    ]


def write_project(folder: Path) -> None:
    """Write code, graph and parameters, without any video."""
    for name in ("avadclip", "pipeline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".dvcignore", folder)
    recipe: dict[str, Any] = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
    section: dict[str, Any] = {
        "kind": "table",
        "videos": f"data/{NAME}/videos",
        "annotations": f"data/{NAME}/annotations",
    }
    section |= {"classes": list(CLASSES), "exclude": {}, "visual": recipe | {"stride": STRIDE}, "audio": recipe}
    params = {"datasets": {NAME: section}, "train": {}, "distill": {}, "teacher": "none", "seeds": [0], "worlds": {}}
    params["score"] = {"variants": [], "across": {}}
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    graph = {"stages": {name: stages[name] for name in ("code", "prepare", "extract_visual", "extract_audio")}}
    for name, content in (("params.yaml", params), ("dvc.yaml", graph)):
        with (folder / name).open("w", encoding="utf-8") as file:
            YAML().dump(content, file)
    (folder / f"data/{NAME}/annotations").mkdir(parents=True)
    (folder / f"data/{NAME}/annotations/videos.csv").write_text("video,labels,split\n")
    (folder / f"data/{NAME}/videos").mkdir()
    write_ground_truth(folder / paths.ground_truth(NAME), [])
    run("dvc", "init", "--no-scm", "--quiet", folder=folder)
    run("dvc", "remote", "add", "--default", "here", str(folder / "remote"), folder=folder)
    run("dvc", "repro", "code", folder=folder)


def run(*words: str, folder: Path = Path()) -> None:
    """Run a Python module in a project, in a process of its own."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": search, "PYTHONPATH": "", "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def write_videos(videos: list[Video]) -> None:
    """Write stand-ins for the video files, of a few bytes each: DVC looks at them whenever it looks at the graph."""
    for video in videos:
        Path(video.path).write_text(video.id)


def make_features(video: Video, modality: str, recipe: Recipe) -> Features:
    """Make the features of a stand-in, with the same values for all."""
    values = np.random.default_rng(0).standard_normal((N_SNIPPETS, WIDTH)).astype(np.float16)
    return Features(
        source=Source(video.id, video.content_hash, video.n_frames, video.frame_rate),
        recipe=recipe,
        values=values[None] if modality == "visual" else values,
        valid=np.ones(N_SNIPPETS, bool),
        boundary_seconds=np.arange(N_SNIPPETS + 1) * STRIDE / FRAME_RATE,
        decoder="stand-in",
    )


def write_features(videos: list[Video]) -> None:
    """Put features into the work cache as the engines do, flushed to disk one by one."""
    for modality, recipe in recipes().items():
        for video in videos:
            work_cache().put(make_features(video, modality, recipe))


def forge_features(videos: list[Video]) -> None:
    """Fill the work cache as extraction does, but in less time: with copies of one HDF5 file under other ids.

    All ids and hashes have the same length, so they can be replaced in the bytes; readers check the files.
    """
    cache = work_cache()
    for modality, recipe in recipes().items():
        model = make_features(videos[0], modality, recipe)
        cache.put(model)
        content = cache.path(model.fingerprint).read_bytes()
        sums = []
        for video in videos:
            fingerprint = store.fingerprint(recipe, video.id, video.content_hash)
            forged = content.replace(model.id.encode(), video.id.encode())
            forged = forged.replace(model.source.content_hash.encode(), video.content_hash.encode())
            forged = forged.replace(model.fingerprint.encode(), fingerprint.encode())
            cache.path(fingerprint).parent.mkdir(parents=True, exist_ok=True)
            cache.path(fingerprint).write_bytes(forged)
            sums.append(f"{fingerprint} {hashlib.sha256(forged).hexdigest()}\n")
        (cache.folder / f"{NAME}.{modality}.sums").write_text("".join(sums))


def recipes() -> dict[str, Recipe]:
    """Map each modality to its recipe in the project in the working directory."""
    section = config.load().dataset(NAME)
    return {name: modality_of(name, section).recipe for name in MODALITIES}


def work_cache() -> WorkCache:
    """Return the default work cache of the project in the working directory."""
    return WorkCache(Path(Extraction().work_cache))


def extract() -> None:
    """Run both stages by hand, with everything in the work cache."""
    for name in MODALITIES:
        run(f"pipeline.extract_{name}", NAME)


def verify() -> None:
    """Do what ``avadclip features verify`` does."""
    found = [problem for name, recipe in recipes().items() for problem in audit.problems(NAME, name, recipe)]
    assert not found, found[:3]


def open_training_split() -> None:
    """Do what training does before its first step."""
    videos = [video for video in read_manifest(paths.manifest(NAME)) if video.split == "train"]
    folders = open_folders(NAME, MODALITIES)
    training_set = load_training_set(videos, folders, CLASSES, Bag(), memory_gib=4.0)
    assert len(training_set.samples) == len(videos)


def list_videos(videos: list[Video]) -> None:
    """Write and commit the manifest, as stage `prepare` would."""
    write_manifest(paths.manifest(NAME), videos)
    run("dvc", "commit", "--force", f"prepare@{NAME}")


def measure(measured: Measured) -> None:
    """Measure every step once, in the project in the working directory."""
    everything = make_videos(measured.n_videos + N_NEW)
    videos, new = everything[: measured.n_videos], everything[measured.n_videos :]
    stages = [f"extract_{name}@{NAME}" for name in MODALITIES]
    write_videos(videos)
    list_videos(videos)
    forge_features(videos)
    measured.time("read the manifest", lambda: read_manifest(paths.manifest(NAME)))
    measured.time("extraction: outputs from the work cache", extract)
    measured.time("extraction: nothing to do", extract)
    measured.time("`dvc commit` of both folders", lambda: run("dvc", "commit", "--force", *stages))
    measured.time("`dvc status`", lambda: run("dvc", "status"))
    measured.time("`dvc repro`, nothing to do", lambda: run("dvc", "repro"))
    measured.time("`dvc push` of everything", lambda: run("dvc", "push"))
    write_videos(new)
    measured.time("store.write, twenty files", lambda: write_features(new))
    list_videos(everything)
    measured.time("`dvc repro`, ten new videos", lambda: run("dvc", "repro"))
    measured.time("`dvc push`, ten new videos", lambda: run("dvc", "push"))
    measured.time("open the training split", open_training_split)
    measured.time("verify", verify)
    size = sum(path.stat().st_size for path in paths.features(NAME, "visual").glob("*.h5"))
    measured.bytes_per_file = size / len(everything)


@contextlib.contextmanager
def scratch_project(where: Path | None) -> Iterator[None]:
    """Work in a fresh project, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        write_project(folder)
        with contextlib.chdir(folder):
            yield


def main(
    sizes: Annotated[list[int] | None, typer.Argument(help="Numbers of videos.")] = None,
    scratch: Annotated[Path | None, typer.Option(help="Folder for the projects; 100,000 videos need 13 GB.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure, and print a table."""
    results: list[Measured] = []
    for n_videos in sorted(sizes or [1_000, 10_000, 100_000]):
        results.append(Measured(n_videos))
        with scratch_project(scratch):
            measure(results[-1])
        if json_path is not None:
            json_path.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    print_table(results)


def print_table(results: list[Measured]) -> None:
    """Print the results, and how much more processor time the last size took than the one before."""
    last = results[-1]
    headings = [f"{result.n_videos:,}" for result in results]
    table = Table("seconds (of the processor)", *headings, "growth", title=f"videos, {os.cpu_count()} cores")
    for what, spent in last.cpu_seconds.items():
        growth = f"{spent / results[-2].cpu_seconds[what]:.1f}" if len(results) > 1 else ""
        cells = [f"{result.seconds[what]:.1f} ({result.cpu_seconds[what]:.1f})" for result in results]
        table.add_row(what, *cells, growth)
    Console().print(table)
    peaks = ", ".join(f"{result.peak_gibibytes:.2f}" for result in results)
    Console().print(f"largest process: {peaks} GiB")
    n_bytes = last.bytes_per_file + 2 * WIDTH * (XD_VIOLENCE_SNIPPETS - N_SNIPPETS)  # one view, float16
    Console().print(
        f"a file: {last.bytes_per_file / 1000:.1f} kB; of a video of XD-Violence's mean length {n_bytes / 1000:.0f} kB,"
        f" so 100,000 videos in two modalities: {2 * n_bytes * 100_000 / GIBIBYTE:.0f} GiB a copy"
    )


if __name__ == "__main__":
    typer.run(main)
