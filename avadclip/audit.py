"""What feature stores hold, and whether it is what manifest and parameters promise."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avadclip import paths, store
from avadclip.config import Params
from avadclip.datasets.manifest import read_manifest
from avadclip.errors import FeatureError
from avadclip.extraction.modality import MODALITIES
from avadclip.store import FeatureFolder, Recipe


@dataclass(frozen=True)
class Holdings:
    """What one feature folder holds."""

    folder: Path
    n_videos: int
    n_snippets: int
    n_valid_snippets: int
    n_bytes: int
    decoders: dict[str, int]  # decoder -> number of videos that it read
    recipe: Recipe


def describe(folder: Path) -> Holdings:
    """Read a whole feature folder; :class:`FeatureError` on the first file that is damaged or of another recipe."""
    features = FeatureFolder(folder)
    n_snippets = n_valid = n_bytes = 0
    decoders: Counter[str] = Counter()
    for video_id in features.ids:
        video = features.read(video_id)
        n_snippets += video.n_snippets
        n_valid += int(video.valid.sum())
        n_bytes += features.path(video_id).stat().st_size
        decoders[video.decoder] += 1
    return Holdings(folder, len(features.ids), n_snippets, n_valid, n_bytes, dict(decoders), features.recipe)


def problems(dataset: str, modality: str, params: Params) -> Iterator[str]:
    """Check every feature file of a data set against its checksum, the manifest and the recipe of the parameters.

    Yields
    ------
    str : one line a problem: a missing, damaged, foreign or superfluous file.
    """
    recipe = MODALITIES[modality](params.dataset(dataset)).recipe
    videos = {video.id: video for video in read_manifest(paths.manifest(dataset)) if not video.excluded}
    try:
        features = FeatureFolder(paths.features(dataset, modality), recipe)
    except FeatureError as error:
        yield str(error)
        return
    for video_id in features.ids:
        if video_id not in videos:
            yield f"{features.path(video_id)}: no such video in {paths.manifest(dataset)}; run `dvc repro`"
    for video in videos.values():
        try:
            found = features.read(video.id)
        except FeatureError as error:
            yield str(error)
            continue
        if found.fingerprint != store.fingerprint(recipe, video.id, video.content_hash):
            yield f"{features.path(video.id)}: made from another version of {video.path}; run `dvc repro`"


def current_fingerprints(params: Params) -> set[str]:
    """Fingerprints of everything that today's parameters and manifests need."""
    return {
        store.fingerprint(MODALITIES[modality](section).recipe, video.id, video.content_hash)
        for dataset, section in params.datasets.items()
        if paths.manifest(dataset).exists()
        for modality in MODALITIES
        for video in read_manifest(paths.manifest(dataset))
    }
