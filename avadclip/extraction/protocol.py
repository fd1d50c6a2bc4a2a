"""The parts of extraction: a reader turns one video into chunks, an encoder turns chunks into features.

Videos (`videos`) and features that exist already (`released`, `features`) are read through the same protocol. A reader
that leaves nothing to encode may yield one :class:`avadclip.store.Packed` instead of chunks and times.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avadclip.config import features
from avadclip.media.frames import Decoder
from avadclip.store import Recipe, Source
from avadclip.workers import Task

# What reads a file; imported features are not decoded.
Reader = Decoder | Literal["npy", "array"]


@dataclass(frozen=True)
class Pending:
    """A video that has no features yet."""

    path: Path
    source: Source
    probes: Path | None = None  # a cache that may have the facts about the file
    info: str | None = None  # those facts, if they are known already; see VideoInfo.to_text


@dataclass(frozen=True)
class Chunk:
    """At most one batch of encoder inputs [n, ...], and which of its rows are worth encoding: bool [n].

    If several rows make a snippet, `ends` says which rows complete one: its feature is the mean over the rows up to
    there, which may have begun in an earlier chunk. None: each row is a snippet.
    """

    inputs: NDArray[Any]
    valid: NDArray[np.bool_]
    ends: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class SnippetTimes:
    """The last thing that a task yields: when each snippet is shown, and what read the file."""

    boundary_seconds: NDArray[np.float64]
    decoder: str


class Sections(Protocol):
    """The settings of features, which a data set of params.yaml and a model folder have."""

    @property
    def visual(self) -> features.Visual | features.ReleasedVisual | features.ImportedVisual:
        """How frames become features."""

    @property
    def audio(self) -> features.Audio | features.ReleasedAudio | features.ImportedAudio:
        """How sound becomes features."""


class Encoder(Protocol):
    """What extraction needs from an encoder."""

    width: int  # of a feature
    ahead: int  # batches to begin before waiting for the first; 0: encoding is done in this process

    def begin(self, inputs: NDArray[Any]) -> Callable[[], NDArray[np.float16]]:
        """Begin one batch of n inputs; the result waits for the features: [views, n, width] or [n, width]."""


class Modality(Protocol):
    """How videos become features."""

    recipe: Recipe
    stride: int  # source frames from one snippet to the next
    decoders: Sequence[Reader]  # in the order in which they are tried

    def load_encoder(self, device: str) -> Encoder:
        """Load the weights; called only if there is something to encode."""

    def task(self, video: Pending, decoder: Reader) -> Task:
        """The task of a worker for one video."""
