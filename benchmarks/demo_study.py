"""The paper's claims in the demo world, over training seeds: ``python -m benchmarks.demo_study PART [--seeds 0 1]``.

`compare` trains what params.yaml calls its four detectors, the fusion alternatives, and the students without or with
another distillation. `sweep` trains the visual student over the weight of its distillation loss, and looks at a
validation part of the training videos and at the test split. `report` evaluates and prints what there is, into
``results/demo_study``. Run ``dvc repro`` before: features are read, never made. Nothing here chooses a parameter; what
params.yaml says was chosen on another world (seed 2).
"""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from avadclip import config, paths
from avadclip.config import Params
from avadclip.config.datasets import Dataset
from avadclip.config.detector import AudioVisual, Student
from avadclip.datasets.manifest import read_manifest
from avadclip.demo.plan import Clip, plan_world
from avadclip.device import resolve_device
from avadclip.evaluation.assessment import assess
from avadclip.evaluation.evaluate import assess_all, score_files, write_results
from avadclip.evaluation.results import write_json
from avadclip.evaluation.testset import TestSet, read_test_set
from avadclip.scoring import scores
from avadclip.scoring.run import Job, score
from avadclip.training.run import Run, train

DATASET = "demo"
RESULTS = Path("results/demo_study")
FUSIONS = ("add", "concat_linear", "cross_attention")
LOSSES = {"released": False, "normalized features": True}
WEIGHTS = (1e-8, 1e-4, 1e-2, 0.1, 1.0, 10.0)
VALIDATION_FRACTION = 0.25  # 30 videos: fewer say next to nothing
SENSES = ("seen", "heard", "both")

Architectures = Mapping[str, AudioVisual | Student]
Values = NDArray[np.float64]


