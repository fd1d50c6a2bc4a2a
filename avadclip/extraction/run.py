"""Extraction of one modality of one data set: encode missing features, then fill the output folder."""

import fcntl
import logging
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TextIO

from avadclip import paths, store
from avadclip.config import Params
from avadclip.datasets.exclusion import exclude_lines
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Video
from avadclip.errors import ExtractionError
from avadclip.extraction.encoding import Outcome
from avadclip.extraction.local import encode_videos
from avadclip.extraction.modalities import modality as modality_of
from avadclip.extraction.modalities import reader
from avadclip.extraction.protocol import Pending
from avadclip.io import naming
from avadclip.store import Source
from avadclip.store.work_cache import WorkCache

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """The result of one extraction."""

    name: str
    n_videos: int
    hours: float
    n_cached: int
    n_encoded: int
    n_failed: int
    n_encoded_snippets: int
    seconds: float

    def __str__(self) -> str:
        rate = self.n_encoded_snippets / self.seconds if self.seconds else 0.0
        return (
            f"{self.name}: {self.n_videos} videos ({self.hours:.2f} h), {self.n_cached} cached,"
            f" {self.n_encoded} encoded, {self.n_failed} failed, {rate:.1f} snippets/s"
        )


@dataclass(frozen=True)
class Part:
    """One of `count` parts of a manifest, which can be extracted on different machines."""

    number: int  # from 1
    count: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """``"1/2"`` -> the first of two; :class:`ExtractionError` for any other form."""
        found = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ExtractionError(f"part: expected one of 1/n, 2/n ... n/n, for example 1/2, found {text!r}")
        return cls(int(found[1]), int(found[2]))

    def of(self, videos: Sequence[Video]) -> list[Video]:
        """Every `count`-th video; the parts of a manifest are disjoint and of about the same size."""
        return list(videos[self.number - 1 :: self.count])


def extract(dataset: str, modality: str, params: Params) -> Summary:
    """Make the features of every video of the manifest that is not excluded, in ``features/<dataset>/<modality>``.

    For a modality that the data set does not have, the folder is empty.

    Everything that can be encoded is encoded and kept. The folder depends on manifest and recipe alone: files of videos
    that are no longer in the manifest are removed.

    Parameters
    ----------
    dataset : a key of `datasets` in the parameters.
    modality : ``visual`` or ``audio``.

    Raises
    ------
    ExtractionError : some videos failed, with reasons and the lines that exclude them; or another process is filling
        the folder.
    """
    if modality not in params.dataset(dataset).modalities:
        _remove_strays(paths.features(dataset, modality), ())
        log.info("%s: this data set has no %s features", dataset, modality)
        return Summary(f"{dataset}/{modality}", 0, 0.0, 0, 0, 0, 0, 0.0)
    return _extract(dataset, modality, params, part=None)


def extract_part(dataset: str, modality: str, params: Params, part: Part) -> Summary:
    """Make the features of some of the videos, in the work cache only; otherwise like :func:`extract`.

    The stage's output is made by :func:`extract` for the whole manifest, when all parts are in one work cache.
    """
    return _extract(dataset, modality, params, part)


