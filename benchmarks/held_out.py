"""Held-out training snippets compared with the test set, round by round: the tables of docs/held-out.md.

Run ``python -m benchmarks.held_out FOLDER``, with a folder as for benchmarks/quality.py, or use ``--dataset demo`` in a
project. It trains the recommended detector for twice its rounds. The first table has the test AP and `when`, by which
`selection.by: ranking` stops; the second one shows how each `recipe.calibrate` changes the scores.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from avadclip import config, paths
from avadclip.config.training import Compute
from avadclip.config.variants import Variant
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.detectors.calibration import learn
from avadclip.detectors.inference import detect
from avadclip.detectors.protocol import Detector
from avadclip.detectors.settings import CalibrationMethod
from avadclip.evaluation.reliability import reliability
from avadclip.store.video import open_folders, read_video
from avadclip.training.cross_validation import cross_validate
from avadclip.training.loop import fit
from avadclip.training.preparation import Run, prepare
from avadclip.training.segments import anomalous_frames
from benchmarks.quality import write_project
from pipeline import extract_audio, extract_visual
from pipeline import prepare as prepare_stage

METHODS: tuple[CalibrationMethod, ...] = ("temperature", "platt", "isotonic")


def main(
    folder: Annotated[Path | None, typer.Argument(help="Folder of features, videos.csv and segments.csv.")] = None,
    dataset: Annotated[str, typer.Option(help="Data set of the project here, if no folder is given.")] = "it",
    frame_rate: Annotated[float, typer.Option(help="Frames per second of the videos.")] = 25.0,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    folds: Annotated[int, typer.Option(help="Number of folds of the training videos.")] = 4,
) -> None:
    """Train, compare held-out snippets with the test set, and print two tables."""
    with tempfile.TemporaryDirectory() as project:
        if folder is not None:
            folder = folder.resolve()
            os.chdir(project)
            write_project(folder, 16, frame_rate, 1, ["base"], "switches")
            for stage in (prepare_stage, extract_visual, extract_audio):
                stage.main(dataset)
        params = config.load()
        variant = params.train["ensemble" if folder is None else "base"]
        assert isinstance(variant, Variant)
        run = Run(dataset, params.dataset(dataset), "base", variant, "train.base", seed)
        shown = run.settings.recipe.rounds
        longer = run.settings.model_copy(
            update={"recipe": run.settings.recipe.model_copy(update={"rounds": 2 * shown})}
        )
        run.__dict__["settings"] = longer  # replaces the value of the cached property
        tables(run, params.compute.model_copy(update={"device": "cpu"}), folds, shown)


def tables(run: Run, compute: Compute, folds: int, rounds: int) -> None:
    """Print both tables; the second one is of the detector after `rounds`."""
    held_out = cross_validate(run, compute, folds, every_round=True)
    videos = [video for video in read_manifest(paths.manifest(run.dataset)) if not video.excluded]
    stride = run.dataset_section.visual.stride
    segments = read_ground_truth(paths.ground_truth(run.dataset))
    features = open_folders(run.dataset, run.in_training)
    tested = [read_video(features, video.id) for video in videos if video.split == "test"]
    anomalous = np.concatenate(
        [
            anomalous_frames([segment for segment in segments if segment.id == each.id], each.n_snippets, stride)
            for each in tested
        ]
    )
    said: list[NDArray[np.float32]] = []

    def watch(_: int, detector: Detector) -> None:
        said.append(np.concatenate([detect(detector, video, "cpu").anomaly_confidence for video in tested]))

    training = [video for video in videos if video.split == "train"]
    detector, data = prepare(run, compute, training, features, run.seed)
    with tempfile.TemporaryDirectory() as place:
        fit(detector, data, run.seed, Path(place), identity="", watch=watch)
    print("| round | when | whether | test AP |\n| --- | --- | --- | --- |")
    weights = np.concatenate([anomalous, stride - anomalous])
    truth = np.repeat([True, False], len(anomalous))
    for round_, (each, scores) in enumerate(zip(held_out, said, strict=True), start=1):
        found = average_precision_score(truth, np.tile(scores, 2), sample_weight=weights)
        of = each["classification"]
        print(f"| {round_} | {of.ranking():.3f} | {of.whether():.3f} | {100 * found:.1f} |", flush=True)
    print("\n| calibrated | error | caught snippets | alarmed normal snippets |\n| --- | --- | --- | --- |")
    scores, judged = said[rounds - 1], held_out[rounds - 1]["classification"].judged()
    for method in ("none", *METHODS):
        after = scores if method == "none" else learn(method, *judged)(scores)
        error = reliability(after, np.full(len(after), stride), anomalous, 10).error
        on, is_event = after >= 0.5, anomalous >= stride / 2
        print(f"| {method} | {error:.3f} | {100 * on[is_event].mean():.0f} % | {100 * on[~is_event].mean():.1f} % |")


if __name__ == "__main__":
    logging.getLogger("avadclip").setLevel(logging.ERROR)
    typer.run(main)
