"""``avadclip import-features`` for any extractor: arrays and two tables -> a data set of kind ``features``."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from avadclip import config, paths
from avadclip.config import Params
from avadclip.config.editing import edited
from avadclip.config.features import Modality
from avadclip.config.variants import Variant
from avadclip.datasets.array_files import find_arrays, unread_arrays
from avadclip.datasets.feature_tables import SEGMENTS, VIDEOS, read_videos
from avadclip.datasets.features import prepare_features
from avadclip.datasets.ids import composed
from avadclip.datasets.label_cells import labels_in
from avadclip.datasets.model import NORMAL
from avadclip.detectors.registry import needs, settings_of, unmet
from avadclip.encoders.weights import OPENAI_CLIPS
from avadclip.errors import ConfigError, DatasetError
from avadclip.interop.adopting import bring_links, copy_files, drop_other_datasets, known_section, links_of
from avadclip.interop.declared import USUAL, Declared, check_agreement

logger = logging.getLogger(__name__)

TABLES = {VIDEOS: "write it: header video,labels,split (docs/features.md)", SEGMENTS: None}
PLAIN = "mil_head"  # kind and name of the detector that takes any features

_TEMPLATE = """
kind: features
videos: {folder}/arrays # visual/ and audio/, or one of them
annotations: {folder}/annotations # videos.csv and segments.csv
classes: []
exclude: {{}}
visual:
  extractor: # what made them, in words; empty: there are none
  stride: # frames from one snippet to the next
  frame_rate: # frames per second of the videos
  array: # its name in .npz, .h5 and .safetensors files; empty: the only one there
  views_axis: 0 # of arrays with three axes: [views, n, width]; 1: [n, views, width]
  text_tower: # the CLIP whose text tower reads the class names, for detectors that compare with them
audio:
  extractor:
  array:
  max_length_difference: 1 # snippets between vision and sound; the sound is cut, or silent at the end
  zeros: no_sound # what rows of zeros mean; or heard: fused as they are
selection:
  by: last # the last round of training; or validation, ranking: by held-out training videos
  validation_fraction: 0.2
