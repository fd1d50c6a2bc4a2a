"""The time until a model is loaded, and the speed of the prediction for a clip, in multiples of real time.

Run ``python -m benchmarks.prediction [--model runs/demo] [--seconds 60] [--runs 3]`` after ``dvc repro``. The clip is
rendered like the videos of the demo world. Start-up is measured in a new process each time, until its model is loaded.
"""

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from avadclip.demo.plan import FRAME_RATE, plan_world
from avadclip.demo.render import render
from avadclip.prediction.predictor import Predictor

START = """
import sys, time
from avadclip.prediction.predictor import Predictor

if __name__ == "__main__":
    with Predictor(sys.argv[1]):
        print(time.time() - float(sys.argv[2]))
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("runs/demo"))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        render_clip(arguments.seconds, clip)
        starts = [start_seconds(arguments.model, Path(folder)) for _ in range(arguments.runs)]
        with Predictor(arguments.model) as predictor:
            runs = [predict_seconds(predictor, clip) for _ in range(arguments.runs)]
    table = Table("what", "median", "all runs", title=f"{arguments.model}, a clip of {arguments.seconds} s")
    table.add_row("start to model loaded, s", f"{statistics.median(starts):.2f}", listed(starts))
    table.add_row("prediction, s", f"{statistics.median(runs):.2f}", listed(runs))
    speeds = [arguments.seconds / seconds for seconds in runs]
    table.add_row("times real time", f"{statistics.median(speeds):.1f}", listed(speeds))
    Console().print(table)


def render_clip(seconds: int, path: Path) -> None:
    """Render a video of the demo world, with sound, at this length."""
    clips = plan_world(seed=0, n_train=20, n_test=1)
    clip = next(clip for clip in clips if clip.has_track)
    render(replace(clip, n_frames=seconds * FRAME_RATE), path)


def start_seconds(model: Path, folder: Path) -> float:
    """Time a new process from its start until the model is loaded."""
    script = folder / "start.py"
    script.write_text(START)
    words = [sys.executable, str(script), str(model), str(time.time())]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def predict_seconds(predictor: Predictor, clip: Path) -> float:
    """Time one prediction."""
    started = time.perf_counter()
    predictor.predict(clip)
    return time.perf_counter() - started


def listed(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main()
