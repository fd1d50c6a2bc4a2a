"""The worth of segments of training videos: AP by how many videos have them, and which; a table of docs/review.md.

Run ``python -m benchmarks.corrections PROJECT``, where PROJECT is a folder with features of a data set that was
rendered there (``make demo``). The events in its training videos are known from its seed, and stand in for a person's
corrections. Nothing is written into PROJECT.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from avadclip import config, paths
from avadclip.config import Params
from avadclip.config.variants import Variant, merged
from avadclip.datasets.ground_truth import read_ground_truth, write_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.demo.plan import plan_world
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.detectors.inference import SnippetScores, detect
from avadclip.detectors.protocol import Detector
from avadclip.store.video import open_folders, read_video
from avadclip.training.preparation import Run
from avadclip.training.run import train
from avadclip.training.segments import anomalous_frames

Found = dict[tuple[str, int, float], list[float]]  # how chosen, how many, weight -> AP of each seed


def main(
    project: Annotated[Path, typer.Argument(help="Folder with params.yaml, data and features.")],
    dataset: Annotated[str, typer.Option(help="Data set under `worlds` in its params.yaml.")] = "demo",
    variant: Annotated[str, typer.Option(help="Variant under `train`.")] = "ensemble",
    weights: Annotated[str, typer.Option(help="Comma-separated weights of the loss term `segments`.")] = "1,4,16",
    counts: Annotated[str, typer.Option(help="Comma-separated numbers of videos with segments.")] = "10,30",
    seeds: Annotated[int, typer.Option(help="Number of trainings of each choice.")] = 5,
) -> None:
    """Train with video labels, then with segments of some videos; print one row for each choice of them."""
    project = project.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        study = Study.linked(project, dataset, variant)
        found: Found = {}
        for seed in range(seeds):
            plain = study.trained(seed, 0.0, ())
            _note(found, ("none", 0, 0.0), study.average_precision(plain))
            orders = {"most informative": study.by_information(plain), "random": study.at_random(seed)}
            for (name, order), count, weight in product(
                orders.items(), map(int, counts.split(",")), map(float, weights.split(","))
            ):
                _note(found, (name, count, weight), study.average_precision(study.trained(seed, weight, order[:count])))
    print("\n".join(rows(found)))


@dataclass(frozen=True)
class Study:
    """A project in the current folder, and the segments that its training videos can be given."""

    params: Params
    dataset: str
    variant: str
    videos: Sequence[Video]
    tests: Sequence[Segment]  # of test videos
    corrections: Sequence[Segment]  # of training videos

    @classmethod
    def linked(cls, project: Path, dataset: str, variant: str) -> "Study":
        """Make the study with links to the features of another project."""
        for path in (Path("params.yaml"), paths.manifest(dataset), Path("features")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(project / path)
        params = config.load()
        world = params.worlds[dataset]
        events = [
            Segment(clip.id, event.label, event.start_frame, event.end_frame)
            for clip in plan_world(world.seed, world.n_train, world.n_test)
            if clip.split == "train"
            for event in clip.events
        ]
        tests = read_ground_truth(project / paths.ground_truth(dataset))
        return cls(params, dataset, variant, read_manifest(paths.manifest(dataset)), tests, events)

    def trained(self, seed: int, weight: float, corrected: Sequence[str]) -> Detector:
        """Train a detector with the segments of these training videos."""
        given = [segment for segment in self.corrections if segment.id in corrected]
        write_ground_truth(paths.ground_truth(self.dataset), [*self.tests, *given])
        section = self.params.variant(self.variant).model_dump(mode="json")
        weighted = Variant.model_validate(merged(section, {"recipe": {"loss_weights": {"segments": weight}}}))
        run = Run(self.dataset, self.params.dataset(self.dataset), self.variant, weighted, "train.it", seed)
        train(run, self.params.compute)
        return load_checkpoint(run.folder).detector

    def by_information(self, detector: Detector) -> list[str]:
        """List the anomalous training videos, beginning with those of which the detector is least sure."""
        said = self._said(detector, [v for v in self.videos if v.split == "train" and not v.is_normal])
        return sorted(said, key=lambda video_id: -information(said[video_id]))

    def at_random(self, seed: int) -> list[str]:
        """List the anomalous training videos in random order."""
        ids = [video.id for video in self.videos if video.split == "train" and not video.is_normal]
        return [str(video_id) for video_id in np.random.default_rng(seed).permutation(ids)]

    def average_precision(self, detector: Detector) -> float:
        """Compute the AP over the frames of all test videos, in percent."""
        from sklearn.metrics import average_precision_score

        tests = [video for video in self.videos if video.split == "test"]
        stride = self.params.dataset(self.dataset).visual.stride
        truth, scores, weights = [], [], []
        for video, said in zip(tests, self._said(detector, tests).values(), strict=True):
            n = len(said.anomaly_confidence)
            n_frames = np.minimum(video.n_frames - stride * np.arange(n), stride)
            n_anomalous = anomalous_frames([s for s in self.tests if s.id == video.id], n, stride)
            truth += [np.ones(n), np.zeros(n)]
            weights += [n_anomalous, n_frames - n_anomalous]
            scores += [said.anomaly_probability] * 2
        arrays = (np.concatenate(part) for part in (truth, scores, weights))
        labels, values, counts = arrays
        return 100 * float(average_precision_score(labels, values, sample_weight=counts))

    def _said(self, detector: Detector, videos: Sequence[Video]) -> dict[str, SnippetScores]:
        folders = open_folders(self.dataset, detector.modalities)
        return {video.id: detect(detector, read_video(folders, video.id), "cpu") for video in videos}


def information(said: SnippetScores) -> float:
    """Mean over the snippets of how near the score is to 0.5 or, if that is more, how much the members disagree."""
    borderline: NDArray[np.float32] = 1 - np.abs(2 * said.anomaly_probability - 1)
    disagreement = 0.0 if said.uncertainty is None else 2 * said.uncertainty  # a deviation of numbers in 0..1
    return float(np.maximum(borderline, disagreement).mean())


def _note(found: Found, what: tuple[str, int, float], average_precision: float) -> None:
    found.setdefault(what, []).append(average_precision)
    print(*what, round(average_precision, 2), file=sys.stderr, flush=True)


def rows(found: Found) -> list[str]:
    """Write Markdown: mean AP ± deviation over the seeds."""
    lines = ["| videos with segments | chosen | weight | AP |", "| --- | --- | --- | --- |"]
    for (name, count, weight), values in found.items():
        deviation = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
        lines.append(f"| {count} | {name} | {weight:g} | {np.mean(values):.1f}{deviation} |")
    return lines


if __name__ == "__main__":
    logging.getLogger("avadclip").setLevel(logging.ERROR)
    typer.run(main)
