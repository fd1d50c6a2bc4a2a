"""Moments of rendered clips, with picture and sound, on which the demo's encoders are trained."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip.demo.captions import CLASSES, caption
from avadclip.demo.plan import Clip
from avadclip.encoders.preprocess import canvas
from avadclip.encoders.spectrogram import SAMPLE_RATE_HZ, spectrogram
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe

CANDIDATE_STRIDE = 4  # frames; nearer ones hardly differ
WINDOW_SECONDS = 1.0  # of sound around a moment
IMAGE_SIZE = 64  # pixels

Frames = list[NDArray[np.int64]]  # of each clip, ascending


@dataclass(frozen=True)
class Moments:
    """n moments, in the order of clips and time."""

    canvases: NDArray[np.uint8]  # [n, 64, 64, 3]
    captions: list[tuple[str, ...]]  # n times the wordings that fit
    seen: NDArray[np.int64]  # [n], the class that the picture shows
    spectrograms: NDArray[np.float16]  # [n, 257, frames], zeros where there is no track
    heard: NDArray[np.int64]  # [n], the class that can be heard; -1 where there is no track

    @property
    def has_sound(self) -> NDArray[np.bool_]:
        """[n], whether there is a track."""
        return self.heard >= 0


def balanced(clips: Sequence[Clip], n_per_kind: int, seed: int) -> Frames:
    """The same number of moments for each kind of picture, because most pictures show nothing but a street."""
    kinds: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for number, clip in enumerate(clips):
        for frame in range(0, clip.n_frames, CANDIDATE_STRIDE):
            kinds.setdefault(caption(clip, frame), []).append((number, frame))
    rng = np.random.default_rng(seed)
    frames: list[list[int]] = [[] for _ in clips]
    for candidates in kinds.values():
        for chosen in rng.permutation(len(candidates))[:n_per_kind]:
            number, frame = candidates[chosen]
            frames[number].append(frame)
    return [np.array(sorted(chosen), np.int64) for chosen in frames]


def every(clips: Sequence[Clip], stride: int) -> Frames:
    """Every `stride`-th frame."""
    return [np.arange(0, clip.n_frames, stride) for clip in clips]


def take_moments(clips: Sequence[Clip], frames: Frames, videos: Path) -> Moments:
    """These frames of `clips`, read from their files in the folder `videos`.

    They pass the same decoders and preprocessing as any data set, so that they are compressed in the same way.
    """
    wanted = [(clip, chosen) for clip, chosen in zip(clips, frames, strict=True) if len(chosen)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        parts = processes.map(
            _moments_of,
            [clip for clip, _ in wanted],
            [chosen for _, chosen in wanted],
            [videos / f"{clip.id}.mp4" for clip, _ in wanted],
        )
        return _join(parts)


def _moments_of(clip: Clip, frames: NDArray[np.int64], path: Path) -> Moments:
    info = probe(path)
    batches = decode_frames(path, info, frames, "pyav")
    silence = np.zeros(round(WINDOW_SECONDS * SAMPLE_RATE_HZ), np.float32)
    windows = (
        [window.samples for window in decode_windows(path, info.frame_seconds[frames], WINDOW_SECONDS)]
        if clip.has_track
        else [silence] * len(frames)
    )
    return Moments(
        canvases=np.stack([canvas(rgb, "center", IMAGE_SIZE) for batch in batches for rgb in batch.rgb]),
        captions=[caption(clip, frame) for frame in frames.tolist()],
        seen=np.array([_class(clip, frame, "seen") for frame in frames]),
        spectrograms=np.stack([spectrogram(samples) for samples in windows]).astype(np.float16),
        heard=np.array([_class(clip, frame, "heard") if clip.has_track else -1 for frame in frames]),
    )


def _class(clip: Clip, frame: int, sense: str) -> int:
    for event in clip.events:
        if event.start_frame <= frame < event.end_frame and getattr(event, f"is_{sense}"):
            return CLASSES.index(event.label)
    return 0


def _join(parts: Iterable[Moments]) -> Moments:
    parts = list(parts)
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Moments)}
    return Moments(
        captions=[wordings for part in columns.pop("captions") for wordings in part],
        **{name: np.concatenate(column) for name, column in columns.items()},
    )
