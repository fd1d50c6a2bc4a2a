"""What detectors are tested on, and the random detector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avadclip import paths
from avadclip.config.datasets import Dataset
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.errors import listed
from avadclip.evaluation.joining import videos_under_test
from avadclip.scoring.scores import Provenance, Scores, VideoScores, collect

RANDOM = "random"


@dataclass(frozen=True)
class TestSet:
    """Manifest and ground truth of one data set."""

    __test__ = False  # not a test case, despite its name

    dataset: str
    kind: str  # of the data set, see avadclip.config.datasets
    classes: tuple[str, ...]
    stride: int  # source frames per snippet
    videos: tuple[Video, ...]  # of the whole manifest
    segments: tuple[Segment, ...]

    @property
    def excluded(self) -> dict[str, str]:
        """Reason by id of the test videos that are left out."""
        return {video.id: video.excluded for video in self.videos if video.split == "test" and video.excluded}

    @property
    def without_segments(self) -> tuple[str, ...]:
        """Anomalous test videos without segments; they count only in the metrics of whole videos."""
        annotated = {segment.id for segment in self.segments}
        return tuple(v.id for v in videos_under_test(self.videos) if not v.is_normal and v.id not in annotated)

    @property
    def limits(self) -> tuple[str, ...]:
        """What cannot be measured on these videos, and why; also reasons to doubt the numbers."""
        tested = videos_under_test(self.videos)
        if not tested:
            return ("there are no test videos, so nothing is measured: give some videos the split `test`",)
        n_anomalous, unknown = sum(not video.is_normal for video in tested), self.without_segments
        limits = []
        if n_anomalous == 0:
            limits.append("no test video is anomalous: only false alarms per hour are defined")
        elif len(unknown) == n_anomalous:
            limits.append(
                "no anomalous test video has segments: the times of events are not known, so frame-level AP and AUC,"
                " mAP, precision, recall, events caught and delay are not defined; AP and AUC of whole videos are"
            )
        elif unknown:
            limits.append(
                f"{len(unknown)} of {n_anomalous} anomalous test videos have no segments and count only in the metrics"
                f" of whole videos: {listed(unknown)}"
            )
        if n_anomalous == len(tested):
            limits.append("no test video is normal: AUC of whole videos and false alarms per hour are not defined")
        trained = {video.content_hash for video in self.videos if video.split == "train" and not video.excluded}
        if known := [video.id for video in tested if video.content_hash in trained]:
            limits.append(
                f"{len(known)} test videos are also training videos, byte for byte, which makes every number too good:"
                f" {listed(known)}"
            )
        return tuple(limits)


def read_test_set(name: str, dataset: Dataset) -> TestSet:
    """What stage ``prepare`` wrote of the data set `name`.

    Raises
    ------
    DatasetError : manifest or ground truth is missing or damaged.
    """
    videos, segments = read_manifest(paths.manifest(name)), read_ground_truth(paths.ground_truth(name))
    return TestSet(name, dataset.kind, dataset.classes, dataset.visual.stride, videos, segments)


def random_scores(test_set: TestSet, seed: int, videos: Sequence[Video] | None = None) -> Scores:
    """The Random row of the paper's tables: uniform confidences, and class probabilities from uniform numbers.

    Parameters
    ----------
    videos : default: those under test.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for video in videos_under_test(test_set.videos) if videos is None else videos:
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
