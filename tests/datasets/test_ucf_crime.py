"""UCF-Crime: lists in the official form, with empty videos, and faulty lists."""

from pathlib import Path

import pytest

from avadclip import recipes
from avadclip.config.loading import parse
from avadclip.datasets.load import load
from avadclip.datasets.model import Listing, Segment
from avadclip.datasets.ucf_crime import CLASSES, TEST
from avadclip.errors import DatasetError
from tests.support.dataset_factory import make_dataset, write_videos

TRAIN_LIST = """Abuse/Abuse001_x264.mp4
RoadAccidents/RoadAccidents003_x264.mp4
Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4
"""
TEST_LIST = """Abuse028_x264.mp4  Abuse  165  240  -1  -1
Arson011_x264.mp4  Arson  150  420  680  1267
Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1
"""
VIDEOS = [
    "Anomaly-Videos-Part-1/Abuse/Abuse001_x264.mp4",
    "Anomaly-Videos-Part-1/Abuse/Abuse028_x264.mp4",
    "Anomaly-Videos-Part-1/Arson/Arson011_x264.mp4",
    "Anomaly-Videos-Part-3/RoadAccidents/RoadAccidents003_x264.mp4",
    "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4",
    "Training-Normal-Videos-Part-1/Normal_Videos001_x264.mp4",
    "Normal_Videos_event/Normal_Videos_999_x264.mp4",  # of another task
]


def read(root: Path, train: str = TRAIN_LIST, test: str = TEST_LIST, name: str = TEST[0]) -> Listing:
    (root / "lists").mkdir()
    (root / "lists" / "Anomaly_Train.txt").write_text(train)
    (root / "lists" / name).write_text(test)
    write_videos(root, VIDEOS)
    return load(make_dataset("ucf_crime", root, tuple(CLASSES.values()), annotations=str(root / "lists")))


@pytest.mark.parametrize("name", TEST)
@pytest.mark.parametrize(("folder", "ending"), [("", ".mp4"), ("", ""), ("Abuse/", ".mp4")])
def test_lists_say_who_trains_and_what_happens_when(tmp_path: Path, name: str, folder: str, ending: str) -> None:
    listing = read(tmp_path, test=folder + TEST_LIST.replace(".mp4", ending), name=name)
    assert {video.id: (video.split, video.labels) for video in listing.videos} == {
        "Abuse001_x264": ("train", ("abuse",)),
        "Abuse028_x264": ("test", ("abuse",)),
        "Arson011_x264": ("test", ("arson",)),
        "Normal_Videos001_x264": ("train", ("normal",)),
        "Normal_Videos_003_x264": ("test", ("normal",)),
        "RoadAccidents003_x264": ("train", ("road accidents",)),
    }
    assert all(video.path for video in listing.videos)
    assert listing.segments == (
        Segment("Abuse028_x264", "abuse", 165, 240),
        Segment("Arson011_x264", "arson", 150, 420),
        Segment("Arson011_x264", "arson", 680, 1267),
    )


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            TRAIN_LIST + "Abuse/Abuse028_x264.mp4\n",
            TEST_LIST,
            "1 videos are in both lists, the first of them 'Abuse028",
        ),
        (TRAIN_LIST + "film.mp4\n", TEST_LIST, "expected a name of UCF-Crime .* found 'film'"),
        (
            TRAIN_LIST,
            TEST_LIST + "Abuse030_x264  Abuse  9  5  -1  -1\n",
            "line 4: expected start frame < end frame",
        ),
        (TRAIN_LIST, TEST_LIST + "Abuse030_x264  Abuse  5\n", "line 4: expected <name> <class> and four frames"),
        (TRAIN_LIST, TEST_LIST + "Abuse030_x264  Abus  5  9  -1  -1\n", "line 4: expected <name> <class>"),
        (TRAIN_LIST, TEST_LIST + TEST_LIST, "line 4: 'Abuse028_x264' appears twice"),
        (TRAIN_LIST, TEST_LIST + "Abuse030_x264  Abuse  -1  -1  -1  -1\n", "no line for anomalous test videos: 1"),
        (
            TRAIN_LIST,
            TEST_LIST.replace("Normal  -1  -1", "Normal  5  9"),
            "line 3: expected -1 four times after the class Normal, found 5 9 -1 -1",
        ),
        ("", TEST_LIST, "Anomaly_Train.txt: the file is empty"),
    ],
)
def test_wrong_lists_are_refused(tmp_path: Path, train: str, test: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, train, test)


def test_the_recipe_names_the_classes_of_the_lists(tmp_path: Path) -> None:
    text = "datasets:\n" + recipes.read("ucf_crime")
    assert parse(text, "recipe").dataset("ucf_crime").classes == tuple(CLASSES.values())
