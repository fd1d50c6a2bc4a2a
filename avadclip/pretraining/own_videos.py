"""The videos of a data set -> a Wav2CLIP of your own, trained on their sound and visual features without labels."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avadclip import paths
from avadclip.config import Params
from avadclip.config.features import Audio
from avadclip.datasets.manifest import read_manifest
from avadclip.errors import MediaError, TrainingError
from avadclip.extraction.protocol import Chunk
from avadclip.extraction.tasks import AudioTask
from avadclip.pretraining.audio import train_wav2clip
from avadclip.pretraining.loop import Settings, save_half
from avadclip.progress import rate_progress
from avadclip.store import FeatureFolder, Source
from avadclip.workers import Failed, GuardedPool, Item

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moments:
    """n snippets with sound.

    Attributes
    ----------
    spectrograms : float16 [n, 257, frames], of the windows that extraction uses.
    image_features : float32 [n, 512], of the centre view, from the feature store.
    """

    spectrograms: NDArray[np.float16]
    image_features: NDArray[np.float32]


def train_on_own_videos(
    dataset: str, params: Params, width: int, limit: int, settings: Settings, device: torch.device, path: Path
) -> str:
    """Train an audio encoder on the training videos of a data set whose visual features exist; write it to `path`.

    Returns
    -------
    str : sha256 of the file, for ``audio.weights.sha256`` in params.yaml.

    Raises
    ------
    TrainingError : no training video has sound, or there are fewer snippets than a batch.
    FeatureError : the visual features are missing or damaged.
    MediaError : videos cannot be decoded; all of them are named.
    """
    moments = read_moments(dataset, params, limit, settings.seed)
    _log.info("%s: %d moments with sound", dataset, len(moments.spectrograms))
    network = train_wav2clip(width, moments.spectrograms, moments.image_features, settings, device)
    return save_half(network, path)


def read_moments(dataset: str, params: Params, limit: int, seed: int) -> Moments:
    """At most `limit` snippets of the training videos, drawn evenly from all of them; those without sound are left out.

    Raises
    ------
    As :func:`train_on_own_videos`.
    """
    section = params.dataset(dataset)
    if not isinstance(section.audio, Audio):
        raise TrainingError(f"{dataset}: has released features instead of videos; an audio encoder learns from videos")
    videos = {
        video.id: video
        for video in read_manifest(paths.manifest(dataset))
        if video.split == "train" and video.has_audio and not video.excluded
    }
    if not videos:
        raise TrainingError(
            f"{paths.manifest(dataset)}: no training video has sound, so there is nothing to learn from"
        )
    pictures = FeatureFolder(paths.features(dataset, "visual"))
    wanted = _draw({video_id: pictures.n_snippets(video_id) for video_id in videos}, limit, seed)
    chunks: dict[str, list[Chunk]] = {video_id: [] for video_id in wanted}
    failures: dict[str, str] = {}
    spectrograms: dict[str, NDArray[np.float16]] = {}
    settings, audio = params.extraction, section.audio
    with GuardedPool(settings.workers, settings.stall_seconds) as pool, rate_progress() as progress:
        for video in (videos[video_id] for video_id in wanted):
            source = Source(video.id, video.content_hash, video.n_frames, video.frame_rate)
            task = AudioTask(Path(video.path), source, section.visual.stride, audio.window_seconds, audio.batch_size)
            pool.submit(video.id, task)
        bar = progress.add_task(f"reading the sound of {len(wanted)} videos", total=len(wanted), unit="videos")
        for event in pool.events():
            match event:
                case Item(video_id, Chunk() as chunk):
                    chunks[video_id].append(chunk)
                case Item():
                    pass  # the timeline, which is that of the visual features
                case Failed(video_id, reason, _):
                    failures[video_id] = reason
                    progress.advance(bar)
                case _:  # keep only the wanted snippets of a video
                    wanted[event.key], spectrograms[event.key] = _chosen(chunks.pop(event.key), wanted[event.key])
                    progress.advance(bar)
    if failures:
        listed = "\n".join(f"  {video_id}: {reason}" for video_id, reason in sorted(failures.items()))
        raise MediaError(
            f"the sound of {len(failures)} videos of {dataset!r} cannot be read; exclude or repair them:\n{listed}"
        )
    ids = sorted(spectrograms)  # not the order in which they were read, which varies
    features = [pictures.read(video_id).values[0, wanted[video_id]].astype(np.float32) for video_id in ids]
    return Moments(np.concatenate([spectrograms[video_id] for video_id in ids]), np.concatenate(features))


def _draw(n_snippets: Mapping[str, int], limit: int, seed: int) -> dict[str, NDArray[np.intp]]:
    """Snippets of each video, ascending; videos from which none is drawn are absent."""
    total = sum(n_snippets.values())
    drawn = np.sort(np.random.default_rng(seed).permutation(total)[:limit])
    chosen, first = {}, 0
    for video_id, n in n_snippets.items():
        own = drawn[(drawn >= first) & (drawn < first + n)] - first
        if len(own):
            chosen[video_id] = own
        first += n
    return chosen


def _chosen(chunks: list[Chunk], wanted: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float16]]:
    """The wanted snippets that have sound, and their spectrograms."""
    valid = np.concatenate([chunk.valid for chunk in chunks])
    heard = wanted[valid[wanted]]
    return heard, np.concatenate([chunk.inputs for chunk in chunks])[heard].astype(np.float16)
