"""The part of `benchmarks.gpu` that measures decoding. It imports no torch, because workers import this module."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.hwaccel import HWAccel

from avadclip.encoders.preprocess import canvas
from avadclip.extraction.protocol import Chunk
from avadclip.extraction.tasks import VisualTask
from avadclip.extraction.warm_up import warm_up
from avadclip.media.frames import Decoder
from avadclip.workers import Failed, GuardedPool, Item
from benchmarks.gpu_plan import Plan, clip_source

CHUNK = 8  # frames; few, so that little is cut off at the end of a measurement
NVDEC_WORKERS = 4  # each has a CUDA context of its own


@dataclass(frozen=True)
class Repeated:
    """A worker's task: decode one video again and again until `deadline`, by the system's monotonic clock."""

    task: Any
    deadline: float

    def __call__(self) -> Iterator[Any]:
        while True:
            for item in self.task():
                if time.monotonic() > self.deadline:
                    return
                yield item


@dataclass(frozen=True)
class Nvdec:
    """Like `VisualTask`, but with the GPU's own decoder. It is only measured: no features are made with it."""

    visual: VisualTask

    def __call__(self) -> Iterator[Chunk]:
        accelerated = HWAccel("cuda", allow_software_fallback=False)
        with av.open(str(self.visual.path), hwaccel=accelerated) as container:
            for number, picture in enumerate(container.decode(video=0)):
                if number % self.visual.stride == 0:
                    rgb = picture.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                    yield Chunk(canvas(rgb, self.visual.views, self.visual.image_size)[None], np.ones(1, bool))


def decoding(folder: Path, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Measure every way to decode, in sampled frames per second, with canvases made and sent to this process.

    A way is a decoder with a number of threads in each worker ("auto" is about one for each core), or a number of
    workers for the GPU's decoder.
    """
    decoders: tuple[Decoder, ...] = ("decord", "pyav")
    ways = [(decoder, threads) for decoder in decoders for threads in (0, 1)]
    with GuardedPool(plan.workers, stall_seconds=20) as pool:
        _ready(pool, plan.workers)
        for resolution in plan.resolutions:
            task = VisualTask(
                folder / f"{resolution}.mp4",
                clip_source(folder, resolution),
                "decord",
                plan.stride,
                "first",
                None,
                "center",
                plan.image_size,
                CHUNK,
            )
            for decoder, threads in ways:
                for views in ("center", "ten_crop") if threads == 0 else ("center",):
                    name = f"{resolution}, {decoder}, {threads or 'auto'} threads, {views}"
                    wanted = replace(task, decoder=decoder, n_threads=threads, views=views)
                    yield name, _rate(pool, wanted, plan.workers, plan.window_seconds)
            if plan.gpu:
                n_workers = min(NVDEC_WORKERS, plan.workers)
                rate = _rate(pool, Nvdec(task), n_workers, plan.window_seconds)
                yield f"{resolution}, nvdec, {n_workers} workers", rate


def _ready(pool: GuardedPool, workers: int) -> None:
    for number in range(workers):
        pool.submit(f"warm up {number}", _Imports())
    for _ in pool.events():
        pass


@dataclass(frozen=True)
class _Imports:
    def __call__(self) -> Iterator[None]:
        yield from warm_up(("visual",))


_numbers = count()


def _rate(pool: GuardedPool, task: Any, workers: int, seconds: float) -> float | str:
    """Return sampled frames per second, or the reason why there are none."""
    deadline = time.monotonic() + seconds
    for _ in range(workers):
        pool.submit(f"{next(_numbers)}", Repeated(task, deadline))
    n_frames, reason = 0, None
    for event in pool.events():
        match event:
            case Item(_, Chunk(_, valid)):
                n_frames += len(valid)
            case Failed():
                reason = event.reason
    return reason or n_frames / seconds
