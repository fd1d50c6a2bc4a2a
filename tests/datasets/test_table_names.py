"""How people name their videos, how videos without a split are split, and contradictions in tables."""

import logging
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from avadclip.datasets.load import load
from avadclip.datasets.model import Listing
from avadclip.errors import DatasetError
from tests.support.dataset_factory import make_dataset, write_files, write_videos

CLASSES = ("normal", "fighting", "shooting")
NFC = "caf\u00e9"
NFD = unicodedata.normalize("NFD", NFC)


def load_table(root: Path, files: list[str], rows: list[str], segments: str = "", **keys: object) -> Listing:
    write_videos(root, files)
    header = "video,labels,split" if rows and rows[0].count(",") == 2 else "video,labels"
    tables = {"videos.csv": "\n".join([header, *rows, ""])}
    write_files(root / "annotations", tables | ({"segments.csv": segments} if segments else {}))
    return load(make_dataset("table", root, CLASSES, **keys))


@pytest.mark.parametrize(
    ("file", "cell", "id_"),
    [
        (f"{NFD}.mp4", NFC, NFC),
        (f"{NFC}.mp4", f"{NFD}.mp4", NFC),
        (f"{NFD}/{NFC}.mp4", f"{NFC}/{NFD}.mp4", NFC),
        ("gate/a.mp4", "gate\\a.mp4", "a"),
        ("gate/a.mp4", ".\\gate\\a.mp4", "a"),
        ("gate/a.mp4", "./gate/a.mp4", "a"),
        ("gate/a.mp4", "gate//x/../a.mp4", "a"),
        ("gate/a.mp4", "gate/a", "a"),
        ("gate/a.mp4", "{root}/videos/gate/a.mp4", "a"),
        ("gate/a.mp4", "{root}/videos/./gate/a.mp4", "a"),
        (f"gate/{NFD}.mp4", "{root}/videos/gate/" + NFC, NFC),
        ("a.dav", "a", "a"),
        ("a.H264", "a.H264", "a"),
        ("a.xyz", "a.xyz", "a.xyz"),
        ("deep/er/a.xyz", "a.xyz", "a.xyz"),
        ("no ending", "no ending", "no ending"),
    ],
)
def test_a_file_is_found_however_it_is_written(tmp_path: Path, file: str, cell: str, id_: str) -> None:
    row = f"{cell.format(root=tmp_path)},fighting,test"
    other = f"{cell.format(root=tmp_path)},fighting,1,2"
    segments = f"video,label,start_frame,end_frame\n{other}\n"
    listing = load_table(tmp_path, [file, "b.mp4"], [row, "b,normal,train"], segments)
    assert {video.id: video.path for video in listing.videos} == {
        id_: f"{tmp_path}/videos/{file}",
        "b": f"{tmp_path}/videos/b.mp4",
    }
    assert [segment.id for segment in listing.segments] == [id_]


def test_paths_below_a_linked_folder_are_known_by_both_names(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "videos").symlink_to(tmp_path / "elsewhere")
    rows = [f"{tmp_path}/elsewhere/a.mp4,normal", f"{tmp_path}/videos/b.mp4,normal"]
    assert [video.id for video in load_table(tmp_path, ["a.mp4", "b.mp4"], rows).videos] == ["a", "b"]


def test_files_that_look_alike_are_named_as_they_are_written(tmp_path: Path) -> None:
    rows = [f"{NFD}.mp4,normal", f"{NFC}.mp4,fighting", "b.mp4,normal", "B.mp4,fighting"]
    files = [f"{NFC}.mp4", f"{NFD}.mp4", "b.mp4", "B.mp4"]
    assert {video.id: Path(video.path or "").name for video in load_table(tmp_path, files, rows).videos} == {
        NFC: f"{NFD}.mp4",
        f"{NFC}.mp4": f"{NFC}.mp4",
        "b": "b.mp4",
        "B.mp4": "B.mp4",
    }


