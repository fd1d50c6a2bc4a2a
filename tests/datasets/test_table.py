"""`table` data sets: what people write into the two tables, and what they get wrong."""

import logging
import unicodedata
from pathlib import Path
from typing import Literal, get_args

import pytest

from avadclip.datasets.load import load
from avadclip.datasets.model import Listing, Segment, TimedSegment
from avadclip.errors import DatasetError
from tests.support.dataset_factory import make_dataset, write_files, write_videos

Form = Literal["NFC", "NFD"]
FORMS = get_args(Form)
CLASSES = ("normal", "fighting", "car accident")
FILES = ["street/a.mp4", "b #1 'é'.AVI", "c.mkv", "other/d.mp4"]
VIDEOS = "video,labels,split\nstreet/a.mp4,fighting|car accident,test\nb #1 'é'.AVI,normal,test\nc,fighting,train\n"


def load_table(root: Path, videos: str = VIDEOS, segments: str | None = None, **keys: object) -> Listing:
    write_videos(root, FILES)
    write_files(root / "annotations", {"videos.csv": videos} | ({"segments.csv": segments} if segments else {}))
    return load(make_dataset("table", root, CLASSES, **keys))


def test_videos_are_found_by_path_by_name_and_by_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        listing = load_table(tmp_path)
    assert [(v.id, v.path, v.split, v.labels) for v in listing.videos] == [
        ("a", f"{tmp_path}/videos/street/a.mp4", "test", ("fighting", "car accident")),
        ("b #1 'é'", f"{tmp_path}/videos/b #1 'é'.AVI", "test", ("normal",)),
        ("c", f"{tmp_path}/videos/c.mkv", "train", ("fighting",)),
    ]
    assert any("1 files are not in videos.csv: other/d.mp4" in message for message in caplog.messages)
    assert any(
        "1 anomalous test videos have no segments, " in message and message.endswith(": a")
        for message in caplog.messages
    )


@pytest.mark.parametrize(
    "change",
    [
        ("\n", "\r\n"),
        ("video,", "\ufeffvideo,"),
        (",", " , "),
        ("\nc", "\n\nc"),
        ("\nc", "\n,,\nc"),
        ("\nc", "\n, ,,,\nc"),
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, change: tuple[str, str]) -> None:
    expected = load_table(tmp_path)
    assert load_table(tmp_path, VIDEOS.replace(*change)) == expected


def test_the_header_says_frames_or_seconds(tmp_path: Path) -> None:
    frames = load_table(tmp_path, segments="video,label,start_frame,end_frame\na,fighting,3,7\n")
    assert frames.segments == (Segment("a", "fighting", 3, 7),)
    seconds = load_table(tmp_path, segments="video,label,start_seconds,end_seconds\nstreet/a.mp4,fighting,0,1.5\n")
    assert seconds.segments == (TimedSegment("a", "fighting", 0.0, 1.5),)


HEADER = "video,labels,split\n"


@pytest.mark.parametrize(
    ("videos", "problem"),
    [
        ("", "videos.csv, line 1: expected the header video,labels or video,labels,split, found nothing"),
        ("a.mp4,fighting\n", "line 1: expected the header"),
        ("video;labels\na.mp4;fighting\n", "line 1: expected the header .* found 'video;labels'"),
        (HEADER, "found the header only"),
        (f"{HEADER}a,fighting\n", "line 2: expected 3 cells, found 2"),
        (f"{HEADER}a,figthing,test\n", "line 2, column labels: 'figthing' .* normal, .* did you mean 'fighting'"),
        (f"{HEADER}a,fighting|,test\n", "line 2, column labels: '' is not one of"),
        (f"{HEADER}a,,test\n", "line 2, column labels: empty"),
        (f"{HEADER}a,fighting|fighting,test\n", "line 2, column labels: expected each label once"),
        (f"{HEADER}a,normal|fighting,test\n", "line 2, column labels: expected .* normal alone"),
        (f"{HEADER}a,fighting,tets\n", "line 2, column split: 'tets' is not one of train, test; did you mean 'test'"),
        (f"{HEADER}a,fighting,\n", "line 2, column split: '' is not one of train, test"),
        (f"{HEADER}c,normal,test\nstreet/e.mp4,normal,test\n", "line 3, column video: no video file 'street/e.mp4'"),
        (f"{HEADER}street/a.mpg,normal,test\n", "line 2, column video: .* did you mean 'street/a.mp4'"),
        (f"{HEADER},normal,test\n", "line 2, column video: empty"),
        (f"{HEADER}..,normal,test\n", "line 2, column video: .* starts with a dot"),
        (f"{HEADER}c,normal,test\nc.mkv,normal,test\n", "line 3, column video: the id 'c' is already that of line 2"),
    ],
)
def test_errors_in_videos_csv_name_file_line_and_column(tmp_path: Path, videos: str, problem: str) -> None:
    with pytest.raises(DatasetError, match=problem) as caught:
        load_table(tmp_path, videos)
    assert "videos.csv" in str(caught.value)


FRAMES = "video,label,start_frame,end_frame\n"
SECONDS = "video,label,start_seconds,end_seconds\n"


@pytest.mark.parametrize(
    ("segments", "problem"),
    [
        ("video,label,start,end\n", "line 1: expected the header .*start_frame,end_frame or .*start_seconds"),
        (f"{FRAMES}d,fighting,1,2\n", "line 2, column video: 'd' is not in videos.csv"),
        (f"{FRAMES}a,riot,1,2\n", "line 2, column label: 'riot' is not one of normal, fighting, car accident"),
        (
            f"{FRAMES}c,car accident,1,2\n",
            "line 2, column label: 'car accident' is not among the labels of 'c'.*: fighting",
        ),
        (f"{FRAMES}b #1 'é',normal,1,2\n", "line 2, column label: expected an anomaly"),
        (f"{FRAMES}b #1 'é',fighting,1,2\n", "line 2, column label: .* not among the labels of .*: normal"),
        (f"{FRAMES}a,fighting,1.5,2\n", "line 2, column start_frame: expected a whole number >= 0, found '1.5'"),
        (f"{FRAMES}a,fighting,1,x\n", "line 2, column end_frame: expected a whole number >= 0, found 'x'"),
        (f"{FRAMES}a,fighting,2,2\n", "line 2, column end_frame: expected an end after the start 2, found 2"),
        (f"{SECONDS}a,fighting,-1,2\n", "line 2, column start_seconds: expected a number >= 0, found '-1'"),
        (f"{SECONDS}a,fighting,1,inf\n", "line 2, column end_seconds: expected a number >= 0, found 'inf'"),
        (f"{SECONDS}a,fighting,1.5,1.25\n", "line 2, column end_seconds: expected an end after the start 1.5"),
    ],
)
def test_errors_in_segments_csv_name_file_line_and_column(tmp_path: Path, segments: str, problem: str) -> None:
    with pytest.raises(DatasetError, match=problem) as caught:
        load_table(tmp_path, segments=segments)
    assert "segments.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (VIDEOS.encode("utf-16"), "videos.csv, line 1: not readable as UTF-8 CSV: it is UTF-16; save it as CSV UTF-8"),
        (
            VIDEOS.encode("cp1252"),
            "line 3: not readable as UTF-8 CSV: found byte 0xe9; save it as CSV UTF-8",
        ),
        (
            VIDEOS.replace("\nc", '\n"c').encode(),
            "line 4: not readable as UTF-8 CSV: unexpected end of data; if",
        ),
        (VIDEOS.replace("\nc", '\n"c" d').encode(), "line 4: not readable as UTF-8 CSV: ',' expected after '\"'; "),
        (VIDEOS.replace("\nb", '\n"b').encode(), "line 3: not readable as UTF-8 CSV: unexpected end of data; "),
    ],
)
def test_what_is_no_csv_names_the_line(tmp_path: Path, content: bytes, problem: str) -> None:
    write_videos(tmp_path, FILES)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "videos.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=problem):
        load(make_dataset("table", tmp_path, CLASSES))