def main() -> None:
    """One part of the study at a time: parts can run beside each other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("compare", "sweep", "report"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    params = config.load()
    test_set = read_test_set(DATASET, params.dataset(DATASET))
    if arguments.part == "report":
        report(params, test_set)
        return
    for seed in arguments.seeds:
        if arguments.part == "compare":
            compare(params, seed)
        else:
            write_json(RESULTS / "sweep" / f"{seed}.json", sweep(params, test_set, seed))


def detectors(params: Params) -> Architectures:
    """What learns from labels: the detectors of params.yaml, and the other fusions."""
    whole = params.train["audio_visual"]
    return {
        **params.train,
        **{f"audio_visual_{fusion}": whole.model_copy(update={"fusion": fusion}) for fusion in FUSIONS},
    }


def students(params: Params) -> Architectures:
    """What learns from a teacher, and the same without that."""
    student = params.distill["visual_student"]
    others = {f"visual_student_{kind}": student.model_copy(update={"distillation": kind}) for kind in ("mse", "none")}
    return {**params.distill, **others}


def compare(params: Params, seed: int) -> None:
    """Every detector with one seed, up to its score file."""
    section = _with_training(params.dataset(DATASET), seed=seed)
    named = {
        f"{name}-seed{seed}": architecture for name, architecture in {**detectors(params), **students(params)}.items()
    }
    teacher = f"{params.teacher}-seed{seed}"
    for variant, architecture in named.items():
        train(Run(DATASET, section, variant, architecture, teacher), params.compute)
    for variant in named:
        scored = _score(params, variant, student=f"{params.score.student}-seed{seed}")
        scores.write(paths.scores(RESULTS.name, variant, DATASET), scored)


def sweep(params: Params, test_set: TestSet, seed: int) -> dict[str, dict[str, list[float]]]:
    """Loss -> weight -> AP in percent of the visual student on videos held out from training, and on the test split."""
    own = params.dataset(DATASET).training
    held_out = {"seed": seed, "selection": "validation", "validation_fraction": VALIDATION_FRACTION}
    section = _with_training(params.dataset(DATASET), **held_out)
    teacher, variant = f"held_out_teacher-seed{seed}", f"held_out_student-seed{seed}"
    train(Run(DATASET, section, teacher, params.train[params.teacher]), params.compute)
    found: dict[str, dict[str, list[float]]] = {}
    for loss, normalized in LOSSES.items():
        changes = {"distillation": "ukd", "normalize_features": normalized}
        student = params.distill["visual_student"].model_copy(update=changes)
        for weight in WEIGHTS:
            weighted = _with_training(section, loss_weights=own.loss_weights | {"ukd": weight})
            train(Run(DATASET, weighted, variant, student, teacher), params.compute)
            curve = paths.run(DATASET, variant) / "curves/plots/metrics/average_precision.tsv"
            validation = 100 * np.loadtxt(curve, skiprows=1, ndmin=2)[:, 1].max()  # the epoch that is chosen
            scored = _score(params, variant, student=variant)
            test = assess(scored, test_set, params.evaluate, resamples=0).strict["alignment.AP"]
            found.setdefault(loss, {})[f"{weight:g}"] = [validation, test]
    return found


def ap_by_senses(scored: scores.Scores, params: Params, test_set: TestSet) -> dict[str, float]:
    """Frame-level AP in percent against the events of one kind alone; frames of the others count on neither side."""
    world = params.world(DATASET)
    clips = {clip.id: clip for clip in plan_world(world.seed, world.n_train, world.n_test)}
    lengths = {video.id: video.n_frames for video in test_set.videos}
    assert scored.class_probabilities is not None
    anomaly = 1 - scored.class_probabilities[:, 0]
    bounds = zip(scored.ids, scored.first_snippet, scored.first_snippet[1:], strict=False)
    frames = np.concatenate(
        [np.repeat(anomaly[first:end], test_set.stride)[: lengths[video_id]] for video_id, first, end in bounds]
    )
    senses = np.concatenate([_senses(clips[video_id]) for video_id in scored.ids])
    found = {}
    for sense in SENSES:
        counted = (senses == "") | (senses == sense)
        found[sense] = 100 * float(average_precision_score(senses[counted] == sense, frames[counted]))
    return found


def _senses(clip: Clip) -> NDArray[np.str_]:
    """Of the event in each frame; empty where there is none."""
    senses = np.full(clip.n_frames, "", "<U5")
    for event in clip.events:
        senses[event.start_frame : event.end_frame] = event.senses
    return senses


def _with_training(section: Dataset, **changes: object) -> Dataset:
    return section.model_copy(update={"training": section.training.model_copy(update=changes)})


def _score(params: Params, variant: str, student: str) -> scores.Scores:
    job = Job(DATASET, variant, DATASET, params.score.missing_audio, student)
    return score(job, read_manifest(paths.manifest(DATASET)), resolve_device(params.compute.device))


def report(params: Params, test_set: TestSet) -> None:
    """Evaluate what `compare` scored as ``results/demo_study``, and print everything that there is."""
    files = score_files(paths.scores_folder(RESULTS.name))
    write_results(RESULTS, assess_all(files, test_set, params.evaluate), test_set, params.evaluate)
    metrics = json.loads((RESULTS / "metrics.json").read_text())
    rows: dict[str, list[list[float]]] = {}
    for scored in map(scores.read, files):
        variant = scored.provenance.variant
        strict = metrics[variant]["strict"]
        senses = ap_by_senses(scored, params, test_set)
        values = [strict["alignment"]["AP"], strict["mAP"]["AVG"], *(senses[sense] for sense in SENSES)]
        rows.setdefault(variant.rpartition("-seed")[0], []).append(values)
    columns = ("AP", "mAP AVG", *(f"AP, {sense}" for sense in SENSES))
    table = Table("detector", "seeds", *columns, title="test split, strict protocol")
    for name, runs in rows.items():
        table.add_row(name, str(len(runs)), *(_spread(np.array(values)) for values in zip(*runs, strict=True)))
    console = Console(width=120)
    console.print(table)
    sweeps = [json.loads(path.read_text()) for path in sorted((RESULTS / "sweep").glob("*.json"))]
    table = Table("loss", "weight", "seeds", "validation AP", "test AP", title="visual student over its weight")
    for loss in LOSSES:
        for weight in (f"{weight:g}" for weight in WEIGHTS):
            pairs = np.array([swept[loss][weight] for swept in sweeps])
            if len(pairs):
                table.add_row(loss, weight, str(len(pairs)), _spread(pairs[:, 0]), _spread(pairs[:, 1]))
    console.print(table)


def _spread(values: Values) -> str:
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values.mean():.1f}"


if __name__ == "__main__":
    main()
