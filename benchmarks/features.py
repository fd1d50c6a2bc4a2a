"""The cost of features that exist already: importing 10,000 files, and comparing two sets of 800 videos.

Run ``python -m benchmarks.features`` from the root of the project. Files hold 100 x 512 values of float32, and those of
the finer set 400 x 512; 800 is the number of XD-Violence's test videos. Everything is in the page cache.
"""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

ROOT = Path(__file__).parents[1]
N_SNIPPETS, WIDTH = 100, 512


def timed(what: str, folder: Path, *words: str) -> None:
    """Run a command of the project in a folder, and print how long it took and what it held in memory."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", _MEASURED, *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = int(done.stderr.split()[-1]) / 1024
    print(f"{what}: {seconds:.1f} s, processor {cpu:.1f} s, at most {peak:.0f} MiB")


_MEASURED = """
import resource, runpy, sys
words = sys.argv[1:]
if words[0] == "-m":
    sys.argv = words[1:]
    run = lambda: runpy.run_module(words[1], run_name="__main__")
else:
    from avadclip.cli import app as run
try:
    run()
except SystemExit as end:
    if end.code:
        raise
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write_arrays(folder: Path, n_files: int, n_snippets: int, noise: float = 0.0) -> list[str]:
    """Write random files, the same in every folder except for the noise; return their ids."""
    folder.mkdir(parents=True)
    names = [f"video{n:05}" for n in range(n_files)]
    for n, name in enumerate(names):
        values = np.random.default_rng(n).standard_normal((n_snippets, WIDTH), np.float32)
        if noise:
            values += noise * np.random.default_rng([n, 1]).standard_normal(values.shape, np.float32)
        np.save(folder / f"{name}.npy", values)
    return names


def importing(folder: Path, n_files: int) -> None:
    """Time each step from a folder of arrays to features in the store."""
    names = write_arrays(folder / "in" / "visual", n_files, N_SNIPPETS)
    rows = [f"{name},{('normal', 'riot')[n % 2]},{'test' if n % 5 == 0 else 'train'}" for n, name in enumerate(names)]
    (folder / "in" / "videos.csv").write_text("\n".join(["video,labels,split", *rows]) + "\n")
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    words = ("--visual", "in/visual", "--annotations", "in", "--dataset", "many", "--stride", "16")
    timed(f"import-features, {n_files:,} files", folder, "import-features", *words, "--frame-rate", "24", "--alone")
    timed("stage prepare", folder, "-m", "pipeline.prepare", "many")
    timed("stage extract_visual", folder, "-m", "pipeline.extract_visual", "many")
    timed("stage extract_visual again", folder, "-m", "pipeline.extract_visual", "many")


def comparing(folder: Path, n_videos: int) -> None:
    """Time the comparison of two sets, and the search for the conversion of one into the other."""
    write_arrays(folder / "a", n_videos, N_SNIPPETS)
    write_arrays(folder / "b", n_videos, N_SNIPPETS, noise=0.3)
    write_arrays(folder / "fine", n_videos, 4 * N_SNIPPETS)
    timed(f"features compare, {n_videos} videos", folder, "features", "compare", "a", "b")
    timed("features compare --search, strides alike", folder, "features", "compare", "a", "b", "--search")
    timed("features compare --search, four times finer", folder, "features", "compare", "fine", "b", "--search")


def main(
    files: Annotated[int, typer.Option(help="Number of files to import.")] = 10_000,
    videos: Annotated[int, typer.Option(help="Number of videos to compare.")] = 800,
) -> None:
    """Run the commands, and print a line for each."""
    for measure, n in ((importing, files), (comparing, videos)):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            measure(Path(folder), n)


if __name__ == "__main__":
    typer.run(main)
