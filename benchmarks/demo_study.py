"""The paper's claims in the demo world, over five training seeds: ``python -m benchmarks.demo_study [--seeds N]``.

Trains what params.yaml calls its four detectors, the fusion alternatives and the students without or with another
distillation, and evaluates all of them as ``results/demo_study``. Then the visual student over the weight of its
distillation loss, on a validation part of the training videos and on the test split. Run ``dvc repro`` before: features
are read, never made. Nothing here chooses a parameter; what params.yaml says was chosen on validation videos.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from avadclip import config, paths, scores
from avadclip.config import Params
from avadclip.config.datasets import Dataset
from avadclip.config.detector import AudioVisual, Student
from avadclip.datasets.manifest import read_manifest
from avadclip.demo.plan import Clip, plan_world
from avadclip.encoders.device import resolve_device
from avadclip.evaluation.assessment import assess
from avadclip.evaluation.evaluate import assess_all, write_results
from avadclip.evaluation.testset import TestSet, read_test_set
from avadclip.scoring import Job, score
from avadclip.training.run import Run, train

DATASET = "demo"
RESULTS = Path("results/demo_study")
FUSIONS = ("add", "concat_linear", "cross_attention")
WEIGHTS = (1e-8, 1e-6, 1e-4, 1e-2, 1e-1, 1.0, 10.0)
VALIDATION_FRACTION = 0.25  # 30 videos: fewer say next to nothing
SENSES = ("seen", "heard", "both")

Architectures = Mapping[str, AudioVisual | Student]
Values = NDArray[np.float64]


def main() -> None:
    """Train, score, evaluate, tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    logging.basicConfig(level=logging.WARNING)
    params = config.load()
    test_set = read_test_set(DATASET, params.dataset(DATASET))
    for seed in seeds:
        compare(params, seed)
    files = sorted(paths.scores_folder(RESULTS.name).glob("*.h5"))
    assessments = assess_all(files, test_set, params.evaluate)
    write_results(RESULTS, assessments, test_set, params.evaluate)
    by_senses = {
        scored.provenance.variant: ap_by_senses(scored, params, test_set) for scored in map(scores.read, files)
    }
    swept = {normalized: sweep(params, test_set, seeds, normalized) for normalized in (False, True)}
    report(seeds, by_senses, swept)


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


def sweep(
    params: Params, test_set: TestSet, seeds: Sequence[int], normalized: bool
) -> dict[float, tuple[Values, Values]]:
    """Weight -> AP of the visual student on videos held out from training and on the test split [seeds], percent."""
    student = params.distill["visual_student"].model_copy(
        update={"distillation": "ukd", "normalize_features": normalized}
    )
    found = {}
    for weight in WEIGHTS:
        validation, test = [], []
        for seed in seeds:
            weights = params.dataset(DATASET).training.loss_weights | {"ukd": weight}
            section = _with_training(
                params.dataset(DATASET),
                seed=seed,
                selection="validation",
                validation_fraction=VALIDATION_FRACTION,
                loss_weights=weights,
            )
            teacher, variant = f"held_out_teacher-seed{seed}", f"held_out_student-seed{seed}"
            if weight == WEIGHTS[0]:
                train(Run(DATASET, section, teacher, params.train[params.teacher]), params.compute)
            train(Run(DATASET, section, variant, student, teacher), params.compute)
            curve = np.loadtxt(
                paths.run(DATASET, variant) / "curves/plots/metrics/average_precision.tsv", skiprows=1, ndmin=2
            )
            validation.append(100 * curve[:, 1].max())  # the epoch that is chosen
            scored = _score(params, variant, student=variant)
            test.append(assess(scored, test_set, params.evaluate, resamples=0).strict["alignment.AP"])
        found[weight] = np.array(validation), np.array(test)
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


def report(
    seeds: Sequence[int],
    by_senses: Mapping[str, Mapping[str, float]],
    swept: Mapping[bool, Mapping[float, tuple[Values, Values]]],
) -> None:
    """Print both tables, and keep them as ``results/demo_study/study.json``."""
    metrics = json.loads((RESULTS / "metrics.json").read_text())
    names = list(dict.fromkeys(name.rpartition("-seed")[0] for name in by_senses))
    console = Console()
    table = Table(
        "detector", "AP", "mAP AVG", *(f"AP, {sense}" for sense in SENSES), title="test split, strict protocol"
    )
    stored: dict[str, object] = {}
    for name in names:
        runs = [f"{name}-seed{seed}" for seed in seeds]
        columns = {
            "AP": [metrics[run]["strict"]["alignment"]["AP"] for run in runs],
            "mAP AVG": [metrics[run]["strict"]["mAP"]["AVG"] for run in runs],
            **{f"AP, {sense}": [by_senses[run][sense] for run in runs] for sense in SENSES},
        }
        stored[name] = columns
        table.add_row(name, *(_spread(np.array(values)) for values in columns.values()))
    console.print(table)
    table = Table("weight", "loss", "validation AP", "test AP", title="visual student over its distillation weight")
    for normalized, by_weight in swept.items():
        loss = "normalized features" if normalized else "released"
        for weight, (validation, test) in by_weight.items():
            stored[f"{loss} {weight:g}"] = {"validation": validation.tolist(), "test": test.tolist()}
            table.add_row(f"{weight:g}", loss, _spread(validation), _spread(test))
    console.print(table)
    (RESULTS / "study.json").write_text(json.dumps(stored, indent=1) + "\n")


def _spread(values: Values) -> str:
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values.mean():.1f}"


if __name__ == "__main__":
    main()
