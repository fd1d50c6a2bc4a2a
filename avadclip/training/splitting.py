"""Which videos train and which validate, and whether they can."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avadclip.datasets.model import Video
from avadclip.errors import TrainingError


@dataclass(frozen=True)
class Split:
    """The training videos of a data set in two parts."""

    train: tuple[Video, ...]
    validation: tuple[Video, ...]


SPLIT_SEED = 0  # not the seed of training: detectors of several seeds are compared on the same videos


def hold_out(videos: Sequence[Video], fraction: float) -> Split:
    """Hold out a fraction of the videos of every set of labels, drawn at random; both parts keep their order.

    Of a set with a single video none is held out: training needs it more.
    """
    by_labels: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for video in videos:
        by_labels[tuple(sorted(video.labels))].append(video.id)
    held_out: set[str] = set()
    random = np.random.default_rng(SPLIT_SEED)
    for labels in sorted(by_labels):
        ids = by_labels[labels]
        n_held_out = min(max(1, round(fraction * len(ids))), len(ids) - 1)
        held_out.update(random.permutation(ids)[:n_held_out].tolist())
    return Split(
        train=tuple(video for video in videos if video.id not in held_out),
        validation=tuple(video for video in videos if video.id in held_out),
    )


def check_trainable(videos: Sequence[Video], classes: Sequence[str]) -> None:
    """Refuse training videos from which a detector of these classes cannot learn.

    Raises
    ------
    TrainingError : there are none, all are normal, or a class (it is named) has no video.
    """
    if not videos:
        raise TrainingError("no training videos; check column `split` of the manifest, and `exclude` in params.yaml")
    if all(video.is_normal for video in videos):
        raise TrainingError(f"all {len(videos)} training videos are normal; a detector needs anomalous ones too")
    without = [name for name in classes if not any(name in video.labels for video in videos)]
    if without:
        raise TrainingError(f"no training video has class {', '.join(without)}; label some, or drop it from `classes`")


def check_rankable(videos: Sequence[Video], part: str) -> None:
    """Refuse a part of the videos on which average precision is not defined.

    Raises
    ------
    TrainingError : it has no normal video, or no anomalous one.
    """
    n_normal = sum(video.is_normal for video in videos)
    if n_normal in (0, len(videos)):
        found = f"found {n_normal} normal and {len(videos) - n_normal} anomalous"
        remedy = "raise `validation_fraction`, or use `selection.by: last`"
        raise TrainingError(f"{part}: average precision needs normal and anomalous videos, {found}; {remedy}")
