"""What detectors are tested on, and a detector that knows nothing of it."""

from dataclasses import dataclass

import numpy as np

from avadclip import paths
from avadclip.config.datasets import Dataset
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.evaluation.joining import videos_under_test
from avadclip.scoring.scores import Provenance, Scores, VideoScores, collect

RANDOM = "random"


@dataclass(frozen=True)
class TestSet:
    """Manifest and ground truth of one data set."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    dataset: str
    kind: str  # of the data set, see avadclip.config.datasets
    classes: tuple[str, ...]
    stride: int  # source frames a snippet
    videos: tuple[Video, ...]  # of the whole manifest
    segments: tuple[Segment, ...]

    @property
    def excluded(self) -> dict[str, str]:
        """Reason by id, of the test videos that are left out."""
        return {video.id: video.excluded for video in self.videos if video.split == "test" and video.excluded}


def read_test_set(name: str, dataset: Dataset) -> TestSet:
    """What stage ``prepare`` wrote of the data set `name`.

    Raises
    ------
    DatasetError : manifest or ground truth is missing or damaged.
    """
    videos, segments = read_manifest(paths.manifest(name)), read_ground_truth(paths.ground_truth(name))
    return TestSet(name, dataset.kind, dataset.classes, dataset.visual.stride, videos, segments)


def random_scores(test_set: TestSet, seed: int) -> Scores:
    """The Random row of the paper's tables: uniform confidences, and class probabilities from uniform numbers."""
    rng = np.random.default_rng(seed)
    rows = []
    for video in videos_under_test(test_set.videos):
        n_snippets = -(-video.n_frames // test_set.stride)
        confidence = rng.random(n_snippets, dtype=np.float32)
        weights = rng.random((n_snippets, len(test_set.classes)), dtype=np.float32) + np.float32(1e-6)  # never all zero
        rows.append(VideoScores(video.id, "none", confidence, weights / weights.sum(axis=1, keepdims=True)))
    made_by = Provenance(
        dataset=test_set.dataset,
        variant=RANDOM,
        trained_on=test_set.dataset,
        seed=seed,
        modalities=(),
        selection="none",
        classes=test_set.classes,
        stride=test_set.stride,
    )
    return collect(made_by, rows)
