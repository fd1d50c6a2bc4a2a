"""``avadclip features compare``: how similar two sets of features of the same videos are, and what makes them equal.

Cosines are computed snippet by snippet, so the length of a feature does not matter. The search turns set A into set B.
If A has r snippets for each one of B (extracted with a stride r times smaller), it has r frames of each snippet of B,
and their mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from avadclip.errors import FeatureError
from avadclip.store.feature_set import FeatureSet

Rows = NDArray[np.float32]
Normalisation = Literal["as it is", "unit length", "mean of all subtracted"]

SEARCHED = 24  # videos; the best is then compared on all
OFFSETS = (0, 1, -1, 2, -2)  # snippets
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75)
_NORMALISATIONS: tuple[Normalisation, ...] = ("as it is", "unit length", "mean of all subtracted")
_WORST = 5


@dataclass(frozen=True)
class Candidate:
    """A way to make a snippet of B from A.

    Attributes
    ----------
    factor : snippets of A for each one of B.
    frame : which of them is used; None: their mean.
    view : of A.
    offset : snippets of B by which A is ahead.
    normalisation : of A's features, before anything else; a mean is subtracted from B's features, too.
    """

    factor: int = 1
    frame: int | None = 0
    view: int = 0
    offset: int = 0
    normalisation: Normalisation = "as it is"

    def __str__(self) -> str:
        frame = "the mean of all" if self.frame is None else f"number {self.frame} of"
        taken = [] if self.factor == 1 else [f"{frame} {self.factor} snippets"]
        taken += [f"view {self.view}", f"{self.offset:+d} snippets" if self.offset else "no offset", self.normalisation]
        return ", ".join(taken)


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes
    ----------
    n_videos, n_snippets : how many both sets have.
    only_a, only_b : ids that the other set lacks.
    other_lengths : ids whose numbers of snippets differ; the first of them are compared, as many as both have.
    quantiles : of the cosines, at `QUANTILES`.
    worst : the lowest medians of single videos, with their ids.
    ratio : median ratio of the length of a feature of A to that of its counterpart in B.
    equal : whether every value that was compared is the same.
    """

    candidate: Candidate
    n_videos: int
    n_snippets: int
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    other_lengths: tuple[str, ...]
    quantiles: tuple[float, ...]
    worst: tuple[tuple[float, str], ...]
    ratio: float
    equal: bool

    @property
    def median(self) -> float:
        """The median of all cosines."""
        return self.quantiles[QUANTILES.index(0.5)]


def compare(a: FeatureSet, b: FeatureSet, candidate: Candidate | None = None) -> Comparison:
    """Compare every snippet that both sets have; one video of each is in memory at a time.

    Parameters
    ----------
    candidate : how the first view of B is made from A; None: from the first view of A, as it is.

    Raises
    ------
    FeatureError : no video is in both, or their widths differ.
    """
    chosen = candidate or Candidate()
    common = _common(a, b)
    means = _means(a, b, common) if chosen.normalisation == "mean of all subtracted" else None
    cosines, ratios, medians, other_lengths, equal = [], [], [], [], True
    for video_id in common:
        x, y = _pair(a, b, video_id)
        made = _aligned(_made(x, chosen, means), chosen.offset)
        if len(made) != len(y):
            other_lengths.append(video_id)
        n = min(len(made), len(y))
        made, target = made[:n], y[:n] if means is None else y[:n] - means[1]
        known = ~np.isnan(made[:, 0])
        equal = equal and np.array_equal(made[known], target[known])
        found = _cosine(made[known], target[known])
        cosines.append(found)
        ratios.append(np.linalg.norm(made[known], axis=1) / np.maximum(np.linalg.norm(target[known], axis=1), 1e-12))
        if len(found):
            medians.append((float(np.median(found)), video_id))
    joined = np.concatenate(cosines)
    if len(joined) == 0:
        raise FeatureError(f"{a.name} and {b.name}: no snippet is in both")
    return Comparison(
        candidate=chosen,
        n_videos=len(common),
        n_snippets=len(joined),
        only_a=tuple(sorted(set(a.ids) - set(b.ids))),
        only_b=tuple(sorted(set(b.ids) - set(a.ids))),
        other_lengths=tuple(other_lengths),
        quantiles=tuple(float(value) for value in np.quantile(joined, QUANTILES)),
        worst=tuple(sorted(medians)[:_WORST]),
        ratio=float(np.median(np.concatenate(ratios))),
        equal=bool(equal),
    )


