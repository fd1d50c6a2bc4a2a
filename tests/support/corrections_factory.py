"""A data set whose alarms were judged: its parameters, its tables, and the file that the page saved."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from avadclip import config
from avadclip.cli import app
from avadclip.datasets.load import load
from avadclip.datasets.model import Listing, TimedSegment
from avadclip.interop.corrections.decisions import Span
from avadclip.interop.corrections.format import HEADER

CLASSES = ("normal", "fighting", "riot", "theft")
F, R, T, ANY = "fighting", "riot", "theft", "*"
SECONDS = 10.0  # of every video here
VIDEOS = """video,labels,split
gate.mp4,fighting,train
yard.mp4,normal,train
hall.mp4,fighting|riot,train
door.mp4,riot,train
lane.mp4,fighting,test
dock.mp4,normal,test
"""
SEGMENTS = "video,label,start_seconds,end_seconds\nhall.mp4,riot,1,2\nhall,fighting,4,6.25\nlane.mp4,fighting,3,5\n"
FEATURES = "video,labels,split\nfight3.mp4,fighting,test\nwalk3.mp4,normal,test\nwalk2.mp4,normal,train\n"
SNIPPETS = "video,label,start_snippet,end_snippet\nfight3,fighting,1,3\n"
HASHES = {name: f"{number:064x}" for number, name in enumerate(("gate", "yard", "hall", "door", "lane", "dock"), 1)}


def write_params(kind: str = "table", worlds: Sequence[str] = (), train: Any = None, **keys: Any) -> None:
    weights = {"path": None, "sha256": "0" * 64}
    section = {
        "kind": kind,
        "videos": "videos",
        "annotations": "annotations",
        "classes": list(CLASSES),
        "visual": {"weights": weights, "stride": 4, "precision": "float32"},
        "audio": {"weights": weights, "precision": "float32"},
    }
    made = {name: {"seed": 0, "n_train": 3, "n_test": 3} for name in worlds}
    with Path("params.yaml").open("w") as file:
        params = {"datasets": {"mine": section | keys}, "worlds": made, "train": train or {}}
        YAML().dump(params | {"compute": {"device": "cpu"}, "extraction": {"workers": 1}}, file)


def write_tables(videos: str = VIDEOS, segments: str | None = SEGMENTS) -> None:
    Path("annotations").mkdir(exist_ok=True)
    Path("annotations/videos.csv").write_bytes(videos.encode())
    Path("annotations/segments.csv").unlink(missing_ok=True)
    if segments is not None:
        Path("annotations/segments.csv").write_bytes(segments.encode())


def row(
    video: str,
    judgement: str,
    start: float | str,
    end: float | str,
    label: str = "",
    alarm: tuple[float | str, float | str] | None = None,
    alarm_label: str = "fighting",
    dataset: str = "mine",
    content: str | None = None,
) -> str:
    """Write a row as the page does, with three decimals; without `alarm`, the alarm had the same start and end."""
    times = [time if isinstance(time, str) else f"{time:.3f}" for time in (start, end, *(alarm or (start, end)))]
    content = HASHES.get(video, "") if content is None else content
    return ",".join([dataset, video, content, judgement, *times[:2], label, *times[2:], alarm_label])


def save(*rows: str, header: str = ",".join(HEADER), end: str = "\n") -> Path:
    Path("corrections.csv").write_bytes(end.join([header, *rows, ""]).encode())
    return Path("corrections.csv")


def run(*words: str, answer: str = "") -> Result:
    command = ["corrections", "apply", "corrections.csv", "--dataset", "mine", *words]
    return CliRunner().invoke(app, command, input=answer, env={"COLUMNS": "200"})


def read() -> Listing:
    return load(config.load().dataset("mine"))


def labels() -> dict[str, tuple[str, ...]]:
    return {video.id: video.labels for video in read().videos}


def spans() -> set[tuple[str, str, float, float]]:
    found = read().segments
    assert all(isinstance(segment, TimedSegment) for segment in found)
    return {(s.id, s.label, s.start_seconds, s.end_seconds) for s in found if isinstance(s, TimedSegment)}


def texts() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("annotations").iterdir()}


def any_span(source: random.Random, classes: Sequence[str] = CLASSES[1:]) -> Span:
    """Draw a random event of one of these classes."""
    start = source.randrange(0, 9)
    return Span(source.choice(classes), start, start + source.randrange(1, 5))