def test_several_errors_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_table(tmp_path, HEADER + "a,riot,test\n" * 30)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert "line 2" in lines[0]
    assert "line 3" in lines[1]


def test_a_name_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    write_videos(tmp_path, ["one/x.mp4", "two/x.mp4"])
    with pytest.raises(DatasetError, match=r"line 2, column video: 'x' may mean one/x.mp4 or two/x.mp4"):
        load_table(tmp_path, "video,labels\nx,normal\n")
    (video,) = load_table(tmp_path, "video,labels\ntwo/x.mp4,normal\n").videos
    assert video.path == f"{tmp_path}/videos/two/x.mp4"


def test_an_excluded_video_may_be_missing(tmp_path: Path) -> None:
    listing = load_table(tmp_path, f"{VIDEOS}gone.mp4,normal,train\n", exclude={"gone": "lost"})
    assert [video.path for video in listing.videos if video.id == "gone"] == [None]


def test_without_a_column_split_videos_with_segments_are_for_testing(tmp_path: Path) -> None:
    videos = "video,labels\na,fighting\nc,fighting\n"
    split = {v.id: v.split for v in load_table(tmp_path, videos, f"{FRAMES}a,fighting,1,2\n").videos}
    assert split == {"a": "test", "c": "train"}


def test_a_default_split_is_near_one_in_five_and_more_videos_do_not_move_it(tmp_path: Path) -> None:
    names = [f"n{index}" for index in range(500)]
    write_videos(tmp_path, [f"{name}.mp4" for name in names])

    def split(count: int) -> dict[str, str]:
        table = "video,labels\n" + "".join(f"{name},normal\n" for name in names[:count])
        return {video.id: video.split for video in load_table(tmp_path, table).videos}

    few, many = split(100), split(500)
    assert few.items() <= many.items()
    # 500 draws at 0.2: mean 100, standard deviation 9; the names are fixed, so this either holds or does not.
    assert 70 < list(many.values()).count("test") < 130


@pytest.mark.parametrize("name", ["a|b", "*", "", " riot"])
def test_class_names_that_tables_could_not_hold_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="`classes` has names"):
        make_dataset("table", tmp_path, ("normal", name))


@pytest.mark.parametrize("names", [("riot", "Riot"), ("Normal",), ("STRASSE", "straße")])
def test_classes_that_differ_in_case_only_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="`classes` has names that differ in case only: "):
        make_dataset("table", tmp_path, ("normal", *names))


@pytest.mark.parametrize("classes", FORMS)
@pytest.mark.parametrize("videos", FORMS)
@pytest.mark.parametrize("segments", FORMS)
def test_labels_may_be_in_either_unicode_form(tmp_path: Path, classes: Form, videos: Form, segments: Form) -> None:
    write_videos(tmp_path, FILES)
    tables = {
        "videos.csv": f"{HEADER}c,{unicodedata.normalize(videos, 'émeute')},test\n",
        "segments.csv": f"{FRAMES}c,{unicodedata.normalize(segments, 'émeute')},1,2\n",
    }
    write_files(tmp_path / "annotations", tables)
    listing = load(make_dataset("table", tmp_path, ("normal", unicodedata.normalize(classes, "émeute"))))
    composed = unicodedata.normalize("NFC", "émeute")
    assert [video.labels for video in listing.videos] == [(composed,)]
    assert [segment.label for segment in listing.segments] == [composed]
