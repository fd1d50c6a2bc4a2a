"""Files that are not the tables or annotation lists that they claim to be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from avadclip.datasets import annotation_text
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import HEADER, read_manifest
from avadclip.datasets.released_lists import TEST_LIST, read_lists
from avadclip.errors import DatasetError

FIRST_LINE = ",".join(HEADER).encode() + b"\n"
GIGABYTE = 1 << 30


def row(**changed: str) -> bytes:
    """Return a manifest of one row, with some cells changed."""
    cells = dict(zip(HEADER, ("v", "v.mp4", "test", "normal", "16", "25.0", "true", "0" * 64, ""), strict=True))
    return FIRST_LINE + ",".join((cells | changed).values()).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "size", "said"),
    [
        (FIRST_LINE, GIGABYTE, "line 2: longer than"),
        (b"", GIGABYTE, "line 1: longer than"),
        (FIRST_LINE + b"," * 900_000, 0, "expected 9 cells, found 900001: ,+... .900000 characters"),
        (FIRST_LINE + b'"' + b"\n" * 900_000, 0, "field larger than field limit"),
        (FIRST_LINE + b"\xff\xfe", 0, "not readable as UTF-8 CSV"),
        (row(n_frames="9" * 5_000), 0, "column n_frames: expected a whole number"),
        (row(frame_rate="1e999"), 0, "column frame_rate: expected a number"),
        (row(id="etc/x"), 0, "column id: .*path separator"),
        (row(id=".bashrc"), 0, "column id: .*starts with a dot"),
        (row(id="a\x1b[2J"), 0, "column id: .*control character"),
        (row(id="a" * 300), 0, "column id: .*longer than 239 bytes"),
    ],
    ids=[
        "gigabyte line",
        "gigabyte",
        "commas",
        "quote",
        "bytes",
        "digits",
        "infinite",
        "path",
        "dot",
        "escape",
        "long",
    ],
)
def test_manifests(tmp_path: Path, content: bytes, size: int, said: str) -> None:
    path = tmp_path / "manifest.csv"
    with path.open("wb") as file:
        file.write(content)
        file.truncate(max(size, len(content)))  # the rest is a hole of zeros, which takes no space on disk
    with pytest.raises(DatasetError, match=said) as refused:
        read_manifest(path)
    assert len(str(refused.value)) < 2_000


@pytest.mark.parametrize("read", [annotation_text.read_ids, annotation_text.read_spans, read_ground_truth])
def test_a_list_of_one_gigabyte_line(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "list.txt"
    with path.open("wb") as file:
        file.truncate(GIGABYTE)
    with pytest.raises(DatasetError, match="longer than"):
        read(path)


@pytest.mark.parametrize("words", ["1 " + "9" * 5_000, "-1 5", "1 1e9", "0x1 0x5"])
def test_frames_that_are_no_frames(tmp_path: Path, words: str) -> None:
    path = tmp_path / "annotations.txt"
    path.write_text(f"video {words}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="start frame < end frame"):
        annotation_text.read_spans(path)


@pytest.mark.parametrize("name", ["../../../etc/passwd__0.npy", "/etc/.x__0.npy", "..__0.npy", "a\x1b]0;x__0.npy"])
def test_names_in_released_lists_are_names_only(tmp_path: Path, name: str) -> None:
    audio = name.rpartition("__")[0] + ".npy"
    (tmp_path / TEST_LIST).write_text(f"path,audio_path,label\n{name},{audio},A\n", encoding="utf-8")
    if name.startswith("../"):  # the folders are those of the authors' machine, and nobody looks into them
        assert [video.id for video in read_lists(tmp_path)] == ["passwd"]
    else:
        with pytest.raises(DatasetError, match="video id"):
            read_lists(tmp_path)
