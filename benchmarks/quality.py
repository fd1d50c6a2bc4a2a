"""Detectors on the features of a data set with segments for its test videos: a table of docs/quality.md.

Run ``python -m benchmarks.quality FEATURES --stride 16 --frame-rate 25``, where FEATURES is a folder of visual/ or
audio/ or both, and videos.csv and segments.csv as docs/features.md describes them. Every choice inside a training is
made without test labels; the last round is kept. ``--study`` names one of the sets of variants in
benchmarks/quality_variants.py. With ``--folder`` it can be stopped at any time: the same command goes on from there.
"""

import json
import logging
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from ruamel.yaml import YAML

from avadclip import config, paths
from avadclip.config import Params
from avadclip.config.features import Modality
from avadclip.detectors.description import read_description, read_refusal
from avadclip.evaluation.testset import TestSet, read_test_set
from avadclip.interop.declared import Declared
from avadclip.interop.import_arrays import adopt_arrays
from avadclip.scoring import scores
from benchmarks import zoo_page
from benchmarks.quality_variants import STUDIES, TEACHER
from benchmarks.runs import processor_seconds, train_and_score
from pipeline import evaluate, extract_audio, extract_visual, prepare

ROOT = Path(__file__).parent.parent
MODALITIES: tuple[Modality, ...] = ("visual", "audio")
STAND_IN = {"kind": "mil_head", "modalities": ["visual"]}  # never trained: each detector answers for itself


def main(
    features: Annotated[Path, typer.Argument(help="Folder of features, videos.csv and segments.csv.")],
    stride: Annotated[int, typer.Option(help="Frames from one snippet to the next.")] = 16,
    frame_rate: Annotated[float, typer.Option(help="Frames per second of the videos.")] = 25.0,
    seeds: Annotated[int, typer.Option(help="Number of trainings of each variant.")] = 3,
    only: Annotated[str, typer.Option(help="Comma-separated variants; all if empty.")] = "",
    study: Annotated[str, typer.Option(help="Set of variants to compare: " + ", ".join(STUDIES) + ".")] = "detectors",
    train_videos: Annotated[
        int, typer.Option(help="How many training videos to use, half of them normal; 0: all.")
    ] = 0,
    draw: Annotated[int, typer.Option(help="Seed that draws these videos.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Folder that keeps what is trained; none if not given.")] = None,
) -> None:
    """Train, score and evaluate; print one row for each variant."""
    features = features.resolve()
    with tempfile.TemporaryDirectory() if folder is None else nullcontext(folder) as project:
        Path(project).mkdir(parents=True, exist_ok=True)
        os.chdir(project)
        chosen = write_project(features, stride, frame_rate, seeds, [name for name in only.split(",") if name], study)
        if train_videos:
            _leave_out_all_but(train_videos, draw)
        for stage in (prepare, extract_visual, extract_audio):
            stage.main("it")
        params = config.load()
        for variant in chosen:
            for seed in params.seeds:
                took = train_and_score("it", variant, seed, params)
                print(f"{variant}, seed {seed}: {took}", file=sys.stderr, flush=True)
        evaluate.main("it")
        print("\n".join(rows(params)))


def write_project(folder: Path, stride: int, frame_rate: float, seeds: int, only: list[str], study: str) -> list[str]:
    """Write ``params.yaml`` and links to the features here; return the variants, a teacher first."""
    shipped = zoo_page.write_parameters(Path("params.yaml"))
    has_sound = (folder / "audio").is_dir()
    known = STUDIES[study](shipped["train"], has_sound)
    chosen = only or list(known)
    taught = {name: known[name] for name in chosen if name.startswith("taught")}
    content = {
        "datasets": {},
        "seeds": list(range(seeds)),
        "train": {"stand_in": STAND_IN} | {name: known[name] for name in chosen if name not in taught},
        **({"teacher": TEACHER, "distill": taught} if taught else {}),
        "score": {"variants": chosen, "detector": chosen[0], "student": "stand_in", "missing_audio": "fallback"},
        "compute": {"device": "cpu"},
    }
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(content, file)
    found = {name: folder / name for name in MODALITIES if (folder / name).is_dir()}
    extractors = dict.fromkeys(found, folder.name)
    adopt_arrays("it", found, folder, Declared(stride, frame_rate, extractors), Path("params.yaml"))
    # The demo's text tower reads the class names: these features are not from CLIP, so any text tower will do.
    content = YAML(typ="safe").load(Path("params.yaml"))
    demo = shipped["datasets"]["demo"]["visual"]
    tower = {"encoder": demo["encoder"], "encoder_config": str(ROOT / demo["encoder_config"])}
    weights = demo["weights"] | {"path": str(ROOT / demo["weights"]["path"])}
    content["datasets"]["it"]["visual"]["text_tower"] = tower | {"weights": weights}
    content["score"]["variants"] = chosen  # without the head that was added if none of them does without that tower
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(content, file)
    return chosen


