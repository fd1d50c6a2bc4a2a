"""Labels of other programs: what is written can be read again, and an error is one line that names the place."""

import csv
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from avadclip.cli import app
from avadclip.errors import DatasetError
from avadclip.interop.labels.clocks import EvenClock, FileClock, NoClock
from avadclip.interop.labels.convert import FORMATS, convert, read, write
from avadclip.interop.labels.model import Event, Labels
from avadclip.prediction.writing import SEGMENTS_HEADER
from tests.support import pages
from tests.support.media_factory import write_video

RATE = 25.0
CLOCK = EvenClock(RATE)
LABELS = {
    "Salt.2010__#00 (1).mp4": (
        Event("road accident", 1.04, 3.2),
        Event('Überfall, "laut"; <b>&amp;', 1.04, 2.0),  # at the same time
        Event("road accident", 7200.0, 7200.12),
    ),
    "ナイト.mkv": (Event("fighting", 0.0, 0.04),),
}
EMPTY = {"quiet.mp4": ()}
KEEPS_EMPTY = {"activitynet", "label-studio", "audacity", "elan"}
READABLE = [name for name in FORMATS if name not in ("srt", "vtt", "fiftyone")]


def by_label(labels: Labels) -> dict[str, list[Event]]:
    """Events in an order of our own, because ELAN sorts them into tiers."""
    return {video: sorted(events, key=lambda e: (e.label, e.start_seconds)) for video, events in labels.items()}


def renamed(labels: Labels, name: str) -> Labels:
    """A file of Audacity names no video; its own name does, without the ending."""
    return {Path(video).stem: events for video, events in labels.items()} if name == "audacity" else labels


@pytest.mark.parametrize("name", READABLE)
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    """Times agree within a millisecond, also in formats that count frames, because these times are those of frames."""
    target = tmp_path / ("out" if FORMATS[name].one_video else f"out{FORMATS[name].suffix}")
    write(target, LABELS, name, CLOCK)
    found, expected = by_label(read(target, name, CLOCK)), by_label(renamed(LABELS, name))
    assert found.keys() == expected.keys()
    for video, events in expected.items():
        assert [e.label for e in found[video]] == [e.label for e in events]
        times = [[(e.start_seconds, e.end_seconds) for e in some] for some in (found[video], events)]
        np.testing.assert_allclose(*times, rtol=0, atol=0.001)


@pytest.mark.parametrize("name", READABLE)
def test_a_video_without_events(tmp_path: Path, name: str) -> None:
    target = tmp_path / ("out" if FORMATS[name].one_video else f"out{FORMATS[name].suffix}")
    write(target, EMPTY, name, CLOCK)
    assert read(target, name, CLOCK) == (renamed(EMPTY, name) if name in KEEPS_EMPTY else {})


