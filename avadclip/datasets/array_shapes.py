"""Which axes the arrays of imported features have: widths, views and snippets, compared between the videos."""

import logging
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

from avadclip.config.datasets import Dataset
from avadclip.config.features import ImportedAudio, ImportedVisual
from avadclip.datasets.array_files import Arrays
from avadclip.datasets.model import SPLITS, ListedVideo
from avadclip.errors import DatasetError, listed

logger = logging.getLogger(__name__)

_CROPS = (5, 10)  # the corners and the centre, and these mirrored
_VIEWS_SECOND = "[n, views, width]; write `visual.views_axis: 1` into their block of params.yaml"


@dataclass(frozen=True)
class Contents:
    """What the files of one video contain."""

    files: Arrays
    n_snippets: int
    widths: Sequence[int]  # of visual and audio features, as far as there are any
    n_views: int
    has_audio: bool
    content_hash: str


def check_sound_axis(files: Arrays, shape: tuple[int, ...], n_audio: int, dataset: Dataset) -> None:
    """Refuse a visual file [views, n, width] of which the first axis is as long as the sound, and the second is not.

    Raises
    ------
    DatasetError : says how to read it as [n, views, width].
    """
    assert isinstance(dataset.visual, ImportedVisual)
    assert isinstance(dataset.audio, ImportedAudio)
    first, second = (abs(n - n_audio) <= dataset.audio.max_length_difference for n in shape[:2])
    if len(files.visual) == 1 and dataset.visual.views_axis == 0 and shape[0] > 1 and first and not second:
        raise DatasetError(
            f"{files.visual[0]}: {shape[0]} views of {shape[1]} snippets, but {n_audio} of sound: it looks like"
            f" {_VIEWS_SECOND}"
        )


def check_axes(name: str, videos: tuple[ListedVideo, ...], contents: Mapping[str, Contents], dataset: Dataset) -> None:
    """Refuse videos of one number of snippets and several numbers of views: views are their second axis.

    Raises
    ------
    DatasetError : one for all of them; each would be one of the odd ones of :func:`note_odd`.
    """
    stacked = _stacked(contents, dataset)
    n_snippets = {found.n_snippets for found in stacked.values()}
    varies = any(len(set(_views(videos, stacked, split).values())) > 1 for split in SPLITS)
    if varies and len(n_snippets) == 1 and n_snippets != {1}:
        ordered = sorted(stacked, key=lambda id_: (stacked[id_].n_views, id_))
        least, most = (f"{stacked[id_].n_views} ({id_})" for id_ in (ordered[0], ordered[-1]))
        raise DatasetError(
            f"{len(stacked)} arrays of {name!r} have {least} to {most} views and all {n_snippets.pop()} snippets: they"
            f" look like {_VIEWS_SECOND}, or bring all videos to one number of views"
        )


def _stacked(contents: Mapping[str, Contents], dataset: Dataset) -> dict[str, Contents]:
    """The videos with several views in one file whose axes may have been taken for each other."""
    assert isinstance(dataset.visual, ImportedVisual)
    one_file = {id_: found for id_, found in contents.items() if len(found.files.visual) == 1 and found.n_views > 1}
    return one_file if dataset.visual.views_axis == 0 else {}


def note_odd(videos: tuple[ListedVideo, ...], contents: Mapping[str, Contents], problems: dict[str, str]) -> None:
    """Note every video that differs from most others in its widths, or from those of its split in its views.

    Releases have ten views for training, of which their authors tested one, so the splits may differ from each other.
    """
    widths = {id_: tuple(found.widths) for id_, found in contents.items()}
    train, test = (_views(videos, contents, split) for split in ("train", "test"))
    for what, found in (("features of width", widths), ("views for training:", train), ("views for testing:", test)):
        for id_, own, usual in _odd(found):
            problems.setdefault(id_, f"{what} {own}; most others have {usual}")


def _views(videos: tuple[ListedVideo, ...], contents: Mapping[str, Contents], split: str) -> dict[str, int]:
    return {v.id: contents[v.id].n_views for v in videos if v.split == split and v.id in contents}


def _odd(values: Mapping[str, Hashable]) -> list[tuple[str, Hashable, Hashable]]:
    """Id and value of the videos that do not have the most common value, and that value."""
    if not values:
        return []
    ((usual, _),) = Counter(values.values()).most_common(1)
    return [(id_, value, usual) for id_, value in values.items() if value != usual]


def log_shapes(name: str, videos: tuple[ListedVideo, ...], contents: Mapping[str, Contents], dataset: Dataset) -> None:
    """Log the numbers of snippets and views, with a warning where axes may have been taken for each other."""
    views = ", ".join(
        f"{_span(found)} views for {split}ing"
        for split in SPLITS
        if "visual" in dataset.modalities and (found := _views(videos, contents, split).values())
    )
    n_snippets = [found.n_snippets for found in contents.values()]
    if n_snippets:
        logger.info("%s: %s snippets in each video%s", name, _span(n_snippets), f", {views}" if views else "")
    crops = {id_: found for id_, found in _stacked(contents, dataset).items() if found.n_snippets in _CROPS}
    if doubtful := {id_: found for id_, found in crops.items() if found.n_views > max(_CROPS)}:
        logger.warning(
            "%s: %d arrays are taken for %s views of %s snippets: %s; if it is the other way round, they are %s",
            *(name, len(doubtful), _span([found.n_views for found in doubtful.values()])),
            *(_span([found.n_snippets for found in doubtful.values()]), listed(doubtful, 5), _VIEWS_SECOND),
        )


def _span(values: Collection[int]) -> str:
    least, most = min(values), max(values)
    return str(least) if least == most else f"{least} to {most}"
