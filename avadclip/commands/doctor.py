"""Problems that would stop a run on this machine, and what to do about them."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch

from avadclip import paths, store
from avadclip.config import Params
from avadclip.config.datasets import Dataset
from avadclip.config.features import Audio, Precision, Visual, Weights
from avadclip.datasets.manifest import read_manifest
from avadclip.device import resolve_devices
from avadclip.encoders.tower import computes_natively
from avadclip.encoders.weights import WAV2CLIP, Published, cache_folder, locate, place, published_clip
from avadclip.errors import AvadclipError
from avadclip.extraction.modalities import modality as modality_of
from avadclip.media.decord_reader import decord_available
from avadclip.media.timeline import n_snippets
from avadclip.store import Recipe
from avadclip.store.work_cache import WorkCache

BYTES_PER_FEATURE = 512 * 2  # float16 of CLIP's joint width


@dataclass(frozen=True)
class Finding:
    """The result of one check. `advice` says what to do if `status` is not ``ok``."""

    status: Literal["ok", "warning", "problem"]
    subject: str
    found: str
    advice: str = ""


def examine(params: Params) -> Iterator[Finding]:
    """Check everything that `params` needs on this machine; nothing is fetched or written."""
    yield from _decoders()
    yield from _device(params)
    for name, dataset in params.datasets.items():
        yield from _inputs(name, dataset)
        if (clip := dataset.visual.text_tower) is not None:
            key = f"datasets.{name}.visual{'' if clip is dataset.visual else '.text_tower'}.weights"
            yield _weights(key, clip.weights, published_clip(clip))
        if isinstance(dataset.audio, Audio):
            yield _weights(f"datasets.{name}.audio.weights", dataset.audio.weights, WAV2CLIP)
    yield from _disk(params)


def _decoders() -> Iterator[Finding]:
    yield Finding("ok", "PyAV", version("av"))
    if decord_available():
        yield Finding("ok", "decord", version("decord"))
    else:
        advice = "only PyAV decodes; this is part of the recipe of features, which differ from those made with decord"
        yield Finding("warning", "decord", "not installed (no wheel for this platform?)", advice)


def _device(params: Params) -> Iterator[Finding]:
    try:
        devices = resolve_devices(params.extraction.device)
    except AvadclipError as error:
        yield Finding("problem", "device", params.extraction.device, str(error))
        return
    device = devices[0]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    yield Finding("ok", "device", f"{', '.join(map(str, devices))} ({name}), torch {torch.__version__}")
    sections = [section for dataset in params.datasets.values() for section in (dataset.visual, dataset.audio)]
    wanted = {section.precision for section in sections if isinstance(section, Visual | Audio)}
    for precision in sorted(wanted):
        yield _precision(precision, device)


def _precision(precision: Precision, device: torch.device) -> Finding:
    subject = f"precision {precision}"
    if (
        device.type == "cuda"
        and precision == "bfloat16"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        return Finding("warning", subject, "emulated on this GPU", "slow here; float16 is this GPU's fast precision")
    if not computes_natively(precision, device):
        advice = "as slow as float32 here; faster on processors with AVX512-BF16 or AMX, and on GPUs"
        return Finding("warning", subject, "values are rounded, products are computed in float32", advice)
    return Finding("ok", subject, "native")


def _inputs(name: str, dataset: Dataset) -> Iterator[Finding]:
    for key in ("videos", "annotations"):
        folder = Path(getattr(dataset, key))
        subject = f"datasets.{name}.{key}"
        if folder.is_dir():
            yield Finding("ok", subject, str(folder))
        else:
            advice = "put it there; it is not needed if features were pulled and extraction does not have to run"
            yield Finding("warning", subject, f"{folder}: no such folder", advice)


def _weights(subject: str, weights: Weights, published: Published | None) -> Finding:
    try:
        if weights.path is None and published is not None and not place(published).exists():
            advice = f"fetched from {published.url} when first needed; without a network, copy it to {cache_folder()}"
            return Finding("warning", subject, f"{published.name} is not on this machine yet", advice)
        return Finding("ok", subject, str(locate(weights, published, key=subject)))
    except AvadclipError as error:
        return Finding("problem", subject, "unusable", str(error))


def _disk(params: Params) -> Iterator[Finding]:
    """Free space, compared with what the features take that are still to be made."""
    output, cached = _space_needed(params)
    work_cache = _existing(Path(params.extraction.work_cache).absolute())
    if work_cache.stat().st_dev == Path().stat().st_dev:
        yield _space("disk", Path(), output + cached, "in the work cache, in `features/` and in DVC's cache")
    else:
        yield _space("disk", Path(), output, "in `features/` and in DVC's cache")
        yield _space("disk of the work cache", work_cache, cached, "there")


def _space(subject: str, place: Path, needed: int, where: str) -> Finding:
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:.1f} GB free, features still to be made take {needed / 1e9:.1f} GB {where}"
    if free < needed:
        return Finding("problem", subject, found, "free some space, or point `extraction.work_cache` at another disk")
    return Finding("ok", subject, found)


def _space_needed(params: Params) -> tuple[int, int]:
    """Bytes that extraction will add as outputs of DVC, which copies them into its cache, and to the work cache."""
    output = cached = 0
    cache = WorkCache(Path(params.extraction.work_cache))
    for name, dataset in params.datasets.items():
        if not paths.manifest(name).exists():
            continue
        videos = [video for video in read_manifest(paths.manifest(name)) if not video.excluded]
        for modality in dataset.modalities:
            n_views = dataset.visual.n_views if modality == "visual" else 1
            recipe = _recipe(modality, dataset)
            files = _files_in_place(paths.features(name, modality), recipe)
            if all(f"{video.id}{store.SUFFIX}" in files for video in videos):
                continue  # the stage has run
            for video in videos:
                size = n_snippets(video.n_frames, dataset.visual.stride) * n_views * BYTES_PER_FEATURE
                output += size  # of DVC's copy
                if f"{video.id}{store.SUFFIX}" not in files:
                    output += size
                if recipe is None or not cache.path(store.fingerprint(recipe, video.id, video.content_hash)).exists():
                    cached += size
    return output, cached


def _recipe(modality: str, dataset: Dataset) -> Recipe | None:
    try:
        return modality_of(modality, dataset).recipe
    except AvadclipError:
        return None  # another check reports what is wrong; nothing can have been made with it


def _files_in_place(folder: Path, recipe: Recipe | None) -> set[str]:
    """Names of the feature files in a stage's output, if they were made with this recipe."""
    try:
        features = store.FeatureFolder(folder)
        return {features.path(id_).name for id_ in features.ids} if features.recipe == recipe else set()
    except AvadclipError:
        return set()


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return path if path.exists() else _existing(path.parent)
