"""Every detector on the demo world: the generated table of docs/zoo.md.

``python -m benchmarks.zoo --seeds 3`` from the root of the project does what `avadclip recipe zoo --add && dvc repro`
does in a fresh clone, but without DVC, intervals and figures, and it measures how long each training takes. It can be
stopped at any time: trained and scored variants stay in `--folder`, and the same command goes on from there; a variant
whose settings or code have changed is trained anew. At the end it writes docs/zoo.json and the table of the page, in
which variants that were not asked for keep their rows. ``--page`` writes the table only.
"""

import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from avadclip import config, paths
from avadclip.config import Params
from avadclip.config.variants import Variant
from avadclip.datasets.manifest import read_manifest
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.detectors.registry import settings_of
from avadclip.tables.records import Record, read_records
from benchmarks import runs, zoo_page
from pipeline import evaluate, extract_audio, extract_visual, prepare, render

ROOT = Path(__file__).parent.parent


def main(
    seeds: Annotated[int, typer.Option(help="Number of trainings of each variant.")] = 1,
    only: Annotated[str, typer.Option(help="Comma-separated variants; all if empty.")] = "",
    folder: Annotated[Path, typer.Option(help="Folder of the project in which everything is trained.")] = ROOT
    / ".cache"
    / "zoo",
    page: Annotated[bool, typer.Option("--page", help="Measure nothing; write the page from docs/zoo.json.")] = False,
) -> None:
    """Train, score and evaluate what is not done yet; write docs/zoo.json and the table of docs/zoo.md."""
    started = time.perf_counter()
    if not page:
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        asked = [name for name in only.split(",") if name]
        chosen = write_project(seeds, asked)
        if not paths.manifest("demo").exists():
            for stage in (render, prepare, extract_visual, extract_audio):
                stage.main("demo")
        params = config.load()
        print(f"{len(chosen)} variants, {seeds} seeds; videos and features: {since(started)}", flush=True)
        for number, variant in enumerate(chosen, start=1):
            for seed in params.seeds:
                took = runs.train_and_score("demo", variant, seed, params)
                print(f"{number}/{len(chosen)} {variant}, seed {seed}: {took}; {since(started)} in all", flush=True)
        evaluate.main("demo")
        found = measured(params)
        zoo_page.write_results({name: found[name] for name in asked or found})
    zoo_page.write()
    print(f"docs/zoo.json, docs/zoo.md: {since(started)} in all")


def write_project(seeds: int, only: list[str]) -> list[str]:
    """Write the shipped parameters with the zoo here; return the variants that are asked for and those they need."""
    if not Path("avadclip").exists():
        Path("avadclip").symlink_to(ROOT / "avadclip")  # the demo's encoders are named by their path in the project
    content = zoo_page.write_parameters(Path("params.yaml"))
    known = content["score"]["variants"]
    if unknown := [name for name in only if name not in known]:
        raise SystemExit(f"no variant {', '.join(unknown)}; there are: {', '.join(known)}")
    needed = {content["score"]["student"], content["score"]["detector"]}
    if any(name in content["distill"] for name in only):
        needed.add(content["teacher"])
    chosen = [name for name in known if not only or name in only or name in needed]
    content["seeds"] = list(range(seeds))
    content["score"]["variants"] = chosen
    content["evaluate"]["bootstrap_resamples"] = 0
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(content, file)
    return sorted(chosen, key=lambda name: name != content["teacher"])  # the teacher first, before its students


def measured(params: Params) -> dict[str, dict[str, Any]]:
    """Map each variant to its entry in docs/zoo.json."""
    n_samples = sum(video.split == "train" and not video.excluded for video in read_manifest(paths.manifest("demo")))
    found = {}
    for record in read_records(paths.records("demo")):
        section = params.variant(record.name) if record.name in params.score.variants else None
        if isinstance(section, Variant):
            found[record.name] = entry(record, section, params, n_samples)
    return found


def entry(record: Record, section: Variant, params: Params, n_samples: int) -> dict[str, Any]:
    """Make the entry of one variant in docs/zoo.json."""
    recipe = settings_of(section.kind, section.settings_on("demo")).recipe
    seconds = runs.processor_seconds("demo", record.name, params)
    steps = recipe.phases * recipe.rounds * recipe.n_steps(math.ceil(n_samples / recipe.batch_size))
    detector = load_checkpoint(paths.run("demo", record.name, params.seeds[0]), "cpu").detector
    return {
        "kind": section.kind,
        "modalities": list(detector.modalities),
        "settings": zoo_page.settings_digest(section),
        "recipe": zoo_page.recipe_words(recipe),
        "parameters": sum(parameter.numel() for parameter in detector.parameters()),
        "step_seconds": round(seconds / steps, 3),
        "results": {
            column: [round(run.strict[group], 2) for run in record.runs if group in run.strict]
            for column, group in columns(record).items()
        },
    }


def columns(record: Record) -> Mapping[str, str]:
    """Map each column of the table to its metric."""
    return {"AP": f"{record.branch}.AP", "AUC": f"{record.branch}.AUC", "mAP AVG": "mAP.AVG"}


def since(started: float) -> str:
    """Write the minutes since `started`."""
    return f"{(time.perf_counter() - started) / 60:.1f} min"


if __name__ == "__main__":
    logging.getLogger("avadclip").setLevel(logging.ERROR)
    typer.run(main)