def _leave_out_all_but(n_videos: int, draw: int) -> None:
    """Exclude training videos but `n_videos`, half of them normal, which are the same for all seeds and variants."""
    content = YAML(typ="safe").load(Path("params.yaml"))
    videos = pd.read_csv(Path(content["datasets"]["it"]["annotations"]) / "videos.csv", dtype=str)
    training = videos[videos["split"] == "train"].sample(frac=1, random_state=draw)
    is_normal = training["labels"] == "normal"
    kept = pd.concat([training[is_normal].head(n_videos // 2), training[~is_normal].head(n_videos - n_videos // 2)])
    content["datasets"]["it"]["exclude"] = dict.fromkeys(set(training["video"]) - set(kept["video"]), "not drawn")
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(content, file)


def rows(params: Params) -> list[str]:
    """Write Markdown, best AP first: mean ± deviation over seeds, [interval of the mean over videos]; in percent."""
    test_set = read_test_set("it", params.dataset("it"))
    details = json.loads(paths.details("it").read_text())["detectors"]
    head = ("detector", "looks at", "AP", "AUC", "AUC within anomalous videos", "processor seconds")
    found, refused = [], []
    for variant in params.score.variants:
        if (reason := read_refusal(paths.run("it", variant, 0))) is not None:
            refused.append(f"`{variant}` was not trained: {reason}")
            continue
        recipes = read_description(paths.run("it", variant, 0)).recipes
        looks_at = zoo_page.LOOKS_AT[tuple(modality for modality in MODALITIES if modality in recipes)]
        branch = "alignment" if "alignment" in details[variant]["strict"] else "classification"
        cells = [_cell(details[variant], f"{branch}.{name}") for name in ("AP", "AUC")]
        within = [_within(test_set, scores.read(paths.scores("it", variant, seed))) for seed in params.seeds]
        deviation = f" ± {np.std(within, ddof=1):.1f}" if len(within) > 1 else ""
        seconds = processor_seconds("it", variant, params)
        row = (f"`{variant}`", looks_at, *cells, f"{np.mean(within):.1f}{deviation}", f"{seconds:.0f}")
        found.append((looks_at, -details[variant]["strict"][branch]["AP"], f"| {' | '.join(row)} |"))
    return [f"| {' | '.join(head)} |", "| --- " * len(head) + "|", *(row for *_, row in sorted(found)), *refused]


def _cell(details: Any, key: str) -> str:
    group, name = key.split(".")
    value, deviation = details["strict"][group][name], details["std"].get("strict", {}).get(group, {}).get(name)
    low, high = details["intervals"][key]
    return f"{value:.1f}{'' if deviation is None else f' ± {deviation:.1f}'} [{low:.1f}, {high:.1f}]"


def _within(test_set: TestSet, found: scores.Scores) -> float:
    """Frame-level AUC over the anomalous test videos only: how well a detector knows *when*, not *whether*."""
    from sklearn.metrics import roc_auc_score

    ours = {row.id: row for row in scores.rows(found)}
    truth, said = [], []
    for video in (video for video in test_set.videos if video.split == "test" and not video.is_normal):
        frames: NDArray[np.bool_] = np.zeros(video.n_frames, bool)
        for segment in (segment for segment in test_set.segments if segment.id == video.id):
            frames[segment.start_frame : segment.end_frame] = True
        row = ours[video.id]
        anomaly = row.anomaly_confidence if row.class_probabilities is None else 1 - row.class_probabilities[:, 0]
        truth.append(frames)
        said.append(np.repeat(anomaly, test_set.stride)[: video.n_frames])
    return 100 * float(roc_auc_score(np.concatenate(truth), np.concatenate(said)))


if __name__ == "__main__":
    logging.getLogger("avadclip").setLevel(logging.ERROR)
    typer.run(main)
