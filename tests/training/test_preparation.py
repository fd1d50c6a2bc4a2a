"""What a detector is told about the videos that it is trained on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from avadclip import paths
from pipeline import train
from tests.support.training_factory import NAME, STRIDE, make_videos, write_training_project

HEAD = {"kind": "mil_head", "context_seconds": 5, "recipe": {"rounds": 1}}


def test_a_snippet_lasts_as_long_as_in_the_median_training_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rates = {0: 4.0, 1: 4.0, 2: 100.0}
    videos = [replace(video, frame_rate=rates.get(n, 8.0)) for n, video in enumerate(make_videos(10, 3))]
    write_training_project(tmp_path, videos, {"visual": 2.0, "audio": 0.0}, train={"head": HEAD})
    train.main(NAME, "head", "0")
    description = json.loads((paths.run(NAME, "head", 0) / "model.json").read_text())
    assert description["dimensions"]["snippet_seconds"] == STRIDE / 8
    assert STRIDE / 8 != 1  # what it would be without
