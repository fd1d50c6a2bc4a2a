"""Progress and failures of an extraction, while it runs and at its end."""

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from avadclip.extraction.encoding import Encoded, Outcome
from avadclip.extraction.protocol import Pending
from avadclip.media.timeline import n_snippets
from avadclip.progress import rate_progress

log = logging.getLogger(__name__)

LOG_SECONDS = 60.0  # between two log lines, if there is no terminal for a bar


class Tally:
    """A progress bar in snippets with rate, remaining time and failures; each failure is logged at once."""

    def __init__(self, pending: Sequence[Pending], stride: int) -> None:
        self._n_videos = len(pending)
        self._n_encoded_snippets = 0
        self._failures: dict[str, str] = {}
        self._progress = rate_progress()
        self._total = sum(n_snippets(video.source.n_frames, stride) for video in pending)
        self._started = self._logged = time.monotonic()
        self._bar = self._progress.add_task(f"encoding {self._n_videos} videos", total=self._total, unit="snippets")

    def __enter__(self) -> Self:
        self._started = self._logged = time.monotonic()
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, n_encoded: int) -> None:
        """Count this many snippets as encoded."""
        self._n_encoded_snippets += n_encoded
        self._progress.advance(self._bar, n_encoded)
        if self._progress.disable and time.monotonic() - self._logged > LOG_SECONDS:
            self._logged = time.monotonic()
            log.info("%s", self)

    def __str__(self) -> str:
        # A bar that is not shown measures no speed.
        rate = self._n_encoded_snippets / max(time.monotonic() - self._started, 1e-3)
        left = max(self._total - self._n_encoded_snippets, 0)  # a second decoder starts again
        remaining = timedelta(seconds=int(left / rate)) if rate else "?"
        return (
            f"{self._progress.tasks[self._bar].description}: {self._n_encoded_snippets} of {self._total} snippets,"
            f" {rate:.1f} snippets/s, {remaining} remaining"
        )

    def ended(self, video: Encoded) -> None:
        """Count a video as done or failed."""
        if video.failure is not None:
            self._failures[video.id] = video.failure
            log.warning("%s: %s", video.id, video.failure)
            description = f"encoding {self._n_videos} videos, {len(self._failures)} failed"
            self._progress.update(self._bar, description=description)

    def outcome(self) -> Outcome:
        """The failures and the number of snippets that were encoded."""
        return Outcome(self._failures, self._n_encoded_snippets)
