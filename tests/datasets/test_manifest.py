"""``manifest.csv`` and ``ground_truth.csv``: round trips, bytes, errors, and the spans of a ground truth."""

import random
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from avadclip.datasets.ground_truth import (
    anomalous_spans,
    class_segments,
    read_ground_truth,
    union,
    write_ground_truth,
)
from avadclip.datasets.manifest import read_manifest, write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.errors import DatasetError

HASH = "0123456789abcdef" * 4
NORMAL = Video("b", "v/b.mp4", "train", ("normal",), 250, 25.0, False, HASH)
VIDEOS = (
    Video("a, \"b\" #1 'é' ", "v/a, \"b\" #1 'é' .mp4", "test", ("riot", "car accident"), 7, 30000 / 1001, True, HASH),
    NORMAL,
    Video("c", "", "test", ("riot",), 0, 0.0, False, "", 'broken: no frame,\nsays "ffmpeg"'),
)


def test_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    write_manifest(tmp_path / "new" / "manifest.csv", VIDEOS)
    assert read_manifest(tmp_path / "new" / "manifest.csv") == VIDEOS


def test_bytes_do_not_depend_on_order(tmp_path: Path) -> None:
    write_manifest(tmp_path / "one.csv", VIDEOS)
    write_manifest(tmp_path / "two.csv", reversed(VIDEOS))
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert b"\r" not in (tmp_path / "one.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.csv", "two.csv"]


@pytest.mark.parametrize("id_", ["../b", "a\0", "B"])
def test_unsafe_ids_are_not_written(tmp_path: Path, id_: str) -> None:
    with pytest.raises(DatasetError, match="id"):
        write_manifest(tmp_path / "manifest.csv", [NORMAL, replace(NORMAL, id=id_)])
    assert not list(tmp_path.iterdir())


HEADER = "id,path,split,labels,n_frames,frame_rate,has_audio,content_hash,excluded\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: expected the header id,path"),
        ("id,path\n", "line 1: expected the header id,path"),
        (f"{HEADER}b,v/b.mp4,train\n", "line 2: expected 9 cells, found 3"),
        (f"{HEADER}b/c,v,train,normal,1,25.0,true,{HASH},\n", "line 2, column id"),
        (f"{HEADER}b,,train,normal,1,25.0,true,{HASH},\n", "line 2, column path"),
        (f"{HEADER}b,v,Train,normal,1,25.0,true,{HASH},\n", "line 2, column split: 'Train' .* did you mean 'train'"),
        (f"{HEADER}b,v,train,,1,25.0,true,{HASH},\n", "line 2, column labels: empty"),
        (f"{HEADER}b,v,train,normal|riot,1,25.0,true,{HASH},\n", "line 2, column labels"),
        (f"{HEADER}b,v,train,riot||riot,1,25.0,true,{HASH},\n", "line 2, column labels"),
        (f"{HEADER}b,v,train,normal,1.0,25.0,true,{HASH},\n", "line 2, column n_frames: expected a whole number"),
        (f"{HEADER}b,v,train,normal,1_0,25.0,true,{HASH},\n", "line 2, column n_frames: expected a whole number"),
        (f"{HEADER}b,v,train,normal,0,25.0,true,{HASH},\n", "line 2, column n_frames: 0, but"),
        (f"{HEADER}b,v,train,normal,1,nan,true,{HASH},\n", "line 2, column frame_rate: expected a number"),
        (f"{HEADER}b,v,train,normal,1,25.0,True,{HASH},\n", "line 2, column has_audio"),
        (f"{HEADER}b,v,train,normal,1,25.0,true,{HASH[1:]},\n", "line 2, column content_hash"),
        (HEADER + f"b,v,train,normal,1,25.0,true,{HASH},\n" * 2, "'b' appears twice"),
        (f'{HEADER}"b,v,train\n', "CSV"),
    ],
)
def test_a_damaged_manifest_is_refused_by_line_and_column(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=problem) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_a_missing_manifest_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        read_manifest(tmp_path / "manifest.csv")


def test_ground_truth_comes_back_in_the_order_of_the_annotation(tmp_path: Path) -> None:
    first, second = Segment("a", "riot", 5, 9), Segment("a", "abuse", 0, 3)
    write_ground_truth(tmp_path / "gt.csv", [Segment("b,c", "*", 0, 1), first, second])
    assert read_ground_truth(tmp_path / "gt.csv") == (first, second, Segment("b,c", "*", 0, 1))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a,riot,5,5", "line 2, column end_frame: expected more than start_frame 5, found 5"),
        ("a,riot,-1,5", "line 2, column start_frame"),
        ("a,,1,5", "line 2, column label"),
        (",riot,1,5", "line 2, column id"),
        ("a,riot,1", "line 2: expected 4 cells"),
    ],
)
def test_a_damaged_ground_truth_is_refused_by_line_and_column(tmp_path: Path, row: str, problem: str) -> None:
    (tmp_path / "gt.csv").write_text(f"id,label,start_frame,end_frame\n{row}\n")
    with pytest.raises(DatasetError, match=problem):
        read_ground_truth(tmp_path / "gt.csv")


def test_union_holds_the_same_frames_as_a_set() -> None:
    rng = random.Random(0)
    for _ in range(200):
        starts = [rng.randrange(60) for _ in range(rng.randrange(8))]
        spans = [(start, start + rng.randrange(1, 12)) for start in starts]
        merged = union(spans)
        assert {f for start, end in merged for f in range(start, end)} == {f for s, e in spans for f in range(s, e)}
        assert all(left[1] < right[0] for left, right in pairwise(merged))


def test_segments_of_any_class_alone_say_which_frames_are_anomalous() -> None:
    classes = (Segment("a", "riot", 0, 4), Segment("a", "abuse", 2, 6))
    anything = Segment("a", "*", 1, 9)
    assert anomalous_spans(classes) == [(0, 6)]
    assert anomalous_spans((*classes, anything)) == [(1, 9)]
    assert class_segments((*classes, anything)) == classes


def test_reading_needs_the_standard_library_alone() -> None:
    code = (
        "import sys, avadclip.datasets.manifest, avadclip.datasets.ground_truth\n"
        "print(sorted({'numpy', 'torch', 'av', 'pandas', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
