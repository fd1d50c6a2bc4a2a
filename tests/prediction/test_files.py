"""Which videos are found, what they are called, and what is written about them; no detector is needed."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from avadclip.datasets import ids
from avadclip.prediction.alarm import Alarm
from avadclip.prediction.assembly import AboutVideo, assemble
from avadclip.prediction.document import AnnotatedSegment, Prediction
from avadclip.prediction.naming import distinct_ids, find_videos, safe_id
from avadclip.prediction.subtitles import to_vtt
from avadclip.prediction.writing import SCHEMA, MadeBy, write_predictions
from avadclip.scoring.scores import VideoScores

CLASSES = ("normal", "a --> b\n\n<b>&", "riot")
MADE_BY = MadeBy("runs/toy", "toy", "audio_visual", "visual_student", "alignment", 0.5)


def make_prediction(video_id: str = "gate", uncertainty: bool = False, named: bool = True) -> Prediction:
    """Five snippets of 4 frames at 10 frames per second, with alarms in the second and in the last two."""
    probabilities = np.array([[9, 1, 0], [2, 8, 0], [6, 2, 2], [2, 0, 8], [1, 0, 9]], np.float32) / np.float32(10)
    confidence = 1 - probabilities[:, 0]
    about = AboutVideo(video_id, f"{video_id}.mp4", 18, 10.0, True, 4, np.array([0, 0.4, 0.8, 1.2, 1.6, 1.8]))
    found = VideoScores(
        video_id,
        "audio_visual",
        confidence,
        probabilities if named else None,
        np.linspace(-2, -1, 5, dtype=np.float32) if uncertainty else None,
    )
    return assemble(
        about, {"audio_visual": found, "visual_student": found}, CLASSES, Alarm(threshold=0.5, branch="alignment")
    )


def test_segments_of_a_video() -> None:
    first, second = make_prediction(uncertainty=True).segments
    assert (first.label, first.start_frame, first.end_frame, first.start_seconds, first.end_seconds) == (
        CLASSES[1],
        4,
        8,
        0.4,
        0.8,
    )
    assert (second.label, second.start_frame, second.end_frame, second.end_seconds) == ("riot", 12, 18, 1.8)
    assert second.score == np.float32(0.9)
    assert second.uncertainty == pytest.approx(-1.125)
    assert [s.label for s in make_prediction(named=False).segments] == ["anomaly", "anomaly"]


def test_subtitles_cannot_be_broken_by_a_label() -> None:
    assert to_vtt(make_prediction()) == (
        "WEBVTT\n\n"
        "00:00:00.400 --> 00:00:00.800\na --&gt; b &lt;b&gt;&amp; 0.80\n\n"
        "00:00:01.200 --> 00:00:01.800\nriot 0.90\n"
    )


def test_subtitles_count_hours() -> None:
    late = replace(make_prediction(), boundary_seconds=np.array([0.0]))
    (segment,) = (replace(late.segments[0], start_seconds=3661.0009, end_seconds=100 * 3600 + 59.9996),)
    assert "01:01:01.001 --> 100:01:00.000" in to_vtt(replace(late, segments=(segment,)))


def test_files_agree_and_match_the_schema(tmp_path: Path) -> None:
    hostile = '<script>"x",\'=1+1'
    annotated = replace(make_prediction("b", named=False), annotated=(AnnotatedSegment("*", 0.5, 1.0),))
    predictions = [make_prediction(hostile, uncertainty=True), annotated]
    write_predictions(tmp_path, predictions, {"gone.mp4": "no such file"}, MADE_BY)
    written = json.loads((tmp_path / "predictions.json").read_text())
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(written, schema)
    assert [video["id"] for video in written["videos"]] == [hostile, "b"]
    for video, prediction in zip(written["videos"], predictions, strict=True):
        for curve, original in zip(video["curves"], prediction.curves, strict=True):
            np.testing.assert_array_equal(np.array(curve["anomaly"], np.float32), original.anomaly)  # no digit is lost
    with (tmp_path / "segments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["label"], row["start_frame"], row["uncertainty"]) for row in rows] == [
        (hostile, CLASSES[1], "4", "-1.7500"),
        (hostile, "riot", "12", "-1.1250"),
        ("b", "anomaly", "4", ""),
        ("b", "anomaly", "12", ""),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.json", "segments.csv"}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"format": "avadclip-predictions/2"}, "format"),
        ({"videos": [{"id": "x"}]}, "videos"),
        ({"failures": [{"path": "x"}]}, "failures"),
        ({"more": 1}, ""),
    ],
)
def test_the_schema_refuses_what_is_not_promised(tmp_path: Path, change: dict[str, object], where: str) -> None:
    write_predictions(tmp_path, [make_prediction()], {}, MADE_BY)
    written = json.loads((tmp_path / "predictions.json").read_text())
    with pytest.raises(jsonschema.ValidationError) as refused:
        jsonschema.validate({**written, **change}, json.loads(SCHEMA.read_text()))
    assert next(iter(refused.value.absolute_path), "") == where


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["gate.mp4", "yard.mkv"], ["gate", "yard"]),
        (["gate.mp4", "gate.mkv", "GATE.avi"], ["gate", "gate-2", "GATE-3"]),
        (["x.mp4", "x-2.mp4", "x.avi"], ["x", "x-2", "x-3"]),
        (["v=S__#1_label_B4-0-0.mp4", "no ending"], ["v=S__#1_label_B4-0-0", "no ending"]),
        (["a\nb.mp4", ".hidden.mp4", ".mp4", "\udcff.mp4"], ["a_b", "_.hidden", "_", "_-2"]),
    ],
)
def test_ids(names: list[str], expected: list[str]) -> None:
    found = distinct_ids(names)
    assert found == expected
    for id_ in found:
        ids.check(id_)


def test_long_names_become_ids_that_leave_room_for_an_ending() -> None:
    found = distinct_ids(["ü" * 120 + "1.mp4", "ü" * 120 + "2.mp4"])
    assert [len(id_.encode()) for id_ in found] == [200, 202]
    assert safe_id("x" * 300) == "x" * 200


def test_files_folders_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.mp4", "in/deep/b.MOV", "in/notes.txt", "[1].mp4", "odd.bin", "empty/.keep"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    found = find_videos(["in", "in/b.mp4", f"{tmp_path}/in/../in/b.mp4", "[1].mp4", "odd.bin", "**/*.MOV"])
    assert {id_: str(path) for id_, path in found.videos.items()} == {
        "b": "in/b.mp4",
        "b-2": "in/deep/b.MOV",
        "[1]": "[1].mp4",
        "odd.bin": "odd.bin",
    }
    assert not found.failures
    assert [line.split(";")[0] for line in found.passed_over] == [
        "in: a file is skipped for want of a video extension: notes.txt"
    ]
    missing = find_videos(["empty", "nowhere.mp4", "*.avi"])
    assert not missing.videos
    assert [reason.split(";")[0] for reason in missing.failures.values()] == [
        "no videos below this folder",
        "no such file or folder",
        "no file matches",
    ]


def test_copies_that_pages_show_are_no_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of the page that will be written, and not those of other runs; a folder called `media` is no page."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.mp4", "in/media/page-0001.mp4", "in/old/media/page-0001.mp4", "in/old/predictions.json"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    for name in ("in/predictions/a.json", "in/a.vtt", "in/notes.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()

    def found(word: str, out: str | None) -> list[str]:
        return [str(path) for path in find_videos([word], None if out is None else tmp_path / out).videos.values()]

    for word in ("in", "in/**/*.mp4"):
        assert found(word, None) == found(word, "elsewhere") == ["in/a.mp4", "in/media/page-0001.mp4"]
        assert found(word, "in") == ["in/a.mp4"]
    (passed_over,) = find_videos(["in"], tmp_path / "in").passed_over
    assert ": notes.txt, old/predictions.json; name a file" in passed_over
    assert found("in/old/media/page-0001.mp4", "in") == ["in/old/media/page-0001.mp4"]
    own = find_videos(["in/media/page-0001.mp4"], tmp_path / "in")
    assert (own.videos, list(own.failures)) == ({}, ["in/media/page-0001.mp4"])
    assert "which is made anew" in own.failures["in/media/page-0001.mp4"]


def test_a_name_that_is_no_utf8_is_found_and_can_be_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.mp4")
    (tmp_path / name).touch()
    found = find_videos([str(tmp_path)])
    assert list(found.videos) == ["_"]
    missing = find_videos([f"{name}nowhere"])
    write_predictions(tmp_path, [], missing.failures, MADE_BY)
    assert json.loads((tmp_path / "predictions.json").read_text())["failures"][0]["path"] == "�.mp4nowhere"
