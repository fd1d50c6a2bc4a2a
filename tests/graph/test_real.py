"""Real recordings through the whole graph: pieces of one clip in several containers, and networks of full size.

Their weights are random, so the numbers mean nothing; the test shows that stages accept each other's results.
"""

import json
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from tests.support.dvc_project import PAIR, clone, keep_the_pair, quicken, read_params, repro, write_params
from tests.support.media_factory import SAMPLE_RATE, write_video
from tests.support.weights_factory import write_clip_weights, write_wav2clip_weights

pytestmark = pytest.mark.slow

SAMPLE = Path(find_spec("iscc_samples").origin).parent / "files" / "video" / "demo.mp4"
PIECE_SECONDS = 5
# Container, whether it gets sound, split, label. The recording shows neither fights nor shots: the labels are made up.
PIECES = [
    ("mp4", True, "train", "normal"),
    ("mkv", True, "train", "fighting"),
    ("avi", False, "train", "normal"),
    ("mov", True, "train", "fighting|shooting"),
    ("flv", True, "train", "shooting"),
    ("m4v", False, "train", "normal"),
    ("mp4", True, "test", "fighting"),
    ("mkv", False, "test", "shooting"),
    ("mov", True, "test", "normal"),
    ("avi", True, "test", "normal"),
]


def read_sample(seconds: int) -> tuple[list[NDArray[np.uint8]], NDArray[np.float32], int]:
    """The first seconds of the clip: frames, sound at 16 kHz, and whole frames per second."""
    with av.open(str(SAMPLE)) as container:
        rate = round(Fraction(container.streams.video[0].average_rate))
        frames: list[NDArray[np.uint8]] = []
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == seconds * rate:
                break
    resampler = AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(SAMPLE)) as container:
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return frames, np.concatenate([part.to_ndarray()[0] for part in parts])[: seconds * SAMPLE_RATE], rate


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = clone(tmp_path)
    videos, annotations = folder / "data" / "real" / "videos", folder / "data" / "real" / "annotations"
    for made in (videos, annotations):
        made.mkdir(parents=True)
    frames, sound, rate = read_sample(PIECE_SECONDS * len(PIECES))
    rows, segments = ["video,labels,split"], ["video,label,start_seconds,end_seconds"]
    for n, (container, has_sound, split, labels) in enumerate(PIECES):
        name = f"piece {n}.{container}"
        first, size = n * PIECE_SECONDS, PIECE_SECONDS * rate
        height, width, _ = frames[0].shape
        write_video(
            videos / name,
            n_frames=size,
            frame_rate=rate,
            size=(width, height),
            frame_fn=lambda i, first=first: frames[first * rate + i],
            audio=sound[first * SAMPLE_RATE : (first + PIECE_SECONDS) * SAMPLE_RATE] if has_sound else None,
        )
        rows.append(f"{name},{labels},{split}")
        if split == "test" and labels != "normal":
            segments.append(f"{name},{labels},1.5,4")
    (annotations / "videos.csv").write_text("\n".join(rows) + "\n")
    (annotations / "segments.csv").write_text("\n".join(segments) + "\n")

    params = read_params(folder)
    demo = params["datasets"].pop("demo")
    clip, wav2clip = folder / "ViT-B-16.safetensors", folder / "Wav2CLIP.pt"
    params["worlds"] = {}
    params["datasets"]["real"] = {
        **demo,
        "videos": "data/real/videos",
        "annotations": "data/real/annotations",
        "classes": ["normal", "fighting", "shooting"],
        "visual": {
            "weights": {"path": clip.name, "sha256": write_clip_weights(clip)},
            "stride": 48,
            "precision": "float32",
        },
        "audio": {
            "weights": {"path": wav2clip.name, "sha256": write_wav2clip_weights(wav2clip)},
            "precision": "float32",
        },
        "selection": {"by": "last"},
    }
    keep_the_pair(params)
    quicken(params, "real", rounds=1, batch_size=3, bag={"kind": "shorten", "length": 8})
    params["evaluate"]["bootstrap_resamples"] = 10
    write_params(folder, params)
    return folder


def test_from_recordings_to_metrics(project: Path) -> None:
    stages = repro(project)
    assert {name.split("@")[0] for name in stages} == {
        "code",
        "prepare",
        "extract_visual",
        "extract_audio",
        "train",
        "distill",
        "package",
        "score",
        "evaluate",
        "figures",
        "report",
        "players",
    }
    results = project / "results" / "real"
    metrics = json.loads((results / "metrics.json").read_text())
    assert metrics["videos"] == {"evaluated": 4, "excluded": 0}
    for variant in PAIR:
        assert 0 <= metrics[variant]["AP"] <= 100
    details = json.loads((results / "details.json").read_text())["detectors"]
    # One test piece has no sound, so the visual student stands in for the detector that wants both.
    assert details["audio_visual"]["videos_scored_with"] == {"audio_visual": 3, "visual": 1}
    assert len(list((results / "figures").glob("*.png"))) == 4
    assert repro(project) == set()