def test_videos_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    files = ["gate/a.mp4", "yard/a.mp4", "yard/a.avi", "yard/deep/A.mkv"]
    rows = [f"{file},normal" for file in files]

    def ids_of(n: int) -> dict[str, str | None]:
        return {v.id: v.path for v in load_table(tmp_path, files, rows[:n]).videos}

    assert {id_: Path(path or "").relative_to(tmp_path / "videos").as_posix() for id_, path in ids_of(4).items()} == {
        "a": "gate/a.mp4",
        "yard__a": "yard/a.mp4",
        "yard__a.avi": "yard/a.avi",
        "yard__deep__A": "yard/deep/A.mkv",
    }
    for n in range(1, 4):
        assert ids_of(n).items() <= ids_of(n + 1).items()


def test_segments_of_videos_of_one_name_say_which(tmp_path: Path) -> None:
    rows, files = ["gate/a.mp4,fighting", "yard/a.mp4,fighting"], ["gate/a.mp4", "yard/a.mp4"]
    header = "video,label,start_frame,end_frame\n"
    for cell, id_ in (("yard/a.mp4", "yard__a"), ("gate\\a.mp4", "a"), ("yard__a", "yard__a")):
        (segment,) = load_table(tmp_path, files, rows, f"{header}{cell},fighting,1,2\n").segments
        assert segment.id == id_
    with pytest.raises(DatasetError, match=r"segments.csv, line 2, .*: 'a' may mean gate/a.mp4 or yard/a.mp4"):
        load_table(tmp_path, files, rows, f"{header}a,fighting,1,2\n")


def test_an_excluded_video_is_known_in_either_unicode_form(tmp_path: Path) -> None:
    listing = load_table(tmp_path, [f"{NFD}.mp4"], [f"{NFC},normal"], exclude={NFD: "why"})
    assert [video.id for video in listing.videos] == [NFC]


def test_every_excluded_name_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"(?s)`exclude` names 'x'.*`exclude` names 'y'"):
        load_table(tmp_path, ["a.mp4"], ["a,normal"], exclude={"x": "why", "y": "why", "a": "why"})


def test_a_folder_says_what_it_passes_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load_table(tmp_path, ["a.mp4", "b.xyz", "c.xyz", ".hidden", "notes.txt"], ["a,normal", "b.xyz,normal"])
    assert "2 files are skipped for want of a video extension: c.xyz, notes.txt; name a file in full" in caplog.text


def test_an_id_that_is_too_long_is_refused_where_it_is_read(tmp_path: Path) -> None:
    fits, long = "x" * 239, "y" * 240
    assert [v.id for v in load_table(tmp_path, [f"{fits}.mp4"], [f"{fits},normal"]).videos] == [fits]
    with pytest.raises(DatasetError, match=r"videos.csv, line 2, column video: .* is longer than 239 bytes"):
        load_table(tmp_path, [f"{long}.mp4"], [f"{long}.mp4,normal"])


def test_a_link_to_a_folder_is_told_and_one_to_a_file_is_fine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_files(tmp_path / "elsewhere", {"a.mp4": "", "b.mp4": ""})
    (tmp_path / "videos" / "deep").mkdir(parents=True)
    (tmp_path / "videos" / "deep" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "videos" / "c.mp4").symlink_to(tmp_path / "elsewhere" / "b.mp4")
    listing = load_table(tmp_path, [], ["a,normal", "c,normal"])
    assert [video.path for video in listing.videos] == [
        f"{tmp_path}/videos/deep/linked/a.mp4",
        f"{tmp_path}/videos/c.mp4",
    ]
    (message,) = [text for text in caplog.messages if "a link to a folder" in text]
    assert message.startswith(f"{tmp_path}/videos/deep/linked: ")


SECONDS = "video,label,start_seconds,end_seconds\n"
FRAMES = "video,label,start_frame,end_frame\n"


