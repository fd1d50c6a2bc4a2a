"""Which videos of a table without a column `split` are for testing.

Videos with segments are for testing; of those without, about one in five, drawn by a hash of the id. So the same table
gives the same split, and except in small data sets a video keeps its split when others are added. Of three or more
videos with the same labels, at least one and at most a third are for testing; of fewer, none. Every class keeps a
training video, even if a video with segments has to be one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence

from avadclip.datasets.model import NORMAL, ListedVideo, Split

_ONE_IN = 5  # videos to one test video
_AT_MOST_ONE_IN = 3


def default_split(videos: Sequence[ListedVideo], segmented: Collection[str]) -> dict[str, Split]:
    """Split by id.

    Parameters
    ----------
    segmented : ids of the videos that have segments. If there are any, an anomalous video without is for training,
        because tests need to know when something happens.
    """
    tested = set(segmented) or _drawn([video for video in videos if video.labels != (NORMAL,)])
    tested |= _drawn([video for video in videos if video.labels == (NORMAL,)])
    for label in sorted({label for video in videos for label in video.labels}):
        own = [video for video in videos if label in video.labels]
        if all(video.id in tested for video in own):
            tested -= {video.id for video in own} - _drawn(own)
    return {video.id: "test" if video.id in tested else "train" for video in videos}


def _drawn(videos: Sequence[ListedVideo]) -> set[str]:
    by_labels: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for video in videos:
        by_labels[tuple(sorted(video.labels))].append(video.id)
    return {id_ for alike in by_labels.values() for id_ in _some(alike)}


def _some(alike: Sequence[str]) -> list[str]:
    """About one in five of these ids, at least one and at most a third, in an order that is fixed by their hashes."""
    numbers = {id_: int(hashlib.sha256(id_.encode()).hexdigest(), 16) for id_ in alike}
    ordered = sorted(alike, key=lambda id_: (numbers[id_] % _ONE_IN, numbers[id_]))
    n_drawn = sum(number % _ONE_IN == 0 for number in numbers.values())
    n_at_most = len(alike) // _AT_MOST_ONE_IN
    return ordered[: min(max(n_drawn, 1), n_at_most)]
