"""Which of several settings locates events best in unseen videos, estimated from training videos and labels alone.

How well a detector tells *whether* a held-out video is anomalous says little about *when* (docs/held-out.md has the
correlations), so snippets are ranked: one detector chooses the highest snippets of every held-out anomalous video, and
another one, trained with another seed, ranks them against all held-out normal snippets. What one has memorised, the
other has not.

Films repeat shots: if a snippet occurs again in another video, holding out its video is not enough. So snippets are
held out, each together with its twins.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avadclip import paths
from avadclip.config.evaluation import Branch
from avadclip.config.training import Compute
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Video
from avadclip.detectors.alarm_score import anomaly_scores
from avadclip.detectors.inference import detect
from avadclip.detectors.protocol import Detector
from avadclip.device import resolve_device
from avadclip.errors import HeldOutError, TrainingError
from avadclip.store.video import Folders, VideoFeatures, n_snippets, open_folders, read_video
from avadclip.training.fitness import check_trainable
from avadclip.training.loop import Watch, fit
from avadclip.training.preparation import Run, prepare

SAME_SNIPPET = 0.999  # cosine of two snippets that show the same
MOST_SNIPPETS = 30_000  # with more than this, the search for twins would take minutes, and memory would not do
TOP_SHARE = 0.15  # of an anomalous video's held-out snippets, at least one
FOLD_SEED = 0  # the folds do not depend on the seed of training

Read = Callable[[str], VideoFeatures]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOut:
    """Scores of snippets on which the detectors were not trained.

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
        """AUC of the snippets that one detector chooses against all normal ones, by the other's scores; both ways."""
        return float(np.mean([self._ranked_by(first, 1 - first) for first in (0, 1)]))

    def _ranked_by(self, names: int, ranks: int) -> float:
        return _auc(self.scores[ranks, self._named_by(names)], self.scores[ranks, ~self.is_anomalous])

    def judged(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Scores of snippets [m], and whether they count as anomalous, for calibration.

        Snippets of normal videos are normal; in anomalous videos, those that the other detector chooses are anomalous,
        and the others do not count.
        """
        chosen = [(1 - names, self._named_by(names)) for names in (0, 1)]
        anomalous = np.concatenate([self.scores[ranks, snippets] for ranks, snippets in chosen])
        normal = self.scores[:, ~self.is_anomalous].ravel()
        return np.concatenate([anomalous, normal]), np.repeat([True, False], [len(anomalous), len(normal)])

    def _named_by(self, detector: int) -> NDArray[np.intp]:
        """The highest snippets of all anomalous videos, one video after the other."""
        chosen = [
            own[np.argsort(-self.scores[detector, own], kind="stable")[: max(1, round(TOP_SHARE * len(own)))]]
            for own in (np.flatnonzero(self.videos == video) for video in np.unique(self.videos[self.is_anomalous]))
        ]
        return np.concatenate(chosen)

    def whether(self) -> float:
        """AUC over videos by their highest held-out snippet, averaged over the two detectors."""
        videos, first = np.unique(self.videos, return_index=True)
        is_anomalous = self.is_anomalous[first]
        found = []
        for scores in self.scores:
            highest = np.array([scores[self.videos == video].max() for video in videos])
            found.append(_auc(highest[is_anomalous], highest[~is_anomalous]))
        return float(np.mean(found))


def snippet_folds(
    videos: Sequence[Video], lengths: Sequence[int], rows: NDArray[np.float32] | None, n_folds: int
) -> list[NDArray[np.intp]]:
    """The fold of every snippet of every video: that of the first video with this snippet or a twin of it.

    Videos are assigned to the folds at random, normal and anomalous ones separately.

    Parameters
    ----------
    lengths : number of snippets of each video.
    rows : features of all snippets, [snippets, width], of length 1 or 0; None: no twins are looked for.
    """
    random = np.random.default_rng(FOLD_SEED)
    of_video = np.empty(len(videos), np.intp)
    for sort in (True, False):
        own = np.array([index for index, video in enumerate(videos) if video.is_normal == sort], np.intp)
        of_video[random.permutation(own)] = np.arange(len(own)) % n_folds
    owners = np.repeat(np.arange(len(videos)), lengths)
    if rows is not None:
        owners = _first_owner(rows, owners)
    return np.split(of_video[owners], np.cumsum(lengths)[:-1])


def cross_validate(
    run: Run, compute: Compute, n_folds: int, *, fewer: bool = False, every_round: bool = False
) -> list[dict[Branch, HeldOut]]:
    """Train two detectors per fold without the snippets of the fold, and collect their scores of these.

    Parameters
    ----------
    fewer : take fewer folds, but at least two, where videos are too few for so many.

    Returns
    -------
    By branch; one entry per round with `every_round`, else only for the last.

    Raises
    ------
    TrainingError : the variant learns from a teacher.
    HeldOutError : the videos are too few for so many folds, or a class is in one fold alone.
    FeatureError, DatasetError, ConfigError : as in training.
    """
    if run.needs.teacher:
        raise TrainingError(
            f"{run.variant}: learns from a teacher, which was trained on the videos that would be held out"
        )
    videos = [v for v in read_manifest(paths.manifest(run.dataset)) if v.split == "train" and not v.excluded]
    check_trainable(videos, run.dataset_section.classes)
    n_folds = _checked_folds(videos, n_folds, fewer)
    folders = open_folders(run.dataset, run.in_training)
    lengths = [n_snippets(folders, video.id) for video in videos]
    read: Read = partial(read_video, folders)
    rows = None
    if sum(lengths) <= MOST_SNIPPETS:  # few enough to stay in memory, and to look for twins
        read = cache(read)
        rows = np.concatenate([_unit_rows(read(video.id)) for video in videos])
    folds = snippet_folds(videos, lengths, rows, n_folds)
    n_rounds = run.settings.recipe.phases * run.settings.recipe.rounds
    rounds = range(1, n_rounds + 1) if every_round else [n_rounds]
    asked = _Asked([video.id for video in videos], lengths, read, rounds, resolve_device(compute.device))
    for fold, which in product(range(n_folds), (0, 1)):
        held_out = [own == fold for own in folds]
        watch = partial(asked.ask, which=which, held_out=held_out)
        _train(run, compute, videos, folders, held_out, run.seed + 1000 * which, watch)
    owners = np.repeat(np.arange(len(videos)), lengths)
    is_anomalous = np.array([not video.is_normal for video in videos])[owners]
    return [
        {branch: HeldOut(owners, is_anomalous, scores) for branch, scores in of_round.items()}
        for of_round in asked.scores.values()
    ]


class _Asked:
    """Scores of held-out snippets after some rounds: `scores`, by round and branch, float32 [2, snippets]."""

    def __init__(
        self, ids: Sequence[str], lengths: Sequence[int], read: Read, rounds: Iterable[int], device: torch.device
    ) -> None:
        self._ids, self._read, self._device = ids, read, device
        self._first = np.cumsum([0, *lengths])
        self.scores: dict[int, dict[Branch, NDArray[np.float32]]] = {round_: {} for round_ in rounds}

    def ask(self, round_: int, detector: Detector, which: int, held_out: Sequence[NDArray[np.bool_]]) -> None:
        if round_ not in self.scores:
            return
        for first, video_id, mask in zip(self._first[:-1], self._ids, held_out, strict=True):
            if not mask.any():
                continue
            said = detect(detector, self._read(video_id).only(mask), self._device)
            for branch, scores in anomaly_scores(said.anomaly_confidence, said.class_probabilities).items():
                whole = self.scores[round_].setdefault(branch, np.zeros((2, self._first[-1]), np.float32))
                whole[which, first + np.flatnonzero(mask)] = scores


def best_round(rounds: Sequence[Mapping[Branch, HeldOut]]) -> int:
    """The round, counted from 1, with the highest sum of `when` and `whether`; the earliest of several.

    `when` shows that a detector has not learned enough, and `whether` that it has learned too much (docs/held-out.md).
    """
    found = [(held_out.ranking(), held_out.whether()) for held_out in (each["classification"] for each in rounds)]
    _log.info("when + whether, by round: %s", ", ".join(f"{when:.3f} + {whether:.3f}" for when, whether in found))
    return 1 + int(np.argmax([when + whether for when, whether in found]))


def _checked_folds(videos: Sequence[Video], n_folds: int, fewer: bool) -> int:
    n_normal = sum(video.is_normal for video in videos)
    smaller = min(n_normal, len(videos) - n_normal)
    n_folds = max(2, min(n_folds, smaller)) if fewer else n_folds
    if smaller < n_folds:
        found = f"found {n_normal} normal and {len(videos) - n_normal} anomalous"
        remedy = "label more videos" if n_folds == 2 else "use fewer folds"
        raise HeldOutError(f"{n_folds} folds need as many training videos of each sort, {found}; {remedy}")
    return n_folds


def _train(
    run: Run,
    compute: Compute,
    videos: Sequence[Video],
    folders: Folders,
    held_out: Sequence[NDArray[np.bool_]],
    seed: int,
    watch: Watch,
) -> None:
    shown = {video.id: ~mask for video, mask in zip(videos, held_out, strict=True) if not mask.all()}
    seen = [video for video in videos if video.id in shown]
    try:
        check_trainable(seen, run.dataset_section.classes)
    except TrainingError as error:
        raise HeldOutError(f"without what is held out, {error}") from None
    detector, data = prepare(run, compute, seen, folders, seed, shown)
    with tempfile.TemporaryDirectory() as folder:
        fit(detector, data, seed, Path(folder), identity="cross-validation", watch=watch)


def _unit_rows(features: VideoFeatures) -> NDArray[np.float32]:
    """[n, width] of length 1, visual if there are visual features."""
    rows = features.audio if features.visual is None else features.visual[0]
    assert rows is not None
    rows = rows.astype(np.float32)
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def _first_owner(rows: NDArray[np.float32], owners: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each row, the video of its earliest twin; rows are in the order of the videos."""
    first = [
        owners[np.argmax(rows[start : start + 1024] @ rows.T > SAME_SNIPPET, axis=1)]
        for start in range(0, len(rows), 1024)
    ]
    silent = np.linalg.norm(rows, axis=1) < 0.5  # zero, so they have no twin
    return np.where(silent, owners, np.concatenate(first))


def _auc(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    from sklearn.metrics import roc_auc_score  # takes a second to import

    if not len(positive) or not len(negative):
        raise HeldOutError("no normal or no anomalous snippets were held out; use fewer folds, or label more videos")
    return float(roc_auc_score(np.repeat([1, 0], [len(positive), len(negative)]), np.concatenate([positive, negative])))
