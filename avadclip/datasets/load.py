"""``datasets.<name>`` of params.yaml -> its videos, labels and segments, before any video is opened."""

import logging
from collections.abc import Callable
from dataclasses import replace

from avadclip.config.datasets import Dataset
from avadclip.datasets import cctv_fights, shanghaitech, table, ubnormal, ucf_crime, xd_violence
from avadclip.datasets.csv_file import did_you_mean
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.model import Listing
from avadclip.errors import DatasetError

logger = logging.getLogger(__name__)

_ADAPTERS: dict[str, Callable[[Dataset, VideoFiles], Listing]] = {
    "xd_violence": xd_violence.load,
    "cctv_fights": cctv_fights.load,
    "table": table.load,
    "ucf_crime": ucf_crime.load,
    "shanghaitech": shanghaitech.load,
    "ubnormal": ubnormal.load,
}
_SHOWN = 20


def load(dataset: Dataset) -> Listing:
    """Read a data set with the adapter of its kind; videos are sorted by id, excluded ones lose their segments.

    Raises
    ------
    DatasetError : files and annotations contradict each other, a video that is not excluded has no file, a label is not
        in ``classes``, or ``exclude`` names a video that does not exist.
    """
    files = VideoFiles.find(dataset.videos)
    for link in files.linked_folders():
        logger.warning(
            "%s: a link to a folder. Its videos are used, but DVC does not follow it: `dvc repro` does not notice when"
            " they change. Put the videos there, or links to the files",
            link,
        )
    listing = _ADAPTERS[dataset.kind](dataset, files)
    if passed_over := files.passed_over({video.path for video in listing.videos if video.path is not None}):
        logger.info("%s: %s", files.folder, passed_over)
    _check_classes(listing, dataset)
    _check_exclude(listing, dataset)
    _check_files(listing, dataset)
    return replace(
        listing,
        videos=tuple(sorted(listing.videos, key=lambda video: video.id)),
        segments=tuple(segment for segment in listing.segments if segment.id not in dataset.exclude),
    )


def _check_classes(listing: Listing, dataset: Dataset) -> None:
    used = {label for video in listing.videos for label in video.labels}
    missing = sorted(used.difference(dataset.classes))
    if missing:
        raise DatasetError(
            f"videos are labelled {', '.join(missing)}, but `classes` in params.yaml only has "
            f"{', '.join(dataset.classes)}; add the missing ones, in this spelling"
        )


def _check_exclude(listing: Listing, dataset: Dataset) -> None:
    known = {video.id for video in listing.videos}
    problems = [
        f"`exclude` names {id_!r}, but there is no such video{did_you_mean(id_, known)}"
        if id_ not in known
        else f"`exclude` gives no reason for {id_!r}; write one, which is reported with the metrics"
        for id_, reason in dataset.exclude.items()
        if id_ not in known or not reason.strip()
    ]
    if problems:
        raise DatasetError("\n".join(problems))


def _check_files(listing: Listing, dataset: Dataset) -> None:
    absent = [video.id for video in listing.videos if video.path is None and video.id not in dataset.exclude]
    if absent:
        more = [f"  ... and {len(absent) - _SHOWN} more"] if len(absent) > _SHOWN else []
        raise DatasetError(
            "\n".join(
                [
                    f"{dataset.videos}: {len(absent)} of {len(listing.videos)} listed videos have no file there; "
                    "add them, or put them under `exclude`:",
                    *(f"  {id_}" for id_ in absent[:_SHOWN]),
                    *more,
                ]
            )
        )