@pytest.mark.parametrize("name", ["csv-frames", "label-studio"])
def test_times_between_frames_move_by_less_than_a_frame(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(0)
    starts = random.uniform(0, 100, 50)
    events = tuple(Event("x", a, a + d) for a, d in zip(starts, random.uniform(0.001, 5, 50), strict=True))
    path = tmp_path / f"x{FORMATS[name].suffix}"
    write(path, {"v.mp4": events}, name, CLOCK)
    for before, after in zip(events, read(path, name, CLOCK)["v.mp4"], strict=True):
        assert abs(before.start_seconds - after.start_seconds) < 1 / RATE
        assert abs(before.end_seconds - after.end_seconds) < 1 / RATE
        assert after.start_seconds < after.end_seconds


@pytest.mark.parametrize("name", ["csv-frames", "label-studio"])
def test_a_variable_rate_follows_the_files_own_times(tmp_path: Path, name: str) -> None:
    times = np.array([0.0, 0.04, 0.5, 0.54, 2.0, 2.1])
    clock = FileClock(lambda video: times)
    path = tmp_path / f"x{FORMATS[name].suffix}"
    events = tuple(Event("x", times[a], times[b]) for a, b in [(0, 1), (1, 3), (4, 5), (0, 5)])
    write(path, {"v.mp4": events}, name, clock)
    assert read(path, name, clock) == {"v.mp4": events}
    with pytest.raises(DatasetError, match=r"counts frames: give the number per second"):
        read(path, name, NoClock())
    with pytest.raises(DatasetError, match=r"v.mp4: frame \d+, but the file has 2"):
        read(path, name, FileClock(lambda video: times[:3]))


@pytest.mark.parametrize(("source", "target"), list(product(("csv", "elan"), FORMATS)))
def test_every_format_is_written_from_others(tmp_path: Path, source: str, target: str) -> None:
    places = [tmp_path / f"{place}{'' if FORMATS[n].one_video else FORMATS[n].suffix}"
              for place, n in (("in", source), ("out", target))]  # fmt: skip
    write(places[0], LABELS, source, CLOCK)
    done = convert(*places, CLOCK, source, target)
    assert (done.n_videos, done.n_events) == (2, 4)
    assert places[1].exists()


def test_our_own_predictions_read_back(tmp_path: Path) -> None:
    with (tmp_path / "segments.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(SEGMENTS_HEADER)
        rows.writerow(["yard", "a/yard.mp4", "fighting", "1.500000", "2.250000", "36", "54", "0.9", "", "audio_visual"])
    assert read(tmp_path / "segments.csv", "csv", NoClock()) == {"yard": (Event("fighting", 1.5, 2.25),)}


VIA = """# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)
# ATTRIBUTE = {"1":{"aname":"a","type":1,"options":{}},"2":{"type":2,"options":{"0":"riot","1":"fire"}}}
# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata
"1_a","[""v 1.mp4""]",0,"[1.25,5.5]","[]","{""1"":""free text""}"
"1_b","[""v 1.mp4""]",0,"[2,3]","[]","{""2"":""0,1""}"
"1_c","[""v 1.mp4""]",0,"[2.4]","[2,10,10,20,20]","{""1"":""a box""}"
"""
STUDIO = [
    {
        "data": {"video": "/data/upload/1/3f2a-v.mp4"},
        "annotations": [
            {"was_cancelled": True, "result": []},
            {
                "result": [
                    {"type": "choices", "value": {"choices": ["x"]}},
                    {
                        "type": "timelinelabels",
                        "value": {"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["a", "b"]},
                    },
                ]
            },
        ],
    }
]
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><HEADER><MEDIA_DESCRIPTOR MEDIA_URL="file:///c:/films/v.mp4"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="1500"/></TIME_ORDER>
<TIER TIER_ID="riot"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1"><ANNOTATION_VALUE>x</ANNOTATION_VALUE></REF_ANNOTATION>
</ANNOTATION></TIER></ANNOTATION_DOCUMENT>
"""  # noqa: E501 - as the programs write it
THEIRS = {
    "via": (VIA, {"v 1.mp4": (Event("free text", 1.25, 5.5), Event("riot", 2, 3), Event("fire", 2, 3))}),
    "csv": (
        "video,label,start_seconds,end_seconds\r\nv.mp4,riot,1,2\r\n,,,\r\n , \r\n\r\nv.mp4,fire,3,4\r\n",
        {"v.mp4": (Event("riot", 1, 2), Event("fire", 3, 4))},
    ),
    "label-studio": (json.dumps(STUDIO), {"3f2a-v.mp4": (Event("a", 0, 1), Event("b", 0, 1))}),
    "elan": (EAF, {"v.mp4": (Event("riot", 0.5, 1.5),)}),
    "audacity": ("1.5\t2.5\tcar crash\n\\\t100.0\t900.0\n3\t4\tx\ty\r\n", {"file": (Event("car crash", 1.5, 2.5), Event("x\ty", 3, 4))}),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("name", THEIRS)
def test_files_of_the_programs_themselves(tmp_path: Path, name: str) -> None:
    content, expected = THEIRS[name]
    path = tmp_path / f"file{FORMATS[name].suffix}"
    path.write_text(content, newline="")
    assert read(path, name, CLOCK) == expected


WRONG = {
    "audacity": ("1.5 2.5 x\n", r"line 1: expected start, end and label with tabs"),
    "audacity, order": ("2\t1\tx\n", r"line 1: expected 0 <= start < end, found 2 and 1"),
    "audacity, no number": ("a\tb\tx\n", r"line 1: expected a start and an end in numbers"),
    "csv": ("video,label,start\nv,x,1\n", r"line 1: expected the columns video,label,start_seconds,end_seconds or"),
    "csv, cells": ("video,label,start_seconds,end_seconds\nv,x,1\n", r"line 2: expected 4 cells, found 3"),
    "csv, no label": ("video,label,start_seconds,end_seconds\nv, ,1,2\n", r"line 2: expected a label"),
    "activitynet": ("{", r"not readable as JSON"),
    "activitynet, list": ("[]", r"expected dict, found list"),
    "activitynet, times": (
        '{"database": {"v": {"annotations": [{"segment": [1], "label": "x"}]}}}',
        r"database.v.annotations.0: expected a start and an end",
    ),
    "activitynet, nan": (
        '{"database": {"v": {"annotations": [{"segment": [1, NaN], "label": "x"}]}}}',
        r"expected 0 <= start < end, found 1 and nan",
    ),
    "label-studio": (
        '[{"data": {"a": "x", "b": "y"}, "annotations": []}]',
        r"task 0: expected the video as",
    ),
    "label-studio, frame 0": (json.dumps(STUDIO).replace('"start": 1', '"start": 0'), r"expected frames 1 <= start"),
    "via": (VIA + '"1_d",x\n', r"line 7: expected metadata_id"),
    "via, no label": (VIA + '"1_d","[""v""]",0,"[1,2]","[]","{}"\n', r"line 7: a segment without a label"),
    "elan": ("<a>", r"not readable as XML"),
    "elan, other": ("<a/>", r"expected ELAN's ANNOTATION_DOCUMENT, found a"),
    "elan, unaligned": (EAF.replace('TIME_VALUE="1500"', ""), r"annotation a1: its time slots have no times"),
    "srt": ("", r"written and not read"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, case: str) -> None:
    content, message = WRONG[case]
    name = case.partition(",")[0]
    path = tmp_path / f"file{FORMATS[name].suffix}"
    path.write_text(content)
    with pytest.raises(DatasetError, match=message) as caught:
        read(path, name, CLOCK)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_subtitles_and_fiftyone(tmp_path: Path) -> None:
    labels = {"v.mp4": (Event("a\n<b>", 0.5, 3661.25), Event("c", 1, 2))}
    for name in ("srt", "vtt", "fiftyone"):
        write(tmp_path / f"{name}{FORMATS[name].suffix}", labels, name, CLOCK)
    assert (tmp_path / "srt.srt").read_text() == (
        "1\n00:00:00,500 --> 01:01:01,250\na <b>\n\n2\n00:00:01,000 --> 00:00:02,000\nc\n"
    )
    assert (tmp_path / "vtt.vtt").read_text() == (
        "WEBVTT\n\n00:00:00.500 --> 01:01:01.250\na &lt;b&gt;\n\n00:00:01.000 --> 00:00:02.000\nc\n"
    )
    assert json.loads((tmp_path / "fiftyone.json").read_text()) == {
        "classes": ["a\n<b>", "c"],
        "labels": {"v": [{"label": 0, "timestamps": [0.5, 3661.25]}, {"label": 1, "timestamps": [1, 2]}]},
    }


def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events = {"yard.mp4": (Event("fighting", 0.2, 0.6), Event("riot", 0.4, 0.8))}
    Path("predictions").mkdir()
    Path("data/own/videos").mkdir(parents=True)
    write(Path("predictions/segments.csv"), events, "csv", CLOCK)
    write(Path("studio.json"), events, "label-studio", CLOCK)
    write_video(Path("data/own/videos/yard.mp4"), n_frames=25)
    for command in pages.commands("docs/features.md", "Labels of other programs"):
        Path("segments.csv").unlink(missing_ok=True)
        done = CliRunner().invoke(app, command.split()[1:])
        assert done.exit_code == 0, done.output
        assert "2 events of 1 videos" in done.output
    assert read(Path("segments.csv"), "csv", NoClock()) == events


def test_the_command(tmp_path: Path) -> None:
    """The ending of a file gives its format; where it is ambiguous, there is an error, not a guess."""
    write(tmp_path / "in.csv", LABELS, "csv", CLOCK)
    runner = CliRunner()
    for target, options, expected in (
        ("out", ["--to", "elan"], "4 events of 2 videos, from csv to elan"),
        ("out.json", [], "may be activitynet or label-studio or fiftyone; say which with --from or --to"),
        ("out.json", ["--to", "label-studio"], "counts frames"),
        ("out.json", ["--to", "label-studio", "--frame-rate", "25"], "from csv to label-studio"),
        ("out.eaf", [], "elan has one file per video, and these are 2; name a folder"),
        ("out.xyz", [], "may be one of csv"),
    ):
        done = runner.invoke(app, ["labels", "convert", str(tmp_path / "in.csv"), str(tmp_path / target), *options])
        assert expected in done.output, done.output
    assert convert(tmp_path / "out.json", tmp_path / "back.csv", CLOCK).source == "label-studio"
    assert convert(tmp_path / "out", tmp_path / "again.csv", CLOCK).source == "elan"
