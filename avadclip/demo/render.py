"""The demo world as a data set of kind `table`: videos, ``videos.csv`` and ``segments.csv`` (of the test split)."""

import csv
import io
import shutil
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from avadclip.config.worlds import World
from avadclip.demo.picture import frames
from avadclip.demo.plan import FRAME_RATE, HEIGHT, WIDTH, Clip, plan_world
from avadclip.demo.sound import synthesise
from avadclip.demo.waves import SAMPLE_RATE_HZ
from avadclip.io import replacing, write_text
from avadclip.progress import rate_progress

# One thread, because with more the bytes would depend on the number of cores.
X264 = {"preset": "veryfast", "crf": "26", "threads": "1"}
AUDIO_BITS_PER_SECOND = 48_000
AUDIO_FRAME = 1024  # samples


def render_world(world: World, folder: Path) -> list[Clip]:
    """Write ``videos/*.mp4`` and ``annotations/*.csv`` below `folder`, whose old content is deleted.

    The test split gets frame-exact segments, the training split video labels only.

    Returns
    -------
    list of Clip : what happens in each video.
    """
    clips = plan_world(world.seed, world.n_train, world.n_test)
    for name in ("videos", "annotations"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes, rate_progress() as progress:
        task = progress.add_task(f"rendering {folder}", total=len(clips), unit="videos")
        for _ in processes.map(_Render(folder / "videos"), clips):
            progress.advance(task)
    _write_annotations(folder / "annotations", clips)
    return clips


class _Render:
    """Clip -> its video in `folder`; a class, so that it can be pickled to another process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, clip: Clip) -> None:
        render(clip, self._folder / f"{clip.id}.mp4")


def render(clip: Clip, path: Path) -> None:
    """One video: H.264, and AAC unless the clip has no track."""
    # Without `bitexact` the muxer writes its version into the file.
    with (
        replacing(path, flush=False) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as container,
    ):
        picture = container.add_stream("libx264", rate=FRAME_RATE, options=X264)
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = None
        if clip.has_track:
            sound = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
            sound.bit_rate = AUDIO_BITS_PER_SECOND
        for index, rgb in enumerate(frames(clip)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        if sound is not None:
            _encode_sound(container, sound, synthesise(clip))


def _encode_sound(container: OutputContainer, stream: av.AudioStream, samples: NDArray[np.float32]) -> None:
    for start in range(0, len(samples), AUDIO_FRAME):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + AUDIO_FRAME], format="flt", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ), start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _write_annotations(folder: Path, clips: list[Clip]) -> None:
    videos = ((f"{clip.id}.mp4", "|".join(clip.labels), clip.split) for clip in clips)
    _write_csv(folder / "videos.csv", ("video", "labels", "split"), videos)
    segments = (
        (f"{clip.id}.mp4", event.label, event.start_frame, event.end_frame)
        for clip in clips
        if clip.split == "test"
        for event in clip.events
    )
    _write_csv(folder / "segments.csv", ("video", "label", "start_frame", "end_frame"), segments)


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(path, text.getvalue())
