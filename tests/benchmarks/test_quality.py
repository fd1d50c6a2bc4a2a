"""The table of benchmarks/quality.py, on a few random features."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avadclip import config, paths
from avadclip.datasets.manifest import read_manifest
from benchmarks.quality import main


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Twelve training videos, every second one with a fight, and four test videos; no sound."""
    random, rows = np.random.default_rng(0), []
    (tmp_path / "features" / "visual").mkdir(parents=True)
    for number in range(16):
        name, is_normal = f"v{number:02}", number % 2 == 0
        values = random.normal(1.0, 0.1, size=(8, 6)).astype(np.float32)
        values[2:4, 0] += 0 if is_normal else 5
        np.save(tmp_path / "features" / "visual" / f"{name}.npy", values)
        rows.append((name, "normal" if is_normal else "fighting", "train" if number < 12 else "test"))
    videos = pd.DataFrame(rows, columns=["video", "labels", "split"])
    videos.to_csv(tmp_path / "features" / "videos.csv", index=False)
    events = [(f"v{number}", "fighting", 2, 4) for number in (13, 15)]
    columns = ["video", "label", "start_snippet", "end_snippet"]
    pd.DataFrame(events, columns=columns).to_csv(tmp_path / "features" / "segments.csv", index=False)
    return tmp_path / "features"


def test_it_trains_what_fits_on_as_many_videos_as_are_asked_for_and_goes_on(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # `main` changes the folder; this brings it back
    asked = {"seeds": 2, "train_videos": 6, "folder": tmp_path / "work"}
    main(features, only="mil_head,visual_mil_head", **asked)
    first = capsys.readouterr()
    assert "`mil_head` was not trained: it takes audio features, but 'it' has none" in first.out
    rows = [line for line in first.out.splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[:2] for row in rows] == [["| `visual_mil_head`", "vision"]]
    assert float(rows[0].split(" | ")[2].split(" ±")[0]) > 30  # it has learned something: by chance it would be 12.5
    manifest = read_manifest(paths.manifest("it"))
    kept = [video for video in manifest if video.split == "train" and not video.excluded]
    assert sorted(video.is_normal for video in kept) == [False] * 3 + [True] * 3

    main(features, only="visual_mil_head", **asked)
    assert capsys.readouterr().err.count("done before") == 2
    main(features, only="visual_mil_head", **asked | {"draw": 1})
    assert "done before" not in capsys.readouterr().err


def test_what_needs_a_text_tower_is_scored_alone(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    short = {"kind": "vadclip", "recipe": {"rounds": 1, "bag": {"length": 8}}}
    monkeypatch.setitem(main.__globals__["STUDIES"], "short", lambda shipped, has_sound: {"vadclip": short})
    main(features, seeds=1, study="short", folder=tmp_path / "work")
    assert config.load().score.variants == ("vadclip",)
    assert paths.details("it").exists()
