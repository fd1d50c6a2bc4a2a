"""What is probably a mistake, but does not stop ``prepare``: logged for data sets of every kind that may have it."""

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence

from avadclip.datasets.model import NORMAL, ListedVideo, Video
from avadclip.errors import listed

logger = logging.getLogger(__name__)


def log_unlisted(folder: str, unlisted: Collection[str], what: str) -> None:
    """Tell what is in a folder of `what` and in no row of the table."""
    if unlisted:
        logger.info("%s: %d %s are not in videos.csv: %s", folder, len(unlisted), what, listed(unlisted))


def warn_of_unsegmented(videos: Sequence[ListedVideo], segmented: Collection[str]) -> None:
    """Warn of anomalous test videos without segments; `segmented` are the ids of those with."""
    unknown = [v.id for v in videos if v.split == "test" and v.labels != (NORMAL,) and v.id not in segmented]
    if unknown:
        logger.warning(
            "%d anomalous test videos have no segments, so they count for metrics of whole videos only: %s",
            len(unknown),
            listed(unknown),
        )


def warn_of_copies(videos: Sequence[Video], what: str = "file") -> None:
    """Warn of content that is there under several names, in both splits or with contrary labels."""
    by_content: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        by_content[video.content_hash].append(video)
    for copies in by_content.values():
        if len(copies) == 1:
            continue
        told = listed([f"{video.id} ({video.split}, {'|'.join(video.labels)})" for video in copies])
        if len({frozenset(video.labels) for video in copies}) > 1:
            logger.warning("byte for byte the same %s, but with contrary labels: %s; exclude the wrong one", what, told)
        if len({video.split for video in copies}) > 1:
            logger.warning(
                "byte for byte the same %s for training and for testing: %s; exclude one, or results are too good",
                what,
                told,
            )


def warn_of_untaught(name: str, videos: Sequence[Video], classes: Sequence[str]) -> None:
    """Warn of classes that no training video has."""
    learnt = {label for video in videos if video.split == "train" for label in video.labels}
    if untaught := [label for label in classes if label not in learnt]:
        logger.warning("%s: no training video is labelled %s, so nothing can be trained", name, listed(untaught))
