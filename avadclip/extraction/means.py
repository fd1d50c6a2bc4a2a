"""The mean feature of each snippet, from the features of its frames as they arrive."""

import numpy as np
from numpy.typing import NDArray


class SnippetMeans:
    """Adds up the rows of one video; a snippet may begin in one batch and end in another."""

    def __init__(self) -> None:
        self._sum: NDArray[np.float32] | None = None  # [..., width], of the snippet that is not complete
        self._n = 0

    def add(self, values: NDArray[np.float16], ends: NDArray[np.bool_]) -> NDArray[np.float16]:
        """Features of frames [..., n, width], and which frames end a snippet [n] -> means [..., snippets, width]."""
        starts = np.flatnonzero(np.append(True, ends[:-1]))
        sums = np.add.reduceat(values.astype(np.float32), starts, axis=-2)
        counts = np.diff(np.append(starts, len(ends)))
        if self._sum is not None:
            sums[..., 0, :] += self._sum
            counts[0] += self._n
        n_ended = int(ends.sum())
        self._sum, self._n = (None, 0) if ends[-1] else (sums[..., -1, :].copy(), int(counts[-1]))
        return (sums[..., :n_ended, :] / counts[:n_ended, np.newaxis]).astype(np.float16)
