"""``avadclip add-videos``: a folder of videos and a CSV of labels, anywhere -> a data set of this project."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from ruamel.yaml import YAML

from avadclip import config, paths, recipes
from avadclip.config.editing import edited, parsed
from avadclip.config.features import Visual, Weights
from avadclip.config.loading import check_names
from avadclip.datasets import csv_file
from avadclip.datasets.label_cells import labels_in
from avadclip.datasets.load import load
from avadclip.datasets.model import NORMAL
from avadclip.encoders.weights import WAV2CLIP, locate, place
from avadclip.errors import ConfigError, DatasetError, WeightsError, listed
from avadclip.io import sha256_of

RECIPE = "own_videos"
LABELS, SEGMENTS = "videos.csv", "segments.csv"


@dataclass(frozen=True)
class Added:
    """The contents of the new data set, and notes for its owner."""

    classes: tuple[str, ...]
    n_train: int
    n_test: int
    notes: tuple[str, ...]


def add_videos(name: str, videos: Path, labels: Path | None, like: str | None, params: Path, alone: bool) -> Added:
    """Put links to the tables into ``data/<name>/annotations``, and a block into params.yaml.

    Videos stay where they are. Classes are the labels of the table. Running it again adds new labels. Everything is
    checked before params.yaml is written; after an error, it and the links are as they were.

    Parameters
    ----------
    labels : the table, as :mod:`avadclip.datasets.table` describes it; None: ``videos.csv`` in the folder, or its only
        CSV. A ``segments.csv`` beside it is used, too.
    like : a data set of params.yaml whose encoders and training settings are used; None: the published encoders. A data
        set that exists keeps its own; then `like` may be gone, as `alone` leaves it.
    alone : remove the other data sets from params.yaml, so that ``dvc repro`` runs only this one.

    Raises
    ------
    ConfigError : the name is taken by a data set of another kind, or is not a name for DVC; or there is no data set
        `like`, or it has no encoders.
    DatasetError : the tables cannot be used; the message lists everything that is wrong.
    """
    try:
        check_names("datasets", [name])
    except ValueError as error:
        raise ConfigError(f"{params}: {error}") from None
    loaded = config.load(params)
    exists = name in loaded.datasets
    if exists and loaded.datasets[name].kind != "table":
        raise ConfigError(f"{params}: datasets.{name} exists already, of another kind; choose another name")
    if like is not None and not exists and not isinstance(loaded.dataset(like).visual, Visual):
        raise ConfigError(
            f"{params}: the features of {like!r} were imported, so videos cannot be encoded in the same way"
        )
    table = _find_labels(videos) if labels is None else labels
    classes = _classes(table)
    annotations = Path(loaded.datasets[name].annotations) if exists else paths.data(name) / "annotations"
    notes: list[str] = []
    with _linked(table, annotations), edited(params) as content:
        known = content["datasets"]
        if not exists:
            known[name] = _block() if like is None else deepcopy(known[like])
            known[name].update(kind="table", annotations=str(annotations), exclude={})
        known[name].update(videos=str(videos), classes=list(classes))
        if like is not None and exists:
            notes.append(f"visual, audio: stay as they are; `--like {like}` is for a new data set")
        elif like is not None:
            _train_like(content, like, name)
        splits = [video.split for video in load(parsed(content, params).dataset(name)).videos]
        notes += _pin(known[name]["audio"]["weights"])
        if alone:
            _drop_others(content, name)
    return Added(classes, splits.count("train"), splits.count("test"), tuple(notes))


def _find_labels(folder: Path) -> Path:
    if (folder / LABELS).is_file():
        return folder / LABELS
    found = sorted(file for file in folder.glob("*.csv") if file.name != SEGMENTS)
    if len(found) != 1:
        there = listed([file.name for file in found]) or "none"
        raise DatasetError(f"{folder}: expected {LABELS} or one CSV of labels, found {there}; name it with --labels")
    return found[0]


def _classes(table: Path) -> tuple[str, ...]:
    rows = csv_file.read(table, ("video", "labels"), ("video", "labels", "split"), strip=True)
    used = labels_in(rows)
    if NORMAL not in used or len(used) == 1:
        raise DatasetError(
            f"{table}: expected videos labelled {NORMAL!r} and others, found the labels {listed(used) or 'none'};"
            " a detector learns from the difference"
        )
    return (NORMAL, *sorted(used - {NORMAL}))


@contextmanager
def _linked(table: Path, annotations: Path) -> Iterator[None]:
    """Link the tables; if the block raises an error, the links are again as they were."""
    links = [annotations / LABELS, annotations / SEGMENTS]
    before = {link: link.readlink() for link in links if link.is_symlink()}
    try:
        _link(table, annotations / LABELS)
        _link(table.with_name(SEGMENTS), annotations / SEGMENTS)
        yield
    except BaseException:
        for link in links:
            if link.is_symlink():
                link.unlink()
            if link in before:
                link.symlink_to(before[link])
        raise


def _link(source: Path, target: Path) -> None:
    """Link a table. DVC follows links to files, so it notices when the table is edited at its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and source.exists() and target.samefile(source):
        return
    if target.exists() and not target.is_symlink():
        raise DatasetError(f"{target}: another file than {source}; move it out of the way")
    target.unlink(missing_ok=True)
    if source.is_file():
        target.symlink_to(source.absolute())


def _block() -> Any:
    return YAML().load(dedent(recipes.read(RECIPE)))[RECIPE]


def _train_like(content: Any, like: str, name: str) -> None:
    for section in ("train", "distill"):
        for variant in (content.get(section) or {}).values():
            if like in variant.get("on", {}):
                variant["on"][name] = variant["on"][like]


def _pin(weights: Any) -> list[str]:
    """Pin the Wav2CLIP file that is here or can be fetched now, because no hash of it is published."""
    if weights["sha256"] is not None:
        return []
    file = Path(weights["path"]) if weights["path"] else place(WAV2CLIP)
    try:
        locate(Weights(path=weights["path"], sha256=None), WAV2CLIP)
    except WeightsError as error:  # always raised, because a file that is not pinned is never used
        if not file.is_file():
            return [f"audio.weights: {error}"]
    weights["sha256"] = sha256_of(file)
    return [f"audio.weights.sha256: pinned to {weights['sha256']}, that of {file}"]


def _drop_others(content: Any, name: str) -> None:
    for other in [other for other in content["datasets"] if other != name]:
        del content["datasets"][other]
    for section in (content.get("worlds"), content.get("score", {}).get("across")):
        if section:
            section.clear()
