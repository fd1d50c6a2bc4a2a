"""Whether videos are sufficient to train a detector, or to validate one."""

from collections.abc import Sequence

from avadclip.datasets.model import NORMAL, Video
from avadclip.errors import TrainingError


def check_trainable(videos: Sequence[Video], classes: Sequence[str]) -> None:
    """Refuse training videos from which a detector of these classes cannot learn.

    Raises
    ------
    TrainingError : there are none, all are normal, or a class (it is named) has no video.
    """
    if not videos:
        raise TrainingError("no training videos; check column `split` of the manifest, and `exclude` in params.yaml")
    if all(video.is_normal for video in videos):
        raise TrainingError(f"all {len(videos)} training videos are normal; a detector needs anomalous ones too")
    without = [name for name in classes if not any(name in video.labels for video in videos)]
    if without:
        remedy = "label some, or drop it from `classes`"
        if NORMAL in without:
            remedy = "a detector needs normal ones too: label some, or give normal test videos the split `train`"
        raise TrainingError(f"no training video has class {', '.join(without)}; {remedy}")


def check_rankable(videos: Sequence[Video], part: str) -> None:
    """Refuse a part of the videos on which average precision is not defined.

    Raises
    ------
    TrainingError : it has no normal video, or no anomalous one.
    """
    n_normal = sum(video.is_normal for video in videos)
    if n_normal in (0, len(videos)):
        found = f"found {n_normal} normal and {len(videos) - n_normal} anomalous"
        remedy = "raise `validation_fraction`, or use `selection.by: last`"
        raise TrainingError(f"{part}: average precision needs normal and anomalous videos, {found}; {remedy}")
