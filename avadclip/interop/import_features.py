"""``avadclip import-features``: the authors' files, wherever they lie -> a data set of this project."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from ruamel.yaml import YAML

from avadclip import config, paths, recipes
from avadclip.config.datasets import Dataset
from avadclip.config.editing import edited
from avadclip.config.evaluation import Score
from avadclip.config.loading import check_names
from avadclip.datasets.released_files import Release
from avadclip.datasets.released_lists import TEST_LIST, TRAIN_LIST
from avadclip.datasets.xd_violence_released import check_release
from avadclip.errors import ConfigError, DatasetError

RECIPE = "xd_violence_released"
ANNOTATIONS = ("annotations.txt", "annotations_multiclasses.txt", TRAIN_LIST, TEST_LIST)


@dataclass(frozen=True)
class Adopted:
    """How many videos the lists name in each split, and how many feature files were found for them."""

    n_train: int
    n_test: int
    n_files: int


def adopt_features(name: str, visual: Path, audio: Path, annotations: Path, params: Path, alone: bool) -> Adopted:
    """Put links to the feature files and copies of the lists below ``data/<name>``, and a block into params.yaml.

    Run again, it brings the links up to date. What is missing or does not belong together is found here and not only
    by ``dvc repro``; the links and the block are there all the same, so that `exclude` can be written.

    Parameters
    ----------
    alone : make it the only data set, with imported detectors only.

    Raises
    ------
    ConfigError : the data set is there already and is none of released features, or it is no name for DVC.
    DatasetError : lists cannot be read; or videos have no usable features, all of them with lines to exclude them.
    """
    try:
        check_names("datasets", [name])
    except ValueError as error:
        raise ConfigError(f"{params}: {error}") from None
    known = config.load(params).datasets.get(name)
    if known is not None and not known.is_released:
        raise ConfigError(f"{params}: datasets.{name} is there already, of kind {known.kind}; choose another name")
    release = Release(visual, audio, annotations)
    places = _places(name, known)
    _copy_lists(annotations, places.annotations)
    n_files = _link(release, places)
    with edited(params) as content:
        if alone:
            _drop_others(content, name)
        if name not in content["datasets"]:
            content["datasets"][name] = _block(name)
    check_release(name, config.load(params).dataset(name))
    splits = [video.split for video in release.listed.values()]
    return Adopted(splits.count("train"), splits.count("test"), n_files)


@dataclass(frozen=True)
class _Places:
    visual: Path
    audio: Path
    annotations: Path


def _places(name: str, known: Dataset | None) -> _Places:
    npy, annotations = (
        (Path(known.videos), Path(known.annotations))
        if known is not None
        else (paths.data(name) / "npy", paths.data(name) / "annotations")
    )
    return _Places(npy / "visual", npy / "audio", annotations)


def _copy_lists(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in ANNOTATIONS:
        if not (source / file).is_file():
            if file != TRAIN_LIST:  # without it there are test videos only
                raise DatasetError(f"{source / file}: no such file; the authors' repository has it in `list`")
            (target / file).unlink(missing_ok=True)
        elif not (target / file).exists() or not (target / file).samefile(source / file):
            shutil.copyfile(source / file, target / file)


def _link(release: Release, places: _Places) -> int:
    """A link to every file that does not lie in its place: DVC follows links to files, but not links to folders."""
    links = dict(_wanted(release, places))
    sources = {path.absolute() for path in links.values()}
    for folder in (places.visual, places.audio):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.is_symlink() and old.absolute() not in sources:
                old.unlink()
    for link, path in links.items():
        if not link.exists():
            link.symlink_to(path)
        elif not link.samefile(path):
            raise DatasetError(f"{link}: another file than {path}; move it out of the way")
    return len(links)


def _wanted(release: Release, places: _Places) -> Iterator[tuple[Path, Path]]:
    for id_ in release.listed:
        files = release.files(id_)
        for folder, path in [*((places.visual, view) for view in files.views), (places.audio, files.audio)]:
            if path.is_file():
                # What is there already, put by hand perhaps, stays as it is.
                in_place = folder.resolve() in (path.parent / "_").resolve().parents
                yield (path, path) if in_place else (folder / path.name, path.resolve())


def _block(name: str) -> Any:
    text = dedent(recipes.read(RECIPE)).replace(f"data/{RECIPE}/", f"data/{name}/")
    return YAML().load(text)[RECIPE]


def _drop_others(content: Any, name: str) -> None:
    score, trained = content.get("score", {}), content.get("train", {})
    for section in (content.get("worlds"), content.get("distill"), score.get("across")):
        if section:
            section.clear()
    for other in [other for other in content["datasets"] if other != name]:
        del content["datasets"][other]
    for variant in [variant for variant, section in trained.items() if "released" not in section]:
        del trained[variant]
    scored = score.get("variants", [])
    scored[:] = [variant for variant in scored if variant in trained]
    # As long as anything is scored, somebody has to decide, and somebody to do without sound.
    for role in ("detector", "student"):
        if scored and score.get(role, getattr(Score(), role)) not in trained:
            score[role] = scored[0]
