"""The means of snippets do not depend on the batches in which frames arrive."""

import numpy as np
import pytest

from avadclip.extraction.means import SnippetMeans

SNIPPETS = (3, 1, 4, 4, 2)  # frames


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 14])
@pytest.mark.parametrize("n_views", [1, 5])
def test_batches_do_not_matter(batch_size: int, n_views: int) -> None:
    values = np.random.default_rng(0).standard_normal((n_views, sum(SNIPPETS), 6)).astype(np.float16)
    ends = np.zeros(sum(SNIPPETS), bool)
    ends[np.cumsum(SNIPPETS) - 1] = True
    means = SnippetMeans()
    found = [
        means.add(values[:, first : first + batch_size], ends[first : first + batch_size])
        for first in range(0, len(ends), batch_size)
    ]
    expected = [rows.astype(float).mean(axis=1) for rows in np.split(values, np.cumsum(SNIPPETS)[:-1], axis=1)]
    joined = np.concatenate(found, axis=1)
    assert joined.dtype == np.float16
    # Rounded to float16 once: 2^-11 of the value.
    np.testing.assert_allclose(joined.astype(float), np.stack(expected, axis=1), rtol=2**-10, atol=1e-6)
