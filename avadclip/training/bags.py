"""A long video in `n_bins` equal parts, each the mean of its snippets (method.md, training recipe)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BinnedAudio:
    """Audio features of a shortened video."""

    values: NDArray[np.float32]  # [bins, width], zero where not valid
    valid: NDArray[np.bool_]  # [bins]


def bin_starts(n_snippets: int, n_bins: int) -> NDArray[np.intp]:
    """First snippet of each bin: the edges are linspace(0, n_snippets, n_bins + 1), rounded down."""
    return np.linspace(0, n_snippets, n_bins + 1)[:-1].astype(np.intp)


def average_bins(values: NDArray[Any], n_bins: int) -> NDArray[np.float32]:
    """Means [..., bins, width] in float32 of values [..., n, width]; a video that is short enough stays as it is."""
    n_snippets = values.shape[-2]
    if n_snippets <= n_bins:
        return values.astype(np.float32)
    starts = bin_starts(n_snippets, n_bins)
    lengths = np.diff(starts, append=n_snippets).astype(np.float32)
    sums: NDArray[np.float32] = np.add.reduceat(values.astype(np.float32), starts, axis=-2)
    return sums / lengths[:, None]


def average_audio(values: NDArray[Any], valid: NDArray[np.bool_], n_bins: int) -> BinnedAudio:
    """Means over the valid snippets of each bin; a bin is valid if at least half of its snippets are.

    values [n, width], valid [n].
    """
    heard = values * valid[:, None]
    if len(valid) <= n_bins:
        return BinnedAudio(heard.astype(np.float32), valid)
    share = average_bins(valid[:, None], n_bins)  # of valid snippets [bins, 1]
    binned_valid = share[:, 0] >= 0.5
    means = average_bins(heard, n_bins)[binned_valid] / share[binned_valid]
    binned = np.zeros((n_bins, values.shape[1]), np.float32)
    binned[binned_valid] = means
    return BinnedAudio(binned, binned_valid)
