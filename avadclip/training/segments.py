"""The segments of training videos, for those that have some.

Weak supervision uses video labels alone. Training reads the segments of training videos only if
`recipe.loss_weights.segments` is above 0 (docs/method.md, "Segments of training videos").
"""

import logging
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avadclip import paths
from avadclip.datasets.ground_truth import anomalous_spans, read_ground_truth
from avadclip.datasets.model import Segment, Video
from avadclip.store.video import Folders

_log = logging.getLogger(__name__)


def read_shares(dataset: str, videos: Sequence[Video], stride: int, folders: Folders) -> dict[str, NDArray[np.float32]]:
    """By id, for each of these videos that has segments: the share of each snippet's frames [n] that is in one.

    Raises
    ------
    DatasetError, FeatureError : the ground truth or a feature file cannot be read.
    """
    segments: dict[str, list[Segment]] = defaultdict(list)
    for segment in read_ground_truth(paths.ground_truth(dataset)):
        segments[segment.id].append(segment)
    shares = {}
    for video in (video for video in videos if video.id in segments):
        n_snippets = next(iter(folders.values())).n_snippets(video.id)
        n_frames = np.clip(video.n_frames - stride * np.arange(n_snippets), 1, stride)  # the last snippet has fewer
        n_anomalous = anomalous_frames(segments[video.id], n_snippets, stride)
        shares[video.id] = np.minimum(n_anomalous / n_frames, 1.0).astype(np.float32)
    _log.info("%s: %d of %d training videos have segments", dataset, len(shares), len(videos))
    return shares


def anomalous_frames(segments: Sequence[Segment], n_snippets: int, stride: int) -> NDArray[np.int64]:
    """How many frames of each snippet [n_snippets] of one video count as anomalous."""
    anomalous = np.zeros(n_snippets * stride, np.int64)
    for start_frame, end_frame in anomalous_spans(segments):
        anomalous[start_frame:end_frame] = 1
    counts: NDArray[np.int64] = anomalous.reshape(n_snippets, stride).sum(axis=1)
    return counts
