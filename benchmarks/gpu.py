"""Tests and measurements on a GPU, in one command: network, encoder, decoding, extraction end to end, training.

``python -m benchmarks.gpu --json gpu.json`` from the root of the project takes at most eight minutes. It generates what
it needs, even weights: random ones take the same time. Every part is a process of its own with a time limit; a part
that fails says why, and the others go on. ``--tiny`` runs everything but tests and training on a CPU, as a check.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

# Light imports only: decode workers import this module again.
from avadclip.io import write_text
from benchmarks.gpu_plan import Plan, results_of

ROOT = Path(__file__).parent.parent
OUTPUT = "output"
# Seconds that each part may take. The parts that matter most come first; the last ones get the time that is left.
BUDGETS = {
    "prepare": 60.0,
    "tests": 180.0,
    "encoder": 60.0,
    "decoding": 90.0,
    "end_to_end": 120.0,
    "training": 90.0,
    "network": 75.0,
    "compiled": 120.0,
}
MODULES = {
    "prepare": "gpu_encoding",
    "network": "gpu_encoding",
    "compiled": "gpu_encoding",
    "encoder": "gpu_encoding",
    "decoding": "gpu_decoding",
    "end_to_end": "gpu_encoding",
    "tests": "gpu",
    "training": "gpu",
}


def tests(folder: Path, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Run the tests that need a GPU. Only their files are collected: others need packages that may be missing here."""
    files = sorted(str(path) for path in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.gpu" in path.read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "--durations=8"]
    ended = subprocess.run([*command, "--continue-on-collection-errors", *files], stdout=subprocess.PIPE, text=True)
    lines = ended.stdout.splitlines() or ["pytest printed nothing"]
    yield "exit code", ended.returncode
    yield "summary", lines[-1].strip("= ")
    yield OUTPUT, "\n".join(lines)[-12_000:]


def training(folder: Path, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Time a step of the full-size audio-visual detector, batch 96 x 256, and that of a plain implementation of it."""
    path = folder / "training.json"
    command = [sys.executable, "-m", "benchmarks.training", "--cases", "plain", "float32", "bfloat16", "--steps", "8"]
    subprocess.run([*command, "--json", str(path)], check=True)
    found = json.loads(path.read_text())
    best = {case: min(step[case]["step_seconds"] for step in found["steps"][1:]) for case in found["steps"][0]}
    for case, seconds in best.items():
        yield (
            case,
            {
                "step_seconds": seconds,
                "times_faster_than_plain": best["plain"] / seconds,
                "peak_gib": found["peak_gib"][case],
            },
        )


def run_part(name: str, folder: Path, arguments: list[str], seconds: float) -> dict[str, Any]:
    """Run one part in a process of its own; return its results, the `seconds` it took, and an `error` if it failed."""
    started = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", name, "--folder", str(folder), *arguments]
    log, error = folder / f"{name}.log", None
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stderr=file, start_new_session=True)
        try:
            if process.wait(seconds):
                error = "\n".join(log.read_text().strip().splitlines()[-12:])[-2000:] or "ended without a word"
        except subprocess.TimeoutExpired:
            error = f"not done within {seconds:.0f} s"
            os.killpg(process.pid, signal.SIGKILL)  # with the tests and workers that it has started
            process.wait()
    return results_of(folder, name) | {"seconds": time.monotonic() - started} | ({"error": error} if error else {})


def measure_here(name: str, folder: Path, plan: Plan) -> None:
    """Run one part in this process, and write its results to disk as soon as they come."""
    found: dict[str, Any] = {}
    for what, value in getattr(import_module(f"benchmarks.{MODULES[name]}"), name)(folder, plan):
        found[what] = value
        write_text(folder / f"{name}.results.json", json.dumps(found))


def has_gpu() -> bool:
    """Whether the driver lists a GPU; asking torch would take seconds here."""
    if shutil.which("nvidia-smi") is None:
        return False
    return subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def main(
    json_path: Annotated[Path | None, typer.Option("--json", help="Write all numbers here, after each part.")] = None,
    parts: Annotated[str, typer.Option(help="Comma-separated parts; all if empty.")] = "",
    minutes: Annotated[float, typer.Option(help="Time limit of all parts together.")] = 7.5,
    workers: Annotated[int, typer.Option(help="Decode workers; 0: one for each core.")] = 0,
    precision: Annotated[str, typer.Option(help="Precision of the end-to-end part.")] = "bfloat16",
    tiny: Annotated[bool, typer.Option("--tiny", help="A tiny network and clip, for a machine without a GPU.")] = False,
    part: Annotated[str, typer.Option(hidden=True)] = "",
    folder: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure, and print a table."""
    gpu = has_gpu() and not tiny
    plan = Plan.of(tiny, gpu, workers or os.cpu_count() or 1, precision)
    if part:
        assert folder is not None
        measure_here(part, folder, plan)
        return
    if not gpu and not tiny:
        raise typer.BadParameter("no GPU here (nvidia-smi lists none); --tiny shows that everything runs")
    deadline = time.monotonic() + 60 * minutes
    chosen = [name for name in BUDGETS if name in parts.split(",") or not parts or name == "prepare"]
    arguments = [*(["--tiny"] if tiny else []), "--workers", str(plan.workers), "--precision", plan.precision]
    results: dict[str, Any] = {"plan": plan.__dict__}
    with tempfile.TemporaryDirectory() as name:
        for each in chosen:
            seconds = min(BUDGETS[each], deadline - time.monotonic())
            if seconds < 5:
                results[each] = {"error": "no time was left", "seconds": 0.0}
            else:
                results[each] = run_part(each, Path(name), arguments, seconds)
            print(f"== {each}\n{json.dumps(results[each], indent=1)}", flush=True)
            if json_path is not None:
                json_path.write_text(json.dumps(results, indent=2) + "\n")
    print("\n".join(table(results)))


def table(results: dict[str, Any]) -> list[str]:
    """Return the results as rows of docs/benchmarks.md."""
    lines = ["| part | what | number |", "| --- | --- | --- |"]
    for part, found in results.items():
        if part == "plan":
            continue
        if "error" in found:
            lines.append(f"| {part} | failed | {found['error'].splitlines()[-1]} |")
        for what, value in found.items():
            if what not in ("error", OUTPUT):
                lines.append(f"| {part} | {what} | {_shown(value)} |")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    app()
