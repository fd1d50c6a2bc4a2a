"""XD-Violence and CCTV-Fights_sub: the real annotation files with empty videos, and small ones with faults."""

import logging
from collections import Counter
from pathlib import Path

import pytest

from avadclip.datasets.ground_truth import anomalous_spans, class_segments
from avadclip.datasets.label_codes import labels_of
from avadclip.datasets.load import load
from avadclip.datasets.model import Listing, Segment
from avadclip.errors import DatasetError
from tests.support.dataset_factory import XD_CLASSES, make_dataset, write_files, write_videos

SHARED = Path(__file__).parents[3] / "shared" / "data"


def official(name: str) -> Path:
    """Return the folder of the official files, or skip the test where there is none."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the official annotation files are not there: {folder}")
    return folder


def frames_of(listing: Listing, id_: str) -> set[int]:
    """Frames of a video that count as anomalous."""
    segments = [segment for segment in listing.segments if segment.id == id_]
    assert all(isinstance(segment, Segment) for segment in segments)
    return {f for start, end in anomalous_spans(segments) for f in range(start, end)}


@pytest.fixture(scope="module")
def xd_violence(tmp_path_factory: pytest.TempPathFactory) -> Listing:
    annotations = official("xd_violence")
    root = tmp_path_factory.mktemp("xd")
    test_names = (annotations / "test_ids.txt").read_text().split()
    # As the data set is distributed: training and test videos in folders of their own.
    write_videos(root, [f"test/{name}.mp4" for name in test_names])
    write_videos(root, ["train/1/v=a__#1_label_B1-B6-0.mp4", "train/2/v=b__#1_label_A.MP4"])
    return load(make_dataset("xd_violence", root, XD_CLASSES, annotations=str(annotations)))


def test_all_800_test_ids_and_500_annotated_videos_find_each_other(xd_violence: Listing) -> None:
    assert Counter(video.split for video in xd_violence.videos) == {"test": 800, "train": 2}
    assert all(video.path for video in xd_violence.videos)
    anomalous = {v.id for v in xd_violence.videos if v.split == "test" and v.labels != ("normal",)}
    assert anomalous == {segment.id for segment in xd_violence.segments}
    assert len(anomalous) == 500


def test_labels_come_from_the_names(xd_violence: Listing) -> None:
    test = [video for video in xd_violence.videos if video.split == "test"]
    counts = Counter(label for video in test for label in video.labels)
    # Counted in the official list: `grep -c 'B1' test_ids.txt` and so on.
    assert counts == {
        "normal": 300,
        "fighting": 126,
        "car accident": 106,
        "shooting": 104,
        "explosion": 103,
        "riot": 101,
        "abuse": 11,
    }
    labels = {video.id: video.labels for video in xd_violence.videos}
    assert labels["Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6"] == ("explosion", "shooting", "car accident")
    assert labels["v=a__#1_label_B1-B6-0"] == ("fighting", "car accident")
    assert labels["v=b__#1_label_A"] == ("normal",)


def test_anomalous_frames_are_those_of_the_file_behind_the_published_frame_level_truth(xd_violence: Listing) -> None:
    n_frames = 0
    for line in (official("xd_violence") / "annotations.txt").read_text().splitlines():
        name, *numbers = line.split()
        spans = zip(map(int, numbers[::2]), map(int, numbers[1::2]), strict=True)
        expected = {frame for start, end in spans for frame in range(start, end)}
        assert frames_of(xd_violence, name.removesuffix(".mp4")) == expected
        n_frames += len(expected)
    assert n_frames == 538_324


def test_class_segments_are_those_of_the_file_behind_the_published_localisation_truth(xd_violence: Listing) -> None:
    codes = dict(zip(XD_CLASSES, ("A", "B1", "B2", "B4", "B5", "B6", "G"), strict=True))
    found: dict[str, str] = {}
    for segment in class_segments(s for s in xd_violence.segments if isinstance(s, Segment)):
        words = f" {codes[segment.label]} {segment.start_frame} {segment.end_frame}"
        found[segment.id] = found.get(segment.id, segment.id) + words
    lines = (official("xd_violence") / "annotations_multiclasses.txt").read_text().splitlines()
    assert sorted(found.values()) == sorted(" ".join(line.replace(".mp4 ", " ").split()) for line in lines)
    assert len(class_segments(s for s in xd_violence.segments if isinstance(s, Segment))) == 1272


def test_the_two_official_files_disagree_in_five_videos(xd_violence: Listing) -> None:
    any_class = {segment.id for segment in xd_violence.segments if segment.label == "*"}
    assert len(any_class) == 5
    assert "v=38GQ9L2meyE__#1_label_B6-0-0" in any_class  # its last car accident is in one file only


def test_a_class_that_the_name_does_not_promise_is_kept_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    annotations = official("xd_violence")
    write_videos(tmp_path, [f"{name}.mp4" for name in (annotations / "test_ids.txt").read_text().split()])
    with caplog.at_level(logging.WARNING):
        listing = load(make_dataset("xd_violence", tmp_path, XD_CLASSES, annotations=str(annotations)))
    (message,) = caplog.messages
    id_ = "Ip.Man.2008__#01-40-37_01-42-07_label_B4-0-0"
    assert f"{id_} is annotated as fighting, but named riot" in message
    assert Segment(id_, "fighting", 105, 1482) in listing.segments


def test_all_157_fights_find_their_files_under_either_name(tmp_path: Path) -> None:
    annotations = official("cctv_fights")
    names = [line.split()[0] for line in (annotations / "annotations.txt").read_text().splitlines()]
    halves = [f"testing/{name}.mp4" for name in names[::2]]
    originals = [f"testing/{name.partition('_label_')[0]}.mpeg" for name in names[1::2]]
    write_videos(tmp_path, [*halves, *originals, "fight_0001.mpeg", "street_label_A.mp4"])
    listing = load(make_dataset("cctv_fights", tmp_path, annotations=str(annotations)))
    test = {video.id for video in listing.videos if video.split == "test"}
    assert len(test) == 157
    assert test == {segment.id for segment in listing.segments}
    assert {v.id: v.labels for v in listing.videos if v.split == "train"} == {
        "fight_0001": ("fighting",),
        "street_label_A": ("normal",),
    }
    # The published gt_cctv_segment.npy holds these 349 segments with these sums of lengths.
    segments = [segment for segment in listing.segments if isinstance(segment, Segment)]
    assert (len(segments), sum(s.end_frame - s.start_frame for s in segments)) == (349, 78_907)
    assert {segment.label for segment in segments} == {"fighting"}


def test_cctv_takes_more_test_videos_from_a_list(tmp_path: Path) -> None:
    write_videos(tmp_path, ["fight_1.mp4", "a_label_A.mp4", "b_label_A.mp4"])
    write_files(tmp_path / "annotations", {"annotations.txt": "fight_1 1 5\n", "test_ids.txt": "b_label_A\n"})
    listing = load(make_dataset("cctv_fights", tmp_path))
    assert [video.split for video in listing.videos] == ["train", "test", "test"]


@pytest.mark.parametrize(
    ("videos", "lines", "place"),
    [
        (["fight_1.mpeg", "fight_1_label_B1-0-0.mp4"], "fight_1 1 5\n", "videos"),
        (["fight_1.mpeg"], "fight_1 1 5\nfight_1_label_B1-0-0 6 9\n", "annotations/annotations.txt"),
        (["fight_1_label_B1-0-0.mp4"], "fight_1.mpeg 1 5\nfight_1_label_B1-0-0 6 9\n", "annotations/annotations.txt"),
    ],
)
def test_the_same_cctv_video_under_both_names_is_refused(
    tmp_path: Path, videos: list[str], lines: str, place: str
) -> None:
    write_videos(tmp_path, videos)
    write_files(tmp_path / "annotations", {"annotations.txt": lines})
    with pytest.raises(DatasetError, match=f"{place}: 'fight_1' and 'fight_1_label_B1-0-0' are the same video"):
        load(make_dataset("cctv_fights", tmp_path))


@pytest.mark.parametrize("id_", ["clip", "x_label_", "x_label_A-0-B1", "x_label_B3-0-0", "x_label_0-0-0", "x_label_b1"])
def test_names_without_usable_codes_are_refused(id_: str) -> None:
    with pytest.raises(DatasetError, match="label"):
        labels_of(id_)


GOOD = {
    "test_ids.txt": "x_label_B1-0-0\ny_label_A\n",
    "annotations.txt": "x_label_B1-0-0.mp4 1 5\n",
    "annotations_multiclasses.txt": "x_label_B1-0-0 B1 1 5\n",
}


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("test_ids.txt", "", "test_ids.txt: the file is empty"),
        ("test_ids.txt", "y_label_A\ny_label_A.mp4\n", "test_ids.txt, line 2: 'y_label_A' appears twice"),
        ("test_ids.txt", "x_label_B1-0-0\nz_label_B2\n", "annotations.txt: no line for .* 1: z_label_B2"),
        ("test_ids.txt", "y_label_A\n", "annotations.txt: lines for .* 1: x_label_B1-0-0"),
        ("annotations.txt", "x_label_B1-0-0 1\n", "annotations.txt, line 1: expected 2 words for each segment"),
        (
            "annotations.txt",
            "x_label_B1-0-0 5 5\n",
            "line 1, words 2 and 3: expected start frame < end frame, found 5 5",
        ),
        ("annotations.txt", "x_label_B1-0-0 1 5 -2 9\n", "line 1, words 4 and 5: expected start frame"),
        ("annotations.txt", "x_label_B1-0-0 1 5 7 9 1 5\n", "line 1: a segment is written twice"),
        ("annotations_multiclasses.txt", "x_label_B1-0-0 B3 1 5\n", "line 1, word 2: 'B3' is not one of A, B1"),
        ("annotations_multiclasses.txt", "x_label_B1-0-0 B1 1 5\n" * 2, "line 2: 'x_label_B1-0-0' appears twice"),
    ],
)
def test_faulty_official_files_are_refused_with_file_and_line(
    tmp_path: Path, file: str, text: str, problem: str
) -> None:
    write_videos(tmp_path, ["x_label_B1-0-0.mp4", "y_label_A.mp4", "z_label_B2.mp4"])
    write_files(tmp_path / "annotations", {**GOOD, file: text})
    with pytest.raises(DatasetError, match=problem):
        load(make_dataset("xd_violence", tmp_path, XD_CLASSES))


@pytest.mark.parametrize("file", GOOD)
def test_a_missing_official_file_is_named(tmp_path: Path, file: str) -> None:
    write_videos(tmp_path, ["x_label_B1-0-0.mp4", "y_label_A.mp4"])
    write_files(tmp_path / "annotations", {name: text for name, text in GOOD.items() if name != file})
    with pytest.raises(DatasetError, match=f"{file}: no such file"):
        load(make_dataset("xd_violence", tmp_path, XD_CLASSES))


@pytest.mark.parametrize(
    ("names", "keys", "problem"),
    [
        (["x_label_B1-0-0.mp4"], {}, "1 of 2 listed videos have no file there.*\n  y_label_A"),
        (["x_label_B1-0-0.mp4", "y_label_A.mp4"], {"classes": ("normal", "riot")}, "labelled fighting, but"),
        (["x_label_B1-0-0.mp4", "y_label_A.mp4"], {"exclude": {"y_label": "bad"}}, "did you mean 'y_label_A'"),
        (["x_label_B1-0-0.mp4", "y_label_A.mp4"], {"exclude": {"y_label_A": " "}}, "no reason"),
        (["x_label_B1-0-0.mp4", "y_label_A.mp4"], {"videos": "/no/such"}, "/no/such: no such folder"),
        (["a\n_label_A.mp4"], {}, "control character"),
    ],
)
def test_what_videos_and_parameters_may_not_be(
    tmp_path: Path, names: list[str], keys: dict[str, object], problem: str
) -> None:
    write_videos(tmp_path, names)
    write_files(tmp_path / "annotations", GOOD)
    with pytest.raises(DatasetError, match=problem):
        load(make_dataset("xd_violence", tmp_path, **{"classes": XD_CLASSES, **keys}))


def test_all_files_that_have_one_id_are_told_at_once(tmp_path: Path) -> None:
    texts = {f"{folder}/v{n}_label_A.mp4": f"{folder}{n}" for folder in "ab" for n in range(6)}
    write_files(tmp_path / "videos", texts | {"a/y_label_A.avi": "1", "y_label_A.mp4": "2"})
    write_files(tmp_path / "annotations", GOOD)
    with pytest.raises(DatasetError) as caught:
        load(make_dataset("xd_violence", tmp_path, XD_CLASSES))
    first, *pairs, more = str(caught.value).splitlines()
    assert first.endswith("videos: files differ, but have one id; rename or move one of each:")
    assert pairs == [f"  a/v{n}_label_A.mp4 and b/v{n}_label_A.mp4 both have the id 'v{n}_label_A'" for n in range(5)]
    assert more == "  and 2 more"


def test_copies_with_the_same_bytes_are_one_video(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["a/x_label_B1-0-0.mp4", "b/x_label_B1-0-0.mp4", "c/x_label_B1-0-0.avi", "y_label_A.mp4"]
    write_videos(tmp_path, names)
    write_files(tmp_path / "annotations", GOOD)
    with caplog.at_level(logging.INFO):
        listing = load(make_dataset("xd_violence", tmp_path, XD_CLASSES))
    assert [video.path for video in listing.videos] == [
        f"{tmp_path}/videos/{names[0]}",
        f"{tmp_path}/videos/{names[3]}",
    ]
    assert caplog.messages == [
        f"{tmp_path}/videos: 2 files are copies of others with their names: {names[1]}, {names[2]}"
    ]


def test_an_excluded_video_may_be_absent_and_has_no_segments(tmp_path: Path) -> None:
    write_videos(tmp_path, ["y_label_A.mp4"])
    write_files(tmp_path / "annotations", GOOD)
    listing = load(make_dataset("xd_violence", tmp_path, XD_CLASSES, exclude={"x_label_B1-0-0": "lost"}))
    assert [(video.id, video.path is None) for video in listing.videos] == [
        ("x_label_B1-0-0", True),
        ("y_label_A", False),
    ]
    assert listing.segments == ()


def test_links_are_followed_once_and_hidden_files_are_not_videos(tmp_path: Path) -> None:
    write_files(tmp_path / "disk", {"x_label_B1-0-0.MP4": "", "._x_label_B1-0-0.MP4": "", "notes.txt": ""})
    write_videos(tmp_path, ["y_label_A.mp4", ".trash/z_label_A.mp4"])
    (tmp_path / "videos" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(tmp_path / "videos")
    write_files(tmp_path / "annotations", GOOD)
    listing = load(make_dataset("xd_violence", tmp_path, XD_CLASSES))
    assert [video.path for video in listing.videos] == [
        f"{tmp_path}/videos/linked/x_label_B1-0-0.MP4",
        f"{tmp_path}/videos/y_label_A.mp4",
    ]
