"""Messages about an extraction where there is no progress bar."""

from pathlib import Path

import pytest

from avadclip.extraction import tally
from avadclip.extraction.encoding import Encoded
from avadclip.extraction.protocol import Pending
from avadclip.extraction.tally import Tally
from avadclip.store import Source


def test_rate_and_remaining_time_without_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 105.0, 110.0])  # built, read at the start, after 5 s, after 10 s
    monkeypatch.setattr(tally.time, "monotonic", lambda: next(clock))
    watched = Tally([Pending(Path("a.mp4"), Source("a", "0", 100, 25.0))], stride=4)
    assert str(watched) == "encoding 1 videos: 0 of 25 snippets, 0.0 snippets/s, ? remaining"
    watched._n_encoded_snippets = 5
    assert str(watched) == "encoding 1 videos: 5 of 25 snippets, 1.0 snippets/s, 0:00:20 remaining"
    watched._n_encoded_snippets = 40  # a second decoder has begun anew
    assert str(watched).endswith("40 of 25 snippets, 4.0 snippets/s, 0:00:00 remaining")


def test_failures_are_kept_for_the_end() -> None:
    watched = Tally([Pending(Path("a.mp4"), Source("a", "0", 100, 25.0))], stride=4)
    watched.ended(Encoded("a", 3, 1.0, None, "the process ended with signal SIGSEGV"))
    assert watched.outcome().failures == {"a": "the process ended with signal SIGSEGV"}
    assert str(watched).startswith("encoding 1 videos, 1 failed: 0 of 25")
