"""Which videos train, which validate, and on which a threshold may be chosen."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avadclip.config.training import Selection
from avadclip.datasets.model import Video

SPLIT_SEED = 0  # not the seed of training, so that detectors of several seeds are compared on the same videos
ENOUGH = 100  # normal videos for choosing a threshold, however few test videos there are


@dataclass(frozen=True)
class Split:
    """The training videos of a data set in two parts."""

    train: tuple[Video, ...]
    validation: tuple[Video, ...]


def split_training(videos: Sequence[Video], selection: Selection) -> Split:
    """The training videos of a manifest without excluded ones; some are held out if the round is chosen on them."""
    candidates = tuple(video for video in videos if video.split == "train" and not video.excluded)
    if selection.by == "validation":
        return hold_out(candidates, selection.validation_fraction)
    return Split(train=candidates, validation=())


def hold_out(videos: Sequence[Video], fraction: float) -> Split:
    """Hold out a fraction of the videos of each combination of labels, drawn at random; both parts keep their order.

    A combination with a single video keeps it for training.
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


def level_videos(videos: Sequence[Video], selection: Selection) -> tuple[Video, ...]:
    """The normal videos of a manifest on which a threshold may be chosen, sorted by id.

    Those held out for validation if there are any, else those for training; never a test video, nor a copy of one. At
    most as many as there are test videos (or `ENOUGH`, if that is more), so that scoring them costs no more than
    scoring the test videos: those whose ids have the lowest hashes.
    """
    split = split_training(videos, selection)
    tested = {video.content_hash for video in videos if video.split == "test" and not video.excluded}
    n_tested = sum(video.split == "test" and not video.excluded for video in videos)

    def usable(part: Sequence[Video]) -> list[Video]:
        return [video for video in part if video.is_normal and video.content_hash not in tested]

    usable_videos = usable(split.validation) or usable(split.train)
    drawn = sorted(usable_videos, key=lambda video: hashlib.sha256(video.id.encode()).digest())
    return tuple(sorted(drawn[: max(n_tested, ENOUGH)], key=lambda video: video.id))
