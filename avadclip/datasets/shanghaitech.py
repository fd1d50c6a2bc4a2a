"""ShanghaiTech Campus, split for weak supervision (Zhong et al., CVPR 2019): 238 videos train, 199 test, one class.

``annotations`` is a folder with ``SH_Train.txt`` and ``SH_Test.txt`` (one id per line) and ``test_frame_mask`` (as in
tianyu0207/RTFM), which has a file ``<id>.npy`` [n_frames] of 0 and 1 for each of the 107 anomalous videos of both
parts. A video is anomalous if it has a mask, which has to be as long as the video, give or take a second. The videos of
the original test set are distributed as folders of pictures: make videos of them first, for example with ffmpeg at 24
frames per second.
"""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip.config.datasets import Dataset
from avadclip.datasets import annotation_text, official
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.model import NORMAL, Listing, Segment
from avadclip.errors import DatasetError, listed

logger = logging.getLogger(__name__)

TRAIN, TEST, MASKS = "SH_Train.txt", "SH_Test.txt", "test_frame_mask"
ANOMALY = "anomaly"


def load(dataset: Dataset, files: VideoFiles) -> Listing:
    """Read both lists, and the masks of the test videos.

    Raises
    ------
    DatasetError : a list or the folder of masks is missing, a video is in both lists, or a mask is not valid.
    """
    folder = Path(dataset.annotations)
    train_ids, test_ids = (annotation_text.read_ids(folder / name) for name in (TRAIN, TEST))
    if both := sorted(set(train_ids) & set(test_ids)):
        raise DatasetError(f"{folder}: {len(both)} videos are in both lists, the first of them {both[0]!r}")
    masks = {path.stem: path for path in (folder / MASKS).glob("*.npy")}
    if not masks:
        raise DatasetError(
            f"{folder / MASKS}: there are no frame masks <id>.npy, so no video would be anomalous; add them"
        )
    labels = {id_: (ANOMALY,) if id_ in masks else (NORMAL,) for id_ in (*train_ids, *test_ids)}
    tested = {id_: _mask(masks[id_]) for id_ in sorted(masks.keys() & set(test_ids))}
    if empty := [id_ for id_, mask in tested.items() if not mask.any()]:
        logger.warning(
            "%s: %d masks of test videos have no 1, so these count as anomalous for metrics of whole videos only: %s",
            folder / MASKS,
            len(empty),
            listed(empty),
        )
    return Listing(
        official.listed_videos(files, labels, test_ids),
        tuple(segment for id_, mask in tested.items() for segment in _segments(id_, mask)),
        n_frames={id_: len(mask) for id_, mask in tested.items()},
    )


def _mask(path: Path) -> NDArray[np.int8]:
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{path}: not readable as a mask: {error}") from None
    if not isinstance(mask, np.ndarray) or mask.ndim != 1 or not np.isin(mask, (0, 1)).all():
        raise DatasetError(f"{path}: expected a mask [n_frames] of 0 and 1, found {getattr(mask, 'shape', type(mask))}")
    return mask.astype(np.int8)


def _segments(id_: str, mask: NDArray[np.int8]) -> list[Segment]:
    """One segment for each run of ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]])))
    return [Segment(id_, ANOMALY, int(start), int(end)) for start, end in edges.reshape(-1, 2)]
