"""How a video of n snippets becomes a training sample (docs/method.md, "Training recipe").

`Bag.kind` is one of:

- ``shorten``: a video longer than T is averaged into T bins; a shorter one stays as it is.
- ``resample``: every video is averaged into T bins; an empty bin has the snippet at which it begins.
- ``pick``: from a video longer than T, T evenly spaced snippets are taken.
- ``blocks``: from each of T equal parts, `block_snippets` consecutive snippets from a position that is drawn each time,
  continuing at the beginning after the end of the video.

All except ``blocks`` are the same each time, so they are applied once, when the features are read.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip.detectors.settings import Bag


@dataclass(frozen=True)
class BaggedAudio:
    """Audio features of one sample."""

    values: NDArray[np.float32]  # [n, width], zero where not valid
    valid: NDArray[np.bool_]  # [n]


def stored_length(bag: Bag, n_snippets: int) -> int:
    """Rows of a video that are kept in memory."""
    match bag.kind:
        case "resample":
            return bag.length
        case "blocks":
            return n_snippets
        case _:
            return min(n_snippets, bag.length)


def sample_length(bag: Bag) -> int:
    """Positions of the longest sample."""
    return bag.length * (bag.block_snippets if bag.kind == "blocks" else 1)


def bag_visual(bag: Bag, values: NDArray[Any]) -> NDArray[np.float32]:
    """Rows [..., stored length, width] in float32 of values [..., n, width]."""
    n_snippets = values.shape[-2]
    if _is_whole(bag, n_snippets):
        return values.astype(np.float32)
    if bag.kind == "pick":
        return values[..., picked(n_snippets, bag.length), :].astype(np.float32)
    return average_bins(values, bag.length)


def bag_audio(bag: Bag, values: NDArray[Any], valid: NDArray[np.bool_]) -> BaggedAudio:
    """The same for values [n, width], of which only the `valid` [n] count; a bin is valid if at least half of it is."""
    audible = values * valid[:, None]
    if _is_whole(bag, len(valid)):
        return BaggedAudio(audible.astype(np.float32), valid)
    if bag.kind == "pick":
        chosen = picked(len(valid), bag.length)
        return BaggedAudio(audible[chosen].astype(np.float32), valid[chosen])
    share = average_bins(valid[:, None], bag.length)  # of valid snippets [bins, 1]
    binned_valid = share[:, 0] >= 0.5
    means = average_bins(audible, bag.length)[binned_valid] / share[binned_valid]
    binned = np.zeros((bag.length, values.shape[1]), np.float32)
    binned[binned_valid] = means
    return BaggedAudio(binned, binned_valid)


def draw(bag: Bag, n_rows: int, random: np.random.Generator) -> NDArray[np.intp] | slice:
    """Which of the stored rows of a video are the sample this time."""
    if bag.kind != "blocks":
        return slice(0, n_rows)
    edges = np.linspace(0, n_rows, bag.length + 1).astype(np.intp)
    lengths = np.maximum(np.diff(edges), 1)
    starts = edges[:-1] + (random.random(bag.length) * lengths).astype(np.intp)
    return ((starts[:, None] + np.arange(bag.block_snippets)) % n_rows).ravel()


def bin_starts(n_snippets: int, n_bins: int) -> NDArray[np.intp]:
    """First snippet of each bin: the edges are linspace(0, n_snippets, n_bins + 1), rounded down."""
    return np.linspace(0, n_snippets, n_bins + 1)[:-1].astype(np.intp)


def average_bins(values: NDArray[Any], n_bins: int) -> NDArray[np.float32]:
    """Means [..., bins, width] in float32 of values [..., n, width]; an empty bin has its first snippet."""
    n_snippets = values.shape[-2]
    starts = bin_starts(n_snippets, n_bins)
    lengths = np.maximum(np.diff(starts, append=n_snippets), 1).astype(np.float32)
    sums: NDArray[np.float32] = np.add.reduceat(values.astype(np.float32), starts, axis=-2)
    return sums / lengths[:, None]


def picked(n_snippets: int, n_picked: int) -> NDArray[np.intp]:
    """Evenly spaced snippets from the first to the last, rounded down."""
    return np.linspace(0, n_snippets - 1, n_picked).astype(np.intp)


def _is_whole(bag: Bag, n_snippets: int) -> bool:
    return bag.kind == "blocks" or (bag.kind != "resample" and n_snippets <= bag.length)
