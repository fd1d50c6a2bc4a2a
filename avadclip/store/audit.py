"""What feature stores contain, and whether it is what manifests and parameters demand."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from avadclip import paths, store
from avadclip.datasets.manifest import read_manifest
from avadclip.errors import FeatureError
from avadclip.store import FeatureFolder, Recipe, Source

Recipes = Mapping[str, Mapping[str, Recipe]]  # data set -> modality -> recipe


@dataclass(frozen=True)
class Holdings:
    """What one feature folder contains."""

    folder: Path
    n_videos: int
    n_snippets: int
    n_valid_snippets: int
    n_bytes: int
    decoders: dict[str, int]  # decoder -> number of videos that it read
    recipe: Recipe


def describe(folder: Path) -> Holdings:
    """Read a whole feature folder; :class:`FeatureError` for the first file that is damaged or of another recipe."""
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


def problems(dataset: str, modality: str, recipe: Recipe) -> Iterator[str]:
    """Check every feature file of a data set against its checksum, the manifest and the recipe of these parameters.

    Yields
    ------
    str : one line per problem: a missing, damaged, foreign or superfluous file.
    """
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
        if found.source != Source(video.id, video.content_hash, video.n_frames, video.frame_rate):
            yield f"{features.path(video.id)}: made from another version of {video.path}; run `dvc repro`"


@dataclass(frozen=True)
class Needed:
    """A feature file that the current parameters and a manifest demand."""

    modality: str
    id: str
    content_hash: str  # of the video
    recipe: Recipe

    @property
    def fingerprint(self) -> str:
        """The address of the file in the work cache."""
        return store.fingerprint(self.recipe, self.id, self.content_hash)


def needed(recipes: Recipes) -> Iterator[Needed]:
    """Every feature file of every data set with a manifest here; `recipes` are those of the current parameters."""
    for dataset, by_modality in recipes.items():
        if not paths.manifest(dataset).exists():
            continue
        videos = [video for video in read_manifest(paths.manifest(dataset)) if not video.excluded]
        for modality, recipe in by_modality.items():
            yield from (Needed(modality, video.id, video.content_hash, recipe) for video in videos)


def current_fingerprints(recipes: Recipes) -> set[str]:
    """Fingerprints of everything that the current parameters and manifests need."""
    return {entry.fingerprint for entry in needed(recipes)}
