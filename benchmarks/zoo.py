"""Every detector on the demo world: the table of docs/zoo.md.

``python -m benchmarks.zoo --seeds 3`` from the root of the project: what `avadclip recipe zoo --add && dvc repro` does
in a fresh clone, but without DVC and without pictures, and with how long each training takes.
"""

import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML

from avadclip import config, paths, recipes
from avadclip.config import Params
from avadclip.config.variants import Variant
from pipeline import distill, evaluate, extract_audio, extract_visual, prepare, render, score, train

ROOT = Path(__file__).parent.parent


def main(
    seeds: Annotated[int, typer.Option(help="Trainings of each.")] = 1,
    only: Annotated[str, typer.Option(help="Comma-separated variants; empty: all.")] = "",
) -> None:
    """Train, score, evaluate; print one row a variant."""
    logging.getLogger("avadclip").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as project:
        os.chdir(project)
        Path("avadclip").symlink_to(ROOT / "avadclip")  # the demo's encoders are named by their path in the project
        write_params(seeds, [name for name in only.split(",") if name])
        params = config.load()
        started = time.perf_counter()
        for stage in (render, prepare, extract_visual, extract_audio):
            stage.main("demo")
        made = time.perf_counter() - started
        seconds = {variant: trained_and_scored(variant, params) for variant in params.score.variants}
        evaluate.main("demo")
        total = time.perf_counter() - started
        print("\n".join(rows(params, seconds)))
        print(f"\nvideos and features {made:.0f} s, everything {total:.0f} s, {seeds} seeds")


def write_params(seeds: int, only: list[str]) -> None:
    """The shipped parameters with the zoo."""
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    recipes.add_detectors("zoo", Path("params.yaml"))
    content = YAML(typ="safe", pure=True).load(Path("params.yaml"))
    content["seeds"] = list(range(seeds))
    if only:
        content["score"]["variants"] = only
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(content, file)


def trained_and_scored(variant: str, params: Params) -> float:
    """Seconds of one training."""
    stage = train if variant in params.train else distill
    if variant in params.distill and params.teacher not in params.score.variants:
        raise SystemExit(f"{variant} learns from {params.teacher}: name it, too, and before it")
    started = time.perf_counter()
    for seed in params.seeds:
        stage.main("demo", variant, str(seed))
    seconds = (time.perf_counter() - started) / len(params.seeds)
    for seed in params.seeds:
        score.main("demo", variant, str(seed))
    return seconds


def rows(params: Params, seconds: dict[str, float]) -> list[str]:
    """Markdown: mean ± deviation over the seeds, in percent; no localisation where a detector knows no classes."""
    details = json.loads(paths.details("demo").read_text())["detectors"]
    lines = ["| variant | kind | AP | AUC | mAP AVG | seconds |", "| --- | --- | --- | --- | --- | --- |"]
    for variant, took in seconds.items():
        section = params.variant(variant)
        assert isinstance(section, Variant)
        strict, std = details[variant]["strict"], details[variant]["std"].get("strict", {})
        branch = "alignment" if "alignment" in strict else "classification"
        places = ((branch, "AP"), (branch, "AUC"), ("mAP", "AVG"))
        cells = [_cell(strict.get(group, {}).get(name), std.get(group, {}).get(name)) for group, name in places]
        lines.append(f"| `{variant}` | `{section.kind}` | {' | '.join(cells)} | {took:.0f} |")
    return lines


def _cell(value: float | None, deviation: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}{'' if deviation is None else f' ± {deviation:.1f}'}"


if __name__ == "__main__":
    typer.run(main)