def _extract(dataset: str, modality: str, params: Params, part: Part | None) -> Summary:
    settings = params.extraction
    output = paths.features(dataset, modality)
    cache = WorkCache(Path(settings.work_cache))
    job = modality_of(modality, params.dataset(dataset))
    videos = [video for video in read_manifest(paths.manifest(dataset)) if not video.excluded]
    # Machines that share a work cache can fill it with different parts at the same time.
    name = f"{dataset}.{modality}" if part is None else f"{dataset}.{modality}.{part.number}of{part.count}"
    if part is not None:
        videos = part.of(videos)
    sums = cache.folder / f"{name}.sums"
    with _exclusive(cache.folder / f"{name}.lock", output if part is None else cache.folder):
        started = monotonic()
        cache.load_sums(sums)
        fingerprints = {v.id: store.fingerprint(job.recipe, v.id, v.content_hash) for v in videos}
        if part is None:
            _remove_strays(output, fingerprints)
            lacking = fill(output, fingerprints, cache)
        else:
            lacking = {v.id for v in videos if not cache.holds(fingerprints[v.id])}
        cache.save_sums(sums, fingerprints.values())
        missing = [video for video in videos if video.id in lacking]
        outcome = _encode([_pending(video, settings.probes) for video in missing], dataset, modality, cache, params)
        encoded = {video_id: fingerprints[video_id] for video_id in lacking if video_id not in outcome.failures}
        if part is None and (lost := fill(output, encoded, cache)):
            raise ExtractionError(
                f"{cache.folder}: {len(lost)} files that were just written are damaged or gone, among them those of"
                f" {', '.join(sorted(lost)[:3])}; check the disk and what else writes there, then run it again"
            )
        cache.save_sums(sums, fingerprints.values())
    summary = Summary(
        name=f"{dataset}/{modality}" + ("" if part is None else f", part {part.number}/{part.count}"),
        n_videos=len(videos),
        hours=sum(video.n_frames / video.frame_rate for video in videos) / 3600,
        n_cached=len(videos) - len(missing),
        n_encoded=len(missing) - len(outcome.failures),
        n_failed=len(outcome.failures),
        n_encoded_snippets=outcome.n_encoded_snippets,
        seconds=monotonic() - started,
    )
    log.info("%s", summary)
    if outcome.failures:
        raise ExtractionError(_failure_message(dataset, modality, outcome.failures))
    return summary


def _encode(pending: Sequence[Pending], dataset: str, modality: str, cache: WorkCache, params: Params) -> Outcome:
    make_modality = partial(reader(modality, params.dataset(dataset)), params.dataset(dataset))
    if params.execution.engine == "local":
        return encode_videos(pending, make_modality(), cache, params.extraction)
    from avadclip.extraction.cluster import encode_on_cluster  # imported only if it is used

    return encode_on_cluster(pending, make_modality, cache, params.extraction, params.execution)


def _pending(video: Video, probes: Path) -> Pending:
    source = Source(video.id, video.content_hash, video.n_frames, video.frame_rate)
    return Pending(Path(video.path), source, probes)


def _remove_strays(output: Path, video_ids: Collection[str]) -> None:
    """Make `output` a folder that has nothing but feature files of these videos."""
    if output.is_symlink():
        raise ExtractionError(
            f"{output}: a link to {output.readlink()}, where everything but features would be deleted; remove the link,"
            " or link the folder above it"
        )
    output.mkdir(parents=True, exist_ok=True)
    names = {f"{video_id}{store.SUFFIX}" for video_id in video_ids}
    for stray in [path for path in output.iterdir() if path.name not in names]:
        shutil.rmtree(stray) if stray.is_dir() and not stray.is_symlink() else stray.unlink()


def fill(output: Path, fingerprints: Mapping[str, str], cache: WorkCache) -> set[str]:
    """Copy the files of these videos (id -> fingerprint); return the ids of those that are not in the work cache.

    A file in `output` for one of the latter was made from another video or recipe, and is removed.
    """
    files = {video_id: output / f"{video_id}{store.SUFFIX}" for video_id in fingerprints}
    lacking = {video_id for video_id, file in files.items() if not cache.copy_to(fingerprints[video_id], file)}
    for video_id in lacking:
        files[video_id].unlink(missing_ok=True)
    return lacking


@contextmanager
def _exclusive(lock: Path, output: Path) -> Iterator[None]:
    """Hold `lock`; the system releases it however this process ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = lock.open("w")
    try:
        _lock(file, output)
        yield
    finally:
        with naming(lock):
            file.close()


def _lock(file: TextIO, output: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ExtractionError(f"{output}: another process is filling this folder; wait until it has ended") from None
    except OSError as error:  # NFS without lockd, FUSE: files are replaced atomically, so nothing is damaged
        log.warning(
            "%s: this file system has no locks (%s); make sure that nobody else fills %s",
            file.name,
            error.strerror,
            output,
        )


def _failure_message(dataset: str, modality: str, failures: Mapping[str, str]) -> str:
    reasons = "\n".join(f"  {video_id}: {reason}" for video_id, reason in sorted(failures.items()))
    return "\n".join(
        [
            f"{len(failures)} videos of {dataset!r} have no {modality} features; those of all others were kept:",
            reasons,
            f"Repair the files, or leave them out: in params.yaml, under datasets.{dataset}.exclude:",
            exclude_lines(failures),
        ]
    )
