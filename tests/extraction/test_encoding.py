"""Batches begun before earlier ones have finished give the same features, and a failure stays with its video."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avadclip.errors import FeatureError
from avadclip.extraction.encoding import Encoded, Encoding
from avadclip.extraction.protocol import Chunk, Pending, SnippetTimes
from avadclip.store import Features, Source
from avadclip.workers import KILLED, Event, Failed, Finished, Item, Task

N_SNIPPETS = 5


class LateEncoder:
    """Returns its inputs as features, but only when they are awaited; rows of -1 cannot be encoded."""

    width = 2

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead
        self.on_their_way = self.most_on_their_way = 0

    def begin(self, inputs: NDArray[np.float32]) -> Callable[[], NDArray[np.float16]]:
        self.on_their_way += 1
        self.most_on_their_way = max(self.most_on_their_way, self.on_their_way)

        def wait() -> NDArray[np.float16]:
            self.on_their_way -= 1
            if (inputs < 0).any():
                raise FeatureError("features are not finite")
            return inputs.astype(np.float16)

        return wait


class Scripted:
    """A modality whose decoders send prepared items, and the pool that runs them, one video after another."""

    stride = 1
    recipe = {"modality": "visual"}
    decoders = ("decord", "pyav")

    def __init__(self, sends: dict[tuple[str, str], list[object]]) -> None:
        self._sends, self._queue = sends, list[tuple[str, Task]]()

    def task(self, video: Pending, decoder: str) -> Task:
        return lambda: iter(self._sends[video.source.id, decoder])

    def submit(self, key: str, task: Task) -> None:
        self._queue.append((key, task))

    def events(self) -> Iterator[Event]:
        while self._queue:
            key, task = self._queue.pop(0)
            for item in task():
                if isinstance(item, str | Failed):
                    yield Failed(key, item, "MediaError") if isinstance(item, str) else item
                    break
                yield Item(key, item)
            else:
                yield Finished(key)


def video(seed: int, decoder: str, *, fails: str = "", not_finite: bool = False) -> list[object]:
    """What is sent for a video: five snippets in batches of two, then times, or a failure after the first batch."""
    rows = np.random.default_rng(seed).random((N_SNIPPETS, 2), np.float32)
    if not_finite:
        rows[0] = -1
    chunks: list[object] = [
        Chunk(rows[i : i + 2], np.ones(len(rows[i : i + 2]), bool)) for i in range(0, N_SNIPPETS, 2)
    ]
    if fails:
        return [chunks[0], fails]
    return [*chunks, SnippetTimes(np.arange(N_SNIPPETS + 1.0), decoder)]


SENDS = {
    ("a", "decord"): video(0, "decord"),
    ("turned", "decord"): video(1, "decord", fails="rotated"),
    ("turned", "pyav"): video(2, "pyav"),
    ("broken", "decord"): video(3, "decord", fails="damaged"),
    ("broken", "pyav"): video(3, "pyav", fails="damaged, too"),
    ("infinite", "decord"): video(4, "decord", not_finite=True),
    ("b", "decord"): video(5, "decord"),
}


class Killed(Scripted):
    """Each video's worker is killed after its first batch, this many times."""

    def __init__(self, sends: dict[tuple[str, str], list[object]], times: int) -> None:
        super().__init__(sends)
        self._left = dict.fromkeys((video_id for video_id, _ in sends), times)

    def task(self, video: Pending, decoder: str) -> Task:
        if self._left[video.source.id] == 0:
            return super().task(video, decoder)
        self._left[video.source.id] -= 1
        first = self._sends[video.source.id, decoder][0]
        return lambda: iter([first, Failed(video.source.id, "the process ended with signal SIGKILL", KILLED)])


def run(
    ahead: int, ids: Sequence[str] = (), modality: Scripted | None = None
) -> tuple[dict[str, Features], dict[str, Encoded], int, LateEncoder]:
    modality, encoder = modality or Scripted(SENDS), LateEncoder(ahead)
    kept: dict[str, Features] = {}
    ends: dict[str, Encoded] = {}
    encoding = Encoding(
        modality,  # type: ignore[arg-type]
        modality,  # type: ignore[arg-type]
        keep=lambda features: kept.update({features.id: features}),
        ended=lambda encoded: ends.update({encoded.id: encoded}),
    )
    for video_id in ids or dict.fromkeys(video_id for video_id, _ in SENDS):
        encoding.start(Pending(Path(video_id), Source(video_id, "0" * 64, N_SNIPPETS, 25.0)))
    n_encoded = sum(encoding.handle(event, encoder) for event in modality.events())
    return kept, ends, n_encoded, encoder


@pytest.mark.parametrize("ahead", [0, 1, 2, 5, 100])
def test_features_do_not_depend_on_how_far_ahead_batches_are_begun(ahead: int) -> None:
    kept, ends, n_encoded, _ = run(ahead)
    expected, *_ = run(0)
    assert kept.keys() == {"a", "b", "turned"}
    for video_id, features in kept.items():
        np.testing.assert_array_equal(features.values, expected[video_id].values)
    assert kept["turned"].decoder == "pyav"
    assert {video_id: encoded.failure for video_id, encoded in ends.items() if encoded.failure} == {
        "broken": "damaged, too",
        "infinite": "features are not finite",
    }
    assert ends.keys() == {"a", "b", "turned", "broken", "infinite"}
    # What a decoder sent before it failed may or may not have been encoded.
    assert 3 * N_SNIPPETS <= n_encoded <= 3 * N_SNIPPETS + 3 * 2


@pytest.mark.parametrize(("ahead", "expected"), [(0, 1), (2, 3), (100, 6)])
def test_no_more_batches_are_begun_than_the_encoder_wants(ahead: int, expected: int) -> None:
    _, ends, n_encoded, encoder = run(ahead, "ab")
    assert (list(ends), n_encoded) == (["a", "b"], 2 * N_SNIPPETS)
    assert (encoder.most_on_their_way, encoder.on_their_way) == (expected, 0)


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_killed_worker_is_no_fault_of_its_decoder_once(ahead: int) -> None:
    expected, expected_ends, *_ = run(0)
    kept, ends, *_ = run(ahead, modality=Killed(SENDS, times=1))
    assert {id_: (f.checksum, f.decoder) for id_, f in kept.items()} == {
        id_: (f.checksum, f.decoder) for id_, f in expected.items()
    }
    assert {id_: end.failure for id_, end in ends.items()} == {id_: end.failure for id_, end in expected_ends.items()}
    turned, *_ = run(ahead, ["turned"], modality=Killed(SENDS, times=2))
    assert turned["turned"].decoder == "pyav"