def search(a: FeatureSet, b: FeatureSet) -> Comparison:
    """The candidate with the highest median cosine on some of the videos, compared on all; the simplest of equal ones.

    Raises
    ------
    FeatureError : as :func:`compare`; or B has more snippets than A, so that A and B have to change places.
    """
    common = _common(a, b)
    some = common[:: -(-len(common) // SEARCHED)]
    factor, n_views = _factor(a, b, some), len(a.read(some[0]))
    means = _means(a, b, some)
    found: dict[Candidate, list[NDArray[np.float32]]] = {c: [] for c in _candidates(factor, n_views)}
    for video_id in some:
        x, y = _pair(a, b, video_id)
        for base in (candidate for candidate in found if candidate.offset == 0):
            made = _unit(_made(x, base, means))
            target = _unit(y - means[1] if base.normalisation == "mean of all subtracted" else y)
            for offset in OFFSETS:
                moved = _aligned(made, offset)
                n = min(len(moved), len(target))
                cosines = np.einsum("nd,nd->n", moved[:n], target[:n])
                key = Candidate(base.factor, base.frame, base.view, offset, base.normalisation)
                found[key].append(cosines[~np.isnan(cosines)])
    # Rounded, so that among candidates that differ by rounding alone the first, which is the simplest, is chosen.
    best = max(found, key=lambda candidate: round(_median(found[candidate]), 5))
    return compare(a, b, best)


def lines(found: Comparison, a: str, b: str) -> Iterator[str]:
    """The result as text; the last line is a sentence for a paper."""
    if found.candidate != Candidate():
        yield f"nearest to {b}: of {a} {found.candidate}"
    yield f"videos in both: {found.n_videos}, snippets: {found.n_snippets}"
    for name, ids in ((f"only in {a}", found.only_a), (f"only in {b}", found.only_b)):
        if ids:
            yield f"{name}: {len(ids)} videos, {ids[0]} among them"
    if found.other_lengths:
        yield f"other numbers of snippets: {len(found.other_lengths)} videos, {found.other_lengths[0]} among them"
    marks = ", ".join(f"{share:.0%} {value:.4f}" for share, value in zip(QUANTILES, found.quantiles, strict=True))
    yield f"cosine, quantiles: {marks}"
    yield "lowest medians: " + ", ".join(f"{video_id} {value:.4f}" for value, video_id in found.worst)
    yield f"length of A's features to that of B's: {found.ratio:.4f}{'; every value is equal' if found.equal else ''}"
    yield _sentence(found, a, b)


def _sentence(found: Comparison, a: str, b: str) -> str:
    made = f" ({found.candidate})" if found.candidate != Candidate() else ""
    return (
        f"On {found.n_snippets} snippets of {found.n_videos} videos, the features of {a}{made} agree with those of {b}"
        f" in a median cosine of {found.median:.4f} (5% quantile: {found.quantiles[1]:.4f})."
    )


def _candidates(factor: int, n_views: int) -> Iterator[Candidate]:
    """The simplest first."""
    frames: list[int | None] = [0] if factor == 1 else [0, factor // 2, None, *range(1, factor)]
    for normalisation, offset, view, frame in product(_NORMALISATIONS, OFFSETS, range(n_views), dict.fromkeys(frames)):
        # The length of a feature matters only for a mean.
        if normalisation != "unit length" or frame is None:
            yield Candidate(factor, frame, view, offset, normalisation)


def _common(a: FeatureSet, b: FeatureSet) -> list[str]:
    common = sorted(set(a.ids) & set(b.ids))
    if not common:
        raise FeatureError(
            f"{a.name} and {b.name}: no video is in both; A has {a.ids[0]!r}, for example, and B {b.ids[0]!r}"
        )
    return common


def _pair(a: FeatureSet, b: FeatureSet, video_id: str) -> tuple[Rows, Rows]:
    """All views of A, and the first of B."""
    x, y = a.read(video_id), b.read(video_id)[0]
    if x.shape[-1] != y.shape[-1]:
        raise FeatureError(
            f"{video_id}: features of width {x.shape[-1]} in {a.name} and {y.shape[-1]} in {b.name}: cosines cannot"
            " compare features of different encoders"
        )
    return x, y


def _factor(a: FeatureSet, b: FeatureSet, some: Sequence[str]) -> int:
    ratio = float(np.median([a.read(id_).shape[1] / b.read(id_).shape[1] for id_ in some]))
    if ratio < 0.7:
        raise FeatureError(f"{a.name} has {ratio:.2f} snippets for each one of {b.name}: name the finer set first")
    return max(1, round(ratio))


def _means(a: FeatureSet, b: FeatureSet, some: Sequence[str]) -> tuple[Rows, Rows]:
    """Mean feature of each set: of A, of its first view."""
    sums = [sum((s.read(id_)[0].mean(axis=0) for id_ in some), start=np.float32(0)) for s in (a, b)]
    return np.asarray(sums[0] / len(some), np.float32), np.asarray(sums[1] / len(some), np.float32)


def _made(x: Rows, candidate: Candidate, means: tuple[Rows, Rows] | None) -> Rows:
    rows: Rows = x[min(candidate.view, len(x) - 1)]
    if candidate.normalisation == "unit length":
        rows = _unit(rows)
    elif candidate.normalisation == "mean of all subtracted" and means is not None:
        rows = rows - means[0]
    if candidate.factor == 1:
        return rows
    if candidate.frame is not None:
        return rows[candidate.frame :: candidate.factor]
    starts = np.arange(0, len(rows), candidate.factor)
    counts = np.minimum(starts + candidate.factor, len(rows)) - starts
    return np.asarray(np.add.reduceat(rows, starts, axis=0) / counts[:, None], np.float32)


def _aligned(rows: Rows, offset: int) -> Rows:
    """Row i + offset at position i; NaN before the first row."""
    if offset >= 0:
        return rows[offset:]
    return np.concatenate([np.full((-offset, rows.shape[1]), np.nan, rows.dtype), rows])


def _unit(rows: Rows) -> Rows:
    unit: Rows = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return unit


def _cosine(a: Rows, b: Rows) -> NDArray[np.float32]:
    cosines: NDArray[np.float32] = np.einsum("nd,nd->n", _unit(a), _unit(b))
    return cosines


def _median(parts: Sequence[NDArray[np.float32]]) -> float:
    joined = np.concatenate(parts)
    return float(np.median(joined)) if len(joined) else -1.0
