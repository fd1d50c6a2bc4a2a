"""What the adapters of published data sets share: names contain labels, and test videos are listed and annotated."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from avadclip.datasets.files import VideoFiles
from avadclip.datasets.model import ANY_CLASS, NORMAL, ListedVideo, Segment
from avadclip.errors import DatasetError, listed

logger = logging.getLogger(__name__)

Labels = Mapping[str, tuple[str, ...]]


def listed_videos(files: VideoFiles, labels: Labels, test_ids: Collection[str]) -> tuple[ListedVideo, ...]:
    """One entry for each id of `labels`, sorted, whether or not there is a file."""
    found, test = files.by_id(), frozenset(test_ids)
    return tuple(
        ListedVideo(
            id=id_,
            path=files.path(found[id_]) if id_ in found else None,
            split="test" if id_ in test else "train",
            labels=labels[id_],
        )
        for id_ in sorted(labels)
    )


def check_annotated(path: Path, annotated: Collection[str], test_ids: Collection[str], labels: Labels) -> None:
    """Check that every anomalous test video has a line in an annotation file, and no other video has one.

    Raises
    ------
    DatasetError : says how many videos are wrong, and names them.
    """
    anomalous = {id_ for id_ in test_ids if labels[id_] != (NORMAL,)}
    for ids_, problem in (
        (anomalous.difference(annotated), "no line for anomalous test videos"),
        (set(annotated) - anomalous, "lines for videos that are not anomalous test videos"),
    ):
        if ids_:
            raise DatasetError(f"{path}: {problem}: {len(ids_)}: {listed(ids_)}")


def warn_of_other_labels(segments: Collection[Segment], labels: Labels) -> None:
    """Log annotations with a class that is not in the video's name; both are kept as they are."""
    promised = {(id_, label) for id_ in labels for label in (*labels[id_], ANY_CLASS)}
    for id_, label in sorted({(s.id, s.label) for s in segments} - promised):
        logger.warning("%s is annotated as %s, but named %s; both are kept", id_, label, ", ".join(labels[id_]))
