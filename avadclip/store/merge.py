"""Copy feature files from elsewhere into the work cache, so that nothing is encoded twice.

A file is identified by the recipe and the source that it states; its place and name do not matter.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avadclip import store
from avadclip.errors import FeatureError
from avadclip.progress import rate_progress
from avadclip.store import Recipe
from avadclip.store.audit import Needed, Recipes, needed
from avadclip.store.work_cache import WorkCache

_SHOWN = 10  # problems in one message
_REFUSAL = (
    "nothing was merged; remove or replace the files below, and where recipes differ, extract again with the same"
    " params.yaml and the packages of requirements.lock on every machine:"
)


@dataclass(frozen=True)
class Merged:
    """What one merge did, in numbers of feature files."""

    n_new: int
    n_bytes: int  # of the new ones
    n_present: int  # that were here already
    n_unneeded: int  # of earlier recipes, or of videos that are in no manifest
    n_missing: int  # needed, and still not here

    def __str__(self) -> str:
        return (
            f"{self.n_new} new ({self.n_bytes / 1e6:.1f} MB), {self.n_present} here already, {self.n_unneeded} not"
            f" needed; {self.n_missing} still missing"
        )


@dataclass(frozen=True)
class _Offer:
    """A feature file that was read and found intact."""

    path: Path
    id: str  # of the video
    content_hash: str  # of the video
    recipe: Recipe
    fingerprint: str
    checksum: str
    decoder: str

    @property
    def modality(self) -> str:
        """The modality of its features."""
        return str(self.recipe.get("modality"))


def merge_features(sources: Sequence[Path], cache: WorkCache, recipes: Recipes) -> Merged:
    """Copy what the manifests need from `sources` into `cache`. This can be repeated, and killed at any time.

    Parameters
    ----------
    sources : folders with feature files at any depth: work caches, ``features/<dataset>``, copies of either.
    cache : where each file is copied, whole or not at all.

    Raises
    ------
    FeatureError : there is no manifest or nothing to merge, or a file is refused: it is damaged, not a feature file,
        made with another recipe (the keys are named) or from another version of its video, or differs from another
        file for the same video. Then nothing has been copied.
    """
    wanted = {entry.fingerprint: entry for entry in needed(recipes)}
    if not wanted:
        raise FeatureError("no manifest lists any video; run `dvc pull prepare`, or `dvc repro prepare`")
    paths = [path for source in sources for path in _feature_files(source)]
    offers, problems = _read_all(paths)
    chosen: dict[str, _Offer] = {}
    for offer in offers:
        if offer.fingerprint in wanted:
            problems += _clash(chosen.setdefault(offer.fingerprint, offer), offer)
    present = {fingerprint for fingerprint in chosen if cache.holds(fingerprint)}
    problems += [
        problem for fingerprint in present for problem in _clash(_offer(cache.path(fingerprint)), chosen[fingerprint])
    ]
    problems += _refused([offer for offer in offers if offer.fingerprint not in wanted], wanted, chosen, cache)
    if problems:
        more = [f"  ... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise FeatureError("\n".join([_REFUSAL, *(f"  {line}" for line in problems[:_SHOWN]), *more]))
    new = {fingerprint: offer for fingerprint, offer in chosen.items() if fingerprint not in present}
    with rate_progress() as progress:
        for offer in progress.track(new.values(), description=f"copying {len(new)} files"):
            cache.adopt(offer.path, offer.fingerprint, offer.checksum)
    return Merged(
        n_new=len(new),
        n_bytes=sum(cache.path(fingerprint).stat().st_size for fingerprint in new),
        n_present=len(present),
        n_unneeded=sum(offer.fingerprint not in wanted for offer in offers),
        n_missing=sum(not cache.path(fingerprint).exists() for fingerprint in wanted),
    )


def _feature_files(source: Path) -> list[Path]:
    if not source.is_dir():
        raise FeatureError(f"{source}: no such folder; name a work cache (.cache/features) or a folder of features")
    found = sorted(path for path in source.rglob(f"*{store.SUFFIX}") if not path.name.startswith("."))
    if not found:
        raise FeatureError(
            f"{source}: there are no feature files (*{store.SUFFIX}); run `dvc pull` or extract there first"
        )
    return found


def _offer(path: Path) -> _Offer:
    features = store.read(path)
    return _Offer(
        path=path,
        id=features.id,
        content_hash=features.source.content_hash,
        recipe=features.recipe,
        fingerprint=features.fingerprint,
        checksum=features.checksum,
        decoder=features.decoder,
    )


def _read_all(paths: Sequence[Path]) -> tuple[list[_Offer], list[str]]:
    offers, problems = [], []
    with rate_progress() as progress:
        bar = progress.add_task(f"reading {len(paths)} files", total=len(paths), unit="files")
        for path in paths:
            try:
                offers.append(_offer(path))
            except FeatureError as error:
                problems.append(str(error))
            progress.advance(bar)
    return offers, problems


def _clash(ours: _Offer, theirs: _Offer) -> list[str]:
    """A line if two files of one recipe and one video differ, probably because of machines of different types."""
    if (ours.checksum, ours.decoder) == (theirs.checksum, theirs.decoder):
        return []
    return [
        f"{theirs.path}: not the same as {ours.path}, but {theirs.modality} features of {theirs.id!r} with the same"
        f" recipe: checksum {theirs.checksum[:12]}... (read by {theirs.decoder}), expected {ours.checksum[:12]}..."
        f" (read by {ours.decoder}); were they encoded on machines of different types? Remove one of the two"
    ]


def _refused(
    offers: Sequence[_Offer], wanted: dict[str, Needed], chosen: dict[str, _Offer], cache: WorkCache
) -> Iterator[str]:
    """A line for each file that should be usable for its video but is not.

    A work cache also has files of earlier recipes. They do not matter as long as the current file is there as well.
    """
    entries = defaultdict(list)
    for entry in wanted.values():
        entries[entry.modality, entry.id].append(entry)
    for offer in offers:
        rivals = entries[offer.modality, offer.id]
        if not rivals or any(rival.fingerprint in chosen or cache.holds(rival.fingerprint) for rival in rivals):
            continue
        same_video = [rival for rival in rivals if rival.content_hash == offer.content_hash]
        if not same_video:
            yield f"{offer.path}: made from another version of the video {offer.id!r} than the one in the manifest"
        for rival in same_video[:1]:
            yield f"{offer.path}: made with another recipe: {store.differences(offer.recipe, rival.recipe)}"
