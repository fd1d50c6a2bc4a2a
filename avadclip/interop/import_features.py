"""``avadclip import-features``: the authors' files, anywhere -> a data set of this project.

For features of other extractors see :mod:`avadclip.interop.import_arrays`.
"""

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
from avadclip.datasets.released_files import Release
from avadclip.datasets.released_lists import TEST_LIST, TRAIN_LIST
from avadclip.datasets.xd_violence_released import check_release
from avadclip.interop.adopting import bring_links, copy_files, drop_other_datasets, known_section, links_of

RECIPE = "xd_violence_released"
_WHERE = "the authors' repository has it in `list`"
ANNOTATIONS = {
    "annotations.txt": _WHERE,
    "annotations_multiclasses.txt": _WHERE,
    TRAIN_LIST: None,  # without it there are test videos only
    TEST_LIST: _WHERE,
}


@dataclass(frozen=True)
class Adopted:
    """How many videos the lists name in each split, and how many feature files were found for them."""

    n_train: int
    n_test: int
    n_files: int


def adopt_features(name: str, visual: Path, audio: Path, annotations: Path, params: Path, alone: bool) -> Adopted:
    """Put links to the feature files and copies of the lists below ``data/<name>``, and a block into params.yaml.

    Running it again updates the links. Files that are missing or do not belong together are found here, not only by
    ``dvc repro``; links and block are made anyway, so that `exclude` can be written.

    Parameters
    ----------
    alone : make it the only data set, with imported detectors only.

    Raises
    ------
    ConfigError : the data set exists already and is not of released features, or it is not a name for DVC.
    DatasetError : lists cannot be read; or videos have no usable features, all of them with the lines that exclude
        them.
    """
    known = known_section(name, RECIPE, params)
    release = Release(visual, audio, annotations)
    places = _places(name, known)
    copy_files(annotations, places.annotations, ANNOTATIONS)
    links = dict(links_of(_wanted(release, places)))
    bring_links(links, (places.visual, places.audio))
    with edited(params) as content:
        if alone:
            _drop_others(content, name)
        if name not in content["datasets"]:
            content["datasets"][name] = _block(name)
    check_release(name, config.load(params).dataset(name))
    splits = [video.split for video in release.listed.values()]
    return Adopted(splits.count("train"), splits.count("test"), len(links))


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


def _wanted(release: Release, places: _Places) -> Iterator[tuple[Path, Path]]:
    """Where each file belongs, and the file."""
    for id_ in release.listed:
        files = release.files(id_)
        for folder, path in [*((places.visual, view) for view in files.views), (places.audio, files.audio)]:
            if path.is_file():
                yield folder, path


def _block(name: str) -> Any:
    text = dedent(recipes.read(RECIPE)).replace(f"data/{RECIPE}/", f"data/{name}/")
    return YAML().load(text)[RECIPE]


def _drop_others(content: Any, name: str) -> None:
    drop_other_datasets(content, name)
    score, trained = content.get("score", {}), content.get("train", {})
    if distilled := content.get("distill"):
        distilled.clear()
    for variant in [variant for variant, section in trained.items() if "released" not in section]:
        del trained[variant]
    scored = score.get("variants", [])
    scored[:] = [variant for variant in scored if variant in trained]
    # If anything is scored, one detector has to decide, and one has to work without sound.
    for role in ("detector", "student"):
        if scored and score.get(role, getattr(Score(), role)) not in trained:
            score[role] = scored[0]
