"""ShanghaiTech Campus, split for weak supervision (Zhong et al., CVPR 2019): 238 videos train, 199 test, one class.

``annotations`` is a folder with ``SH_Train.txt`` and ``SH_Test.txt`` (one id per line) and ``test_frame_mask`` (as in
tianyu0207/RTFM), which has a file ``<id>.npy`` [n_frames] of 0 and 1 for each of the 107 anomalous videos of both
parts. A video is anomalous if it has a mask. The videos of the original test set are distributed as folders of
pictures: make videos of them first, for example with ffmpeg at 24 frames per second.
"""

from pathlib import Path

import numpy as np

from avadclip.config.datasets import Dataset
from avadclip.datasets import annotation_text, official
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.model import NORMAL, Listing, Segment
from avadclip.errors import DatasetError

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
    segments = tuple(s for id_ in sorted(masks.keys() & set(test_ids)) for s in _segments(id_, masks[id_]))
    return Listing(official.listed_videos(files, labels, test_ids), segments)


def _segments(id_: str, path: Path) -> list[Segment]:
    """One segment for each run of ones."""
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{path}: not readable as a mask: {error}") from None
    if not isinstance(mask, np.ndarray) or mask.ndim != 1 or not np.isin(mask, (0, 1)).all():
        raise DatasetError(f"{path}: expected a mask [n_frames] of 0 and 1, found {getattr(mask, 'shape', type(mask))}")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [Segment(id_, ANOMALY, int(start), int(end)) for start, end in edges.reshape(-1, 2)]
