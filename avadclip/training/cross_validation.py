"""Which of several settings will say *when* on videos that it has not seen, from training videos and labels alone.

Whether a held-out video is anomalous says little about *when* (docs/quality.md has the correlations), so snippets are
ranked: one detector names the highest snippets of every held-out anomalous video, another one, trained with another
seed, ranks these against all held-out normal snippets. What each has learned by heart the other has not.

Films and bags repeat themselves: where a snippet comes again in another video, holding out the video holds out nothing.
So snippets are held out, each together with its twins.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip import paths
from avadclip.config.training import Compute
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Video
from avadclip.detectors.inference import detect
from avadclip.detectors.protocol import Detector
from avadclip.device import resolve_device
from avadclip.errors import TrainingError
from avadclip.store.video import Folders, VideoFeatures, open_folders, read_video
from avadclip.training.fitness import check_trainable
from avadclip.training.loop import fit
from avadclip.training.run import Run, prepare

SAME_SNIPPET = 0.999  # cosine of two snippets that show the same
MOST_SNIPPETS = 30_000  # beyond this many the search for twins would take minutes
TOP_SHARE = 0.15  # of an anomalous video's held-out snippets, at least one
FOLD_SEED = 0  # the folds do not depend on the seed of training


@dataclass(frozen=True)
class HeldOut:
    """What detectors said of snippets that they were not trained on.

    Attributes
    ----------
    videos : index of the video of each snippet, int [s].
    is_anomalous : whether that video is, bool [s].
    scores : [2, s], of two detectors with different seeds.
    """

    videos: NDArray[np.intp]
    is_anomalous: NDArray[np.bool_]
    scores: NDArray[np.float32]

    def ranking(self) -> float:
        """AUC of the snippets that one detector names against all normal ones, as the other ranks them; both ways."""
        return float(np.mean([self._ranked_by(first, 1 - first) for first in (0, 1)]))

    def _ranked_by(self, names: int, ranks: int) -> float:
        chosen = [
            own[np.argsort(-self.scores[names, own], kind="stable")[: max(1, round(TOP_SHARE * len(own)))]]
            for own in (np.flatnonzero(self.videos == video) for video in np.unique(self.videos[self.is_anomalous]))
        ]
        return _auc(self.scores[ranks, np.concatenate(chosen)], self.scores[ranks, ~self.is_anomalous])

    def whether(self) -> float:
        """AUC over videos by their highest held-out snippet, averaged over the two detectors."""
        videos, first = np.unique(self.videos, return_index=True)
        is_anomalous = self.is_anomalous[first]
        found = []
        for scores in self.scores:
            highest = np.array([scores[self.videos == video].max() for video in videos])
            found.append(_auc(highest[is_anomalous], highest[~is_anomalous]))
        return float(np.mean(found))


def snippet_folds(videos: Sequence[Video], features: Sequence[VideoFeatures], n_folds: int) -> list[NDArray[np.intp]]:
    """The fold of every snippet of every video: the one of the first video that shows it, or shows a twin of it.

    Videos are dealt out to the folds at random, normal and anomalous ones apart.
    """
    random = np.random.default_rng(FOLD_SEED)
    of_video = np.empty(len(videos), np.intp)
    for sort in (True, False):
        own = np.array([index for index, video in enumerate(videos) if video.is_normal == sort], np.intp)
        of_video[random.permutation(own)] = np.arange(len(own)) % n_folds
    rows = [_unit_rows(each) for each in features]
    lengths = [len(each) for each in rows]
    owners = np.repeat(np.arange(len(videos)), lengths)
    if len(owners) <= MOST_SNIPPETS:
        owners = _first_owner(np.concatenate(rows), owners)
    return np.split(of_video[owners], np.cumsum(lengths)[:-1])


def cross_validate(run: Run, compute: Compute, n_folds: int) -> HeldOut:
    """Train two detectors a fold without the snippets of the fold, and collect what they say of these.

    Raises
    ------
    TrainingError : the variant learns from a teacher, or the videos are too few for so many folds.
    FeatureError, DatasetError, ConfigError : as of training.
    """
    if run.needs.teacher:
        raise TrainingError(
            f"{run.variant}: learns from a teacher, whose training has seen the videos that would be held out"
        )
    videos = [v for v in read_manifest(paths.manifest(run.dataset)) if v.split == "train" and not v.excluded]
    check_trainable(videos, run.dataset_section.classes)
    _check_folds(videos, n_folds)
    folders = open_folders(run.dataset, run.in_training)
    features = [read_video(folders, video.id) for video in videos]
    folds = snippet_folds(videos, features, n_folds)
    scores = [np.zeros((2, each.n_snippets), np.float32) for each in features]
    for fold in range(n_folds):
        held_out = [own == fold for own in folds]
        for which in (0, 1):
            detector = _trained(run, compute, videos, folders, held_out, seed=run.seed + 1000 * which)
            for own, each, mask in zip(scores, features, held_out, strict=True):
                if mask.any():
                    found = detect(detector, each.only(mask), resolve_device(compute.device))
                    own[which, mask] = found.anomaly_confidence
    lengths = [each.n_snippets for each in features]
    return HeldOut(
        videos=np.repeat(np.arange(len(videos)), lengths),
        is_anomalous=np.repeat([not video.is_normal for video in videos], lengths),
        scores=np.concatenate(scores, axis=1),
    )


def _check_folds(videos: Sequence[Video], n_folds: int) -> None:
    n_normal = sum(video.is_normal for video in videos)
    smaller = min(n_normal, len(videos) - n_normal)
    if smaller < n_folds:
        found = f"found {n_normal} normal and {len(videos) - n_normal} anomalous"
        raise TrainingError(f"{n_folds} folds need as many training videos of each sort, {found}; use fewer folds")


def _trained(
    run: Run,
    compute: Compute,
    videos: Sequence[Video],
    folders: Folders,
    held_out: Sequence[NDArray[np.bool_]],
    seed: int,
) -> Detector:
    shown = {video.id: ~mask for video, mask in zip(videos, held_out, strict=True) if not mask.all()}
    seen = [video for video in videos if video.id in shown]
    check_trainable(seen, run.dataset_section.classes)
    detector, data = prepare(run, compute, seen, folders, seed, shown)
    with tempfile.TemporaryDirectory() as folder:
        fit(detector, data, seed, Path(folder), identity="cross-validation")
    return detector


def _unit_rows(features: VideoFeatures) -> NDArray[np.float32]:
    """[n, width] of length 1, of the picture where there is one."""
    rows = features.audio if features.visual is None else features.visual[0]
    assert rows is not None
    rows = rows.astype(np.float32)
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def _first_owner(rows: NDArray[np.float32], owners: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of each row the video of its earliest twin; rows of one video come together, in the order of the videos."""
    first = [
        owners[np.argmax(rows[start : start + 1024] @ rows.T > SAME_SNIPPET, axis=1)]
        for start in range(0, len(rows), 1024)
    ]
    silent = np.linalg.norm(rows, axis=1) < 0.5  # zero, and like nothing
    return np.where(silent, owners, np.concatenate(first))


def _auc(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    from sklearn.metrics import roc_auc_score  # takes a second to import

    if not len(positive) or not len(negative):
        raise TrainingError("no normal or no anomalous snippets were held out; use fewer folds, or label more videos")
    return float(roc_auc_score(np.repeat([1, 0], [len(positive), len(negative)]), np.concatenate([positive, negative])))
