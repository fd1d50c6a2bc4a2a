"""Parts of `benchmarks.gpu` that encode: preparation, the network alone, the encoder, extraction end to end."""

import copy
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avadclip.config.features import Extraction, Views, Visual
from avadclip.device import kind_of_machine, resolve_device
from avadclip.encoders.clip import ImageEncoder, load_clip
from avadclip.encoders.fused import fuse
from avadclip.extraction.local import encode_videos
from avadclip.extraction.protocol import Pending
from avadclip.store.work_cache import WorkCache
from benchmarks.extraction import Loaded, repeat_clip, source_of, write_clip
from benchmarks.gpu_plan import SIZES, Plan, clip_source, results_of
from tests.support.weights_factory import write_clip_weights, write_tiny_clip

GFLOP_PER_IMAGE = 35.1  # ViT-B/16, 197 positions, 12 layers: 33.5 in linear layers, 1.4 in attention, 0.2 for patches
END_TO_END_SECONDS = 8.0  # that one extraction should take
VIEWS: tuple[Views, ...] = ("center", "ten_crop")


def prepare(folder: Path, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Write clips and random weights."""
    yield "machine", kind_of_machine("auto")
    yield "cores", os.cpu_count()
    for resolution in plan.resolutions:
        once = write_clip(folder / "once.mp4", plan.clip_seconds, SIZES[resolution])
        clip = repeat_clip(once, folder / f"{resolution}.mp4", plan.clip_repeats)
        (folder / f"{resolution}.source.json").write_text(json.dumps(asdict(source_of(clip))))
    if plan.tiny:
        _, _, weights, sha256 = write_tiny_clip(folder)
        weights.rename(folder / "clip.safetensors")
    else:
        sha256 = write_clip_weights(folder / "clip.safetensors")
    (folder / "clip.sha256").write_text(sha256)


def network(folder: Path, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Measure the image tower on the device, without copies, in several implementations, precisions and batch sizes."""
    device = resolve_device("auto")
    yield from _gemm_tflops(device, plan)
    reference = load_clip(plan.visual(folder, "center")).visual
    ways: dict[str, Callable[[nn.Module], nn.Module]] = {
        "open_clip": lambda tower: tower,
        "channels last": lambda tower: tower.to(memory_format=torch.channels_last),
        "fused": fuse,
    }
    for precision in ("bfloat16", "float16", "float32") if plan.gpu else (plan.precision,):
        dtype: torch.dtype = getattr(torch, precision)
        for batch in (plan.batch_size, 32):
            images = torch.randn(batch, 3, plan.image_size, plan.image_size, device=device, dtype=dtype)
            expected = None
            for name, change in ways.items():
                tower = change(copy.deepcopy(reference)).to(device, dtype)
                with torch.inference_mode():
                    row = _measured(partial(tower, images), batch, plan, device)
                    found = tower(images[:8]).float()
                    expected = found if expected is None else expected
                    row["cosine"] = float(nn.functional.cosine_similarity(found, expected).min())
                    yield f"{precision}, {batch}, {name}", row
                    if name == "fused" and plan.gpu:
                        replay = _graph(tower, images)
                        yield f"{precision}, {batch}, fused, graph", _measured(replay, batch, plan, device)


def compiled(folder: Path, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Measure the same with torch.compile, which takes a while to compile."""
    device = resolve_device("auto")
    dtype: torch.dtype = getattr(torch, plan.precision)
    images = torch.randn(plan.batch_size, 3, plan.image_size, plan.image_size, device=device, dtype=dtype)
    changes: dict[str, Callable[[nn.Module], nn.Module]] = {"fused": fuse, "open_clip": lambda tower: tower}
    for name, change in changes.items():
        tower = torch.compile(change(load_clip(plan.visual(folder, "center")).visual).to(device, dtype))
        with torch.inference_mode():
            started = time.perf_counter()
            tower(images).sum().item()
            seconds = time.perf_counter() - started
            row = _measured(partial(tower, images), len(images), plan, device)
        yield f"{plan.precision}, {len(images)}, {name}, compiled", row | {"compile_seconds": seconds}


def encoder(folder: Path, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Measure `ImageEncoder` in sampled frames per second, from memory to memory: the base of all ratios."""
    for precision in ("bfloat16", "float16", "float32") if plan.gpu else (plan.precision,):
        for views in VIEWS if precision == plan.precision else ("center",):
            visual = plan.visual(folder, views, precision)
            yield f"{precision}, {views}", _bare_rate(ImageEncoder(visual), _canvases(visual, plan), plan)


def end_to_end(folder: Path, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Measure the extraction of generated clips, as `avadclip` does it, with an encoder that is already loaded."""
    decoding = results_of(folder, "decoding")
    for views in VIEWS:
        visual = plan.visual(folder, views)
        loaded = ImageEncoder(visual)
        bare = _bare_rate(loaded, _canvases(visual, plan), plan)
        for resolution in plan.resolutions:
            decoded = _decoded(decoding, resolution)
            bound = min(bare, decoded or bare)
            row = _extract(folder, resolution, visual, loaded, plan, bound)
            row |= {
                "bare_frames_per_second": bare,
                "decoding_frames_per_second": decoded,
                "share_of_bare": row["steady_frames_per_second"] / bare,
                "share_of_bound": row["steady_frames_per_second"] / bound,
            }
            yield f"{views}, {resolution}", row


def _decoded(decoding: dict[str, Any], resolution: str) -> float | None:
    """Return the best measured rate of decoding on the cores, in sampled frames per second; None if there is none."""
    rates = [rate for name, rate in decoding.items() if name.startswith(f"{resolution}, ") and "nvdec" not in name]
    return max((rate for rate in rates if isinstance(rate, float)), default=None)


def _extract(
    folder: Path, resolution: str, visual: Visual, loaded: ImageEncoder, plan: Plan, expected_rate: float
) -> dict[str, Any]:
    source = clip_source(folder, resolution)
    seconds = 1.0 if plan.tiny else END_TO_END_SECONDS
    n_snippets = -(-source.n_frames // visual.stride)
    n_videos = max(plan.workers * 2, round(seconds * expected_rate / n_snippets))
    clip = folder / f"{resolution}.mp4"
    pending = [Pending(clip, replace(source, id=f"{number:05d}")) for number in range(n_videos)]
    watched = Watched(loaded)
    settings = Extraction(workers=plan.workers, stall_seconds=60)
    work_cache = Path(tempfile.mkdtemp(dir=folder))
    if plan.gpu:
        torch.cuda.reset_peak_memory_stats()
    with gpu_samples() as samples:
        started = time.monotonic()
        outcome = encode_videos(pending, Loaded(visual, watched), WorkCache(work_cache), settings)
        seconds = time.monotonic() - started
    shutil.rmtree(work_cache)
    assert not outcome.failures, outcome.failures
    # Only the middle half counts: workers are still starting before it, and some have no more videos after it.
    when, counted = np.array([when for when, _ in watched.arrivals]), np.cumsum([n for _, n in watched.arrivals])
    low, high = np.searchsorted(counted, (counted[-1] / 4, 3 * counted[-1] / 4))
    first, last, n_steady = when[low], when[high], int(counted[high] - counted[low])
    overall = outcome.n_encoded_snippets / seconds
    busy = [share for when, share, _ in samples if first <= when <= last]
    return {
        "n_videos": n_videos,
        "seconds": seconds,
        "frames_per_second": overall,
        "steady_frames_per_second": n_steady / (last - first) if n_steady else overall,
        "gpu_busy_share": float(np.mean(busy)) / 100 if busy else None,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if plan.gpu else None,
        "peak_gib_of_the_gpu": max((used for *_, used in samples), default=0.0) / 1024 if plan.gpu else None,
    }


class Watched:
    """An encoder that notes when the features of each batch arrived."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self.width, self.ahead = encoder.width, encoder.ahead
        self.arrivals: list[tuple[float, int]] = []  # when, frames

    def begin(self, inputs: NDArray[np.uint8]) -> Callable[[], NDArray[np.float16]]:
        """Begin one batch."""
        begun = self._encoder.begin(inputs)

        def wait() -> NDArray[np.float16]:
            features = begun()
            self.arrivals.append((time.monotonic(), len(inputs)))
            return features

        return wait


@contextmanager
def gpu_samples() -> Iterator[list[tuple[float, float, float]]]:
    """Sample nvidia-smi five times a second: time, share of the last interval that it was busy in percent, MiB used."""
    samples: list[tuple[float, float, float]] = []
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "200"]
    if shutil.which("nvidia-smi") is None:
        yield samples
        return

    def read(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            share, used = line.split(",")
            samples.append((time.monotonic(), float(share), float(used)))

    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as process:
        reader = threading.Thread(target=read, args=(process,), daemon=True)
        reader.start()
        try:
            yield samples
        finally:
            process.terminate()
            reader.join()


def _canvases(visual: Visual, plan: Plan) -> NDArray[np.uint8]:
    side = plan.image_size
    height, width = (side, side) if visual.views == "center" else (round(256 * side / 224), round(340 * side / 224))
    return np.random.default_rng(0).integers(0, 256, (plan.batch_size, height, width, 3), np.uint8)


def _bare_rate(loaded: ImageEncoder, canvases: NDArray[np.uint8], plan: Plan) -> float:
    """Measure an encoder alone, in sampled frames per second."""
    begun: deque[Any] = deque()
    loaded.encode(canvases)
    n_done, started = 0, time.perf_counter()
    while time.perf_counter() - started < plan.window_seconds / 2 or n_done < 4:
        begun.append(loaded.begin(canvases))
        if len(begun) > loaded.ahead:
            begun.popleft()()
            n_done += 1
    for wait in begun:
        wait()
        n_done += 1
    return n_done * len(canvases) / (time.perf_counter() - started)


def _measured(work: Callable[[], Any], batch: int, plan: Plan, device: torch.device) -> dict[str, float]:
    """Measure images per second, and TFLOP/s if the network is ViT-B/16."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        work()
    wait()
    n_done, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < plan.window_seconds / 6:
        for _ in range(4 if plan.gpu else 1):
            work()
        n_done += 4 if plan.gpu else 1
        wait()
    rate = n_done * batch / seconds
    return {"images_per_second": rate} | ({} if plan.tiny else {"tflops": rate * GFLOP_PER_IMAGE / 1000})


def _graph(tower: nn.Module, images: Tensor) -> Callable[[], None]:
    """Capture the network as a CUDA graph: one launch instead of hundreds."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        tower(images)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        tower(images)
    return graph.replay


def _gemm_tflops(device: torch.device, plan: Plan) -> Iterator[tuple[str, float]]:
    """Measure the speed of the matrix units with one large product."""
    n = 8192 if plan.gpu else 256
    for dtype in (torch.bfloat16, torch.float16, torch.float32) if plan.gpu else (torch.float32,):
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        rate = _measured(partial(torch.matmul, a, b), 1, plan, device)["images_per_second"]
        yield f"product of {n} x {n}, {dtype}, TFLOP/s", rate * 2 * n**3 / 1e12