"""


@dataclass(frozen=True)
class AdoptedArrays:
    """What was found, and which variants of params.yaml cannot be trained on it."""

    n_train: int
    n_test: int
    n_files: int
    untrained: dict[str, str]  # variant -> reason
    added: str | None  # a variant that was added because no other can be trained


def adopt_arrays(
    name: str,
    sources: Mapping[Modality, Path],
    annotations: Path,
    declared: Declared,
    params: Path,
    alone: bool = False,
    names: Mapping[Modality, Mapping[str, str]] | None = None,
    usual: Declared = USUAL,
) -> AdoptedArrays:
    """Put links to the files and copies of the tables below ``data/<name>``, and a block into params.yaml.

    Running it again updates links and tables and leaves the block as it is, so it must not ask for another one. Files
    that are damaged or do not belong together are found here, not only by ``dvc repro``; links and block are made
    anyway, so that `exclude` can be written. If no scored detector can be trained on such features, one that can is
    added.

    Parameters
    ----------
    sources : folder of each modality, searched recursively.
    annotations : folder of ``videos.csv`` and ``segments.csv``.
    declared : goes into the block; if the block exists already, it has to agree with it.
    alone : make it the only data set.
    names : name of a file -> name of its link; other files are left out. None: all files, with their own names.
    usual : what a new block says where `declared` says nothing.

    Raises
    ------
    ConfigError : the data set exists already and is of another kind or differs from `declared`, stride or frame rate of
        a new one are not declared, or it is not a name for DVC.
    DatasetError : tables cannot be read, or videos have no usable features, all of them with the lines that exclude
        them.
    """
    known = known_section(name, "features", params)
    asked = declared.or_else(usual)
    if known is not None:
        check_agreement(name, known, declared, {modality: asked.extractors[modality] for modality in sources}, params)
    elif asked.stride is None or asked.frame_rate is None:
        raise ConfigError(f"{params}: datasets.{name}: give --stride and --frame-rate, which are not in the files")
    arrays, tables = (
        (Path(known.videos), Path(known.annotations))
        if known is not None
        else (paths.data(name) / "arrays", paths.data(name) / "annotations")
    )
    classes = _classes(annotations)
    links = dict(_links(sources, arrays, names))
    copy_files(annotations, tables, TABLES)
    bring_links(links, [arrays / modality for modality in sources])
    with edited(params) as content:
        if name not in content["datasets"]:
            content["datasets"][name] = _block(name, asked, list(sources), classes)
        if alone:
            drop_other_datasets(content, name)
    added = _enter_plain_detector(name, params)
    loaded = config.load(params)
    prepared = prepare_features(name, loaded.dataset(name), loaded.extraction)
    splits = [video.split for video in prepared.videos]
    untrained = _untrained(name, loaded)
    return AdoptedArrays(splits.count("train"), splits.count("test"), len(links), untrained, added)


def _links(
    sources: Mapping[Modality, Path], arrays: Path, names: Mapping[Modality, Mapping[str, str]] | None
) -> Iterator[tuple[Path, Path]]:
    for modality, source in sources.items():
        if not source.is_dir():
            raise DatasetError(f"{source}: no such folder; name the folder of the {modality} files as --{modality}")
        found = [path for views in find_arrays(source).values() for path in views]
        listed = None if names is None else {composed(name): own for name, own in names[modality].items()}
        wanted = [path for path in found if listed is None or composed(path.name) in listed]
        unread = unread_arrays(source)
        if not wanted:
            what = "no arrays of features" if not found else f"none of the files that the lists name, but {found[0]}"
            raise DatasetError(
                f"{source}: found {what}, but {unread}"
                if unread and not found
                else f"{source}: found {what}; name the folder of the {modality} files"
            )
        if unread:
            logger.warning("%s: left out %s", source, unread)
        places = links_of((arrays / modality, path) for path in wanted)
        for path, (link, place) in zip(wanted, places, strict=True):
            yield (link if listed is None else arrays / modality / listed[composed(path.name)]), place


def _classes(annotations: Path) -> list[str]:
    labels = labels_in(read_videos(annotations)) - {NORMAL}
    if not labels:
        raise DatasetError(f"{annotations / VIDEOS}: no video is labelled with an anomaly; a detector needs some")
    return [NORMAL, *sorted(labels)]


def _block(name: str, declared: Declared, modalities: Sequence[Modality], classes: list[str]) -> Any:
    block = YAML().load(_TEMPLATE.format(folder=paths.data(name).as_posix()))
    block["classes"].extend(classes)
    block["visual"].update(stride=declared.stride, frame_rate=declared.frame_rate, views_axis=declared.views_axis)
    for modality in modalities:
        block[modality]["extractor"] = declared.extractors[modality]
    if declared.text_tower is not None:
        published = OPENAI_CLIPS.get(declared.text_tower)
        pinned = published.sha256 if published else None
        block["visual"]["text_tower"] = {
            "encoder": declared.text_tower,
            "weights": {"path": None, "sha256": pinned},
        }
    return block


def _untrained(name: str, params: Params) -> dict[str, str]:
    """Scored variants that cannot be trained on a data set, and why."""
    reasons = {variant: _unmet(variant, name, params) for variant in params.score.variants}
    return {variant: reason for variant, reason in reasons.items() if reason is not None}


def _unmet(variant: str, name: str, params: Params) -> str | None:
    found = params.variant(variant)
    if not isinstance(found, Variant):
        return "it is a checkpoint with features of its own"
    wanted = needs(found.kind, settings_of(found.kind, found.settings_on(name), variant))
    reason = unmet(wanted, name, params.dataset(name))
    return _unmet(params.teacher, name, params) if reason is None and wanted.teacher else reason


def _enter_plain_detector(name: str, params: Path) -> str | None:
    """If no scored variant can be trained on a data set, add one that can; return its name."""
    loaded = config.load(params)
    if set(loaded.score.variants) - _untrained(name, loaded).keys():
        return None
    with edited(params) as content:
        variant = content.setdefault("train", {}).setdefault(PLAIN, {"kind": PLAIN})
        own = {"modalities": list(loaded.dataset(name).modalities)}
        variant.setdefault("on", {}).setdefault(name, {}).update(own)
        scored = content.setdefault("score", {}).setdefault("variants", [])
        if PLAIN not in scored:
            scored.append(PLAIN)
    return PLAIN