@pytest.mark.parametrize(
    "segments",
    [
        f"{FRAMES}a,fighting,1,5\na,fighting,7,9\na.mp4,fighting,1,5\n",
        f"{SECONDS}a,fighting,1,5\na,fighting,7,9\na,fighting,1.0,5.00\n",
    ],
)
def test_a_segment_that_is_written_twice_is_refused(tmp_path: Path, segments: str) -> None:
    with pytest.raises(DatasetError, match="line 4, column video: the same segment as in line 2"):
        load_table(tmp_path, ["a.mp4"], ["a,fighting,test"], segments)


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        (f"{SECONDS}a,fighting,1,5\na,fighting,4.5,9\n", True),
        (f"{FRAMES}a,fighting,4,9\na,fighting,1,5\n", True),
        (f"{FRAMES}a,fighting,1,5\na,fighting,5,9\n", False),  # one ends where the next begins
        (f"{FRAMES}a,fighting,1,5\na,shooting,2,4\n", False),
        (f"{FRAMES}a,fighting,1,5\nb,fighting,2,4\n", False),
    ],
)
def test_segments_of_one_class_that_overlap_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, segments: str, told: bool
) -> None:
    load_table(tmp_path, ["a.mp4", "b.mp4"], ["a,fighting|shooting,test", "b,fighting,test"], segments)
    message = "lines 2 and 3: two segments of fighting overlap in a and count as two events"
    assert (message in caplog.text) == told


def splits(root: Path, counts: dict[str, int], segmented: int = 0) -> dict[str, dict[str, int]]:
    """Count training and test videos of each label; the first `segmented` ones of a label have segments."""
    named = [(f"{label.replace('|', '-')}{n}", label) for label, count in counts.items() for n in range(count)]
    rows = [f"{name},{label}" for name, label in named]
    chosen = [(name, label.split("|")[0]) for name, label in named if int(name[-1]) < segmented and label != "normal"]
    segments = FRAMES + "".join(f"{name},{label},1,2\n" for name, label in chosen) if segmented else ""
    found: dict[str, dict[str, int]] = {label: {"train": 0, "test": 0} for label in counts}
    videos = load_table(root, [f"{name}.mp4" for name, _ in named], rows, segments).videos
    for (label, split), n in Counter(("|".join(video.labels), video.split) for video in videos).items():
        found[label][split] = n
    assert load_table(root, [], rows[::-1], segments).videos == videos
    return found


@pytest.mark.parametrize("n_normal", range(1, 9))
@pytest.mark.parametrize("n_anomalous", range(1, 9))
def test_a_small_set_is_split_sensibly(tmp_path: Path, n_normal: int, n_anomalous: int) -> None:
    counts = {"normal": n_normal, "fighting": n_anomalous}
    for label, found in splits(tmp_path, counts).items():
        assert found["train"] >= 1
        assert found["test"] <= counts[label] / 3
        assert (found["test"] >= 1) == (counts[label] >= 3)


@pytest.mark.parametrize(
    ("counts", "segmented", "expected"),
    [
        # Each class has videos without segments: these train, and all others test.
        ({"normal": 4, "fighting": 5}, 3, {"fighting": (2, 3)}),
        # All have segments: split as if none had.
        ({"normal": 4, "fighting": 3}, 9, {"fighting": (2, 1)}),
        ({"normal": 4, "fighting": 1, "shooting": 2}, 9, {"fighting": (1, 0), "shooting": (2, 0)}),
        # A video of two classes is enough for both to learn from.
        ({"normal": 4, "fighting|shooting": 4, "shooting": 2}, 2, {"fighting|shooting": (2, 2), "shooting": (0, 2)}),
    ],
)
def test_no_class_is_without_training_videos(
    tmp_path: Path, counts: dict[str, int], segmented: int, expected: dict[str, tuple[int, int]]
) -> None:
    found = splits(tmp_path, counts, segmented)
    assert {label: (found[label]["train"], found[label]["test"]) for label in expected} == expected
