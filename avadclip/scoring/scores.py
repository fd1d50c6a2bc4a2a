"""The score file: the scores of one detector for videos of one data set. Without torch, because evaluation reads it.

One HDF5 file has all videos end to end, because opening 800 groups would take longer than evaluating them.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from avadclip import hdf5
from avadclip.errors import EvaluationError
from avadclip.io import unknown_format

FORMAT = "avadclip-scores/2"
_ROUNDING = 1e-5  # by which a softmax in single precision may exceed 1


@dataclass(frozen=True)
class VideoScores:
    """Scores of one video.

    Attributes
    ----------
    id : the video.
    modality : what the detector used: ``audio_visual``, ``visual`` or ``audio``.
    anomaly_confidence : float32 [n_snippets], classification branch, 0..1.
    class_probabilities : float32 [n_snippets, classes], alignment branch; None if the detector names no classes.
    uncertainty : float32 [n_snippets], mean log variance of a student's features; None for other detectors.
    """

    id: str
    modality: str
    anomaly_confidence: NDArray[np.float32]
    class_probabilities: NDArray[np.float32] | None = None
    uncertainty: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Provenance:
    """Which detector made the scores, and from what."""

    dataset: str  # the one that is tested
    variant: str
    trained_on: str
    seed: int | None  # of training; None if it is not known (imported)
    modalities: tuple[str, ...]  # that the detector uses, if a video has them
    selection: str  # how the round was chosen; `released_test_selected` must be shown with every number
    classes: tuple[str, ...]  # columns of the class probabilities
    stride: int  # source frames per snippet
    # What else identifies it: kind, settings, chosen round, sha256 of its weights, recipes of the features that it
    # scored. Empty for the random detector.
    detector: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """Scores of videos, end to end: video v owns snippets ``first_snippet[v]:first_snippet[v + 1]``.

    Attributes
    ----------
    ids, modalities : one entry per video, sorted by id.
    first_snippet : int64 [videos + 1].
    anomaly_confidence : float32 [snippets].
    class_probabilities : float32 [snippets, classes], or None.
    uncertainty : float32 [snippets], NaN if the video was not scored by a student.
    """

    provenance: Provenance
    ids: tuple[str, ...]
    modalities: tuple[str, ...]
    first_snippet: NDArray[np.int64]
    anomaly_confidence: NDArray[np.float32]
    class_probabilities: NDArray[np.float32] | None
    uncertainty: NDArray[np.float32]

    @property
    def n_snippets(self) -> NDArray[np.int64]:
        """Snippets of each video [videos]."""
        return np.diff(self.first_snippet)

    @property
    def checksum(self) -> str:
        """sha256 of everything that is stored."""
        digest = hashlib.sha256(_describe(self.provenance).encode())
        digest.update(json.dumps([self.ids, self.modalities]).encode())
        for array in (self.first_snippet, self.anomaly_confidence, self.class_probabilities, self.uncertainty):
            if array is not None:
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def collect(provenance: Provenance, videos: Sequence[VideoScores]) -> Scores:
    """Put the scores of single videos end to end, sorted by id; there are none if all videos are for training.

    Raises
    ------
    EvaluationError : a video is there twice or has no snippets, arrays differ in length, a value is not finite or no
        probability, or only some of the videos have class probabilities.
    """
    ordered = sorted(videos, key=lambda video: video.id)
    for before, after in pairwise(ordered):
        if before.id == after.id:
            raise EvaluationError(f"{after.id}: scored twice")
    named = [video.class_probabilities is not None for video in ordered]
    if any(named) and not all(named):
        odd = ordered[named.index(False)].id
        raise EvaluationError(f"{odd}: has no class probabilities, but other videos have; score all with one detector")
    for video in ordered:
        _check(video, len(provenance.classes))
    return Scores(
        provenance,
        ids=tuple(video.id for video in ordered),
        modalities=tuple(video.modality for video in ordered),
        first_snippet=np.cumsum([0, *(len(video.anomaly_confidence) for video in ordered)], dtype=np.int64),
        anomaly_confidence=_joined([video.anomaly_confidence for video in ordered]),
        class_probabilities=_joined(
            [v.class_probabilities for v in ordered if v.class_probabilities is not None], len(provenance.classes)
        )
        if all(named)
        else None,
        uncertainty=_joined([_uncertainty(video) for video in ordered]),
    )


def rows(scores: Scores) -> list[VideoScores]:
    """The scores of single videos: the inverse of :func:`collect`."""
    found = []
    for index, (video_id, modality) in enumerate(zip(scores.ids, scores.modalities, strict=True)):
        own = slice(scores.first_snippet[index], scores.first_snippet[index + 1])
        probabilities = None if scores.class_probabilities is None else scores.class_probabilities[own]
        uncertainty = None if np.isnan(scores.uncertainty[own]).any() else scores.uncertainty[own]
        found.append(VideoScores(video_id, modality, scores.anomaly_confidence[own], probabilities, uncertainty))
    return found


def only(scores: Scores, video_ids: Collection[str]) -> Scores:
    """The scores of these videos only."""
    return collect(scores.provenance, [row for row in rows(scores) if row.id in video_ids])


def write(path: Path, scores: Scores) -> None:
    """Write a score file atomically; the same scores give the same bytes."""
    with hdf5.created(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs["provenance"] = _describe(scores.provenance)
        file.attrs["checksum"] = scores.checksum
        for name in ("ids", "modalities"):
            texts = [text.encode() for text in getattr(scores, name)]
            file.create_dataset(name, data=np.array(texts) if texts else np.empty(0, "S1"))
        for name in ("first_snippet", "anomaly_confidence", "class_probabilities", "uncertainty"):
            if (array := getattr(scores, name)) is not None:
                file.create_dataset(name, data=array)


def write_refusal(path: Path, reason: str) -> None:
    """Write, in place of scores, why there is no detector."""
    with hdf5.created(path) as file:
        file.attrs["format"] = FORMAT
        file.attrs["refusal"] = reason


def read_refusal(path: Path) -> str | None:
    """What :func:`write_refusal` wrote; None for a file of scores and for a damaged one (:func:`read` reports it)."""
    try:
        with hdf5.opened(path) as file:
            reason = hdf5.attribute(file, "refusal") if "refusal" in file.attrs else None
    except hdf5.UNREADABLE:
        return None
    return None if reason is None else str(reason)


def read(path: Path) -> Scores:
    """Read and check a score file.

    Raises
    ------
    EvaluationError : the file is missing, damaged, or of another format.
    """
    try:
        with hdf5.opened(path) as file:
            found = hdf5.attribute(file, "format") if "format" in file.attrs else None
            if found != FORMAT:
                raise EvaluationError(f"{path}: {unknown_format(found, FORMAT, 'score it again')}")
            provenance = json.loads(hdf5.attribute(file, "provenance"))
            for name in ("classes", "modalities"):
                provenance[name] = tuple(provenance[name])
            scores = Scores(
                Provenance(**provenance),
                ids=_texts(file, "ids"),
                modalities=_texts(file, "modalities"),
                first_snippet=hdf5.array(file, "first_snippet", "<i8"),
                anomaly_confidence=hdf5.array(file, "anomaly_confidence", "<f4"),
                class_probabilities=hdf5.array(file, "class_probabilities", "<f4")
                if "class_probabilities" in file
                else None,
                uncertainty=hdf5.array(file, "uncertainty", "<f4"),
            )
            promised = str(hdf5.attribute(file, "checksum"))
    except FileNotFoundError:
        raise EvaluationError(f"{path}: no such score file; run `dvc repro` or `dvc pull`") from None
    except hdf5.UNREADABLE as error:
        raise EvaluationError(f"{path}: not a readable score file ({error}); delete it and score again") from None
    if scores.checksum != promised:
        raise EvaluationError(
            f"{path}: damaged: checksum is {scores.checksum}, the file says {promised}; score it again"
        )
    return scores


def _texts(file: h5py.File, name: str) -> tuple[str, ...]:
    return tuple(text.decode() for text in hdf5.array(file, name, "S").tolist())


def _describe(provenance: Provenance) -> str:
    return json.dumps(vars(provenance), sort_keys=True)


def _joined(parts: Sequence[NDArray[np.float32]], *width: int) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((0, *width), np.float32), *parts], dtype=np.float32)


def _uncertainty(video: VideoScores) -> NDArray[np.float32]:
    if video.uncertainty is None:
        return np.full(len(video.anomaly_confidence), np.nan, np.float32)
    return video.uncertainty.astype(np.float32)


def _check(video: VideoScores, n_classes: int) -> None:
    n_snippets = len(video.anomaly_confidence)
    if n_snippets == 0:
        raise EvaluationError(f"{video.id}: has no snippets; exclude the video under `exclude:` in params.yaml")
    expected = {"class_probabilities": (n_snippets, n_classes), "uncertainty": (n_snippets,)}
    for name in ("anomaly_confidence", *expected):
        array: NDArray[np.float32] | None = getattr(video, name)
        if array is None:
            continue
        if array.shape != expected.get(name, (n_snippets,)):
            raise EvaluationError(f"{video.id}: {name} has shape {array.shape}, expected {expected[name]}")
        if not np.isfinite(array).all():
            raise EvaluationError(f"{video.id}: {name} is not finite; the detector or the features are damaged")
        if name != "uncertainty" and np.abs(array - 0.5).max() > 0.5 + _ROUNDING:
            raise EvaluationError(
                f"{video.id}: {name} is between {array.min():g} and {array.max():g}; expected 0 to 1: a detector's"
                " scores are probabilities, not what they are computed from"
            )
