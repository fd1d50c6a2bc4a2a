"""ShanghaiTech: lists and masks in the form that its users share, with empty videos."""

from pathlib import Path

import numpy as np
import pytest

from avadclip import recipes
from avadclip.config.loading import parse
from avadclip.datasets.load import load
from avadclip.datasets.model import Listing, Segment
from avadclip.errors import DatasetError
from tests.support.dataset_factory import make_dataset, write_videos

MASKS = {"01_0014": [0, 0, 1, 1, 0], "01_0015": [1, 0, 1, 1], "05_0017": [0, 0, 0]}


def read(root: Path, masks: dict[str, list[int]], train: str = "01_001\n01_0014\n") -> Listing:
    folder = root / "annotations"
    (folder / "test_frame_mask").mkdir(parents=True)
    (folder / "SH_Train.txt").write_text(train)
    (folder / "SH_Test.txt").write_text("01_0015\n01_029\n")
    for id_, mask in masks.items():
        np.save(folder / "test_frame_mask" / f"{id_}.npy", np.array(mask, np.uint8))
    write_videos(root, ["training/01_001.avi", "testing/01_0014.avi", "testing/01_0015.avi", "training/01_029.avi"])
    return load(make_dataset("shanghaitech", root, ("normal", "anomaly")))


def test_masks_say_what_is_anomalous_and_when(tmp_path: Path) -> None:
    listing = read(tmp_path, MASKS)
    assert {video.id: (video.split, video.labels) for video in listing.videos} == {
        "01_001": ("train", ("normal",)),
        "01_0014": ("train", ("anomaly",)),
        "01_0015": ("test", ("anomaly",)),
        "01_029": ("test", ("normal",)),
    }
    assert listing.segments == (Segment("01_0015", "anomaly", 0, 1), Segment("01_0015", "anomaly", 2, 4))
    assert listing.n_frames == {"01_0015": 4}


def test_a_test_video_without_an_anomalous_frame_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listing = read(tmp_path, MASKS | {"01_0015": [0, 0]})
    assert listing.segments == ()
    (message,) = caplog.messages
    assert "test_frame_mask: 1 masks of test videos have no 1" in message
    assert message.endswith(": 01_0015")


@pytest.mark.parametrize(
    ("masks", "train", "message"),
    [
        ({}, "01_001\n", "there are no frame masks"),
        (MASKS, "01_001\n01_029\n", "1 videos are in both lists, the first of them '01_029'"),
        (MASKS | {"01_0015": [0, 2]}, "01_001\n", "expected a mask .n_frames. of 0 and 1"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, masks: dict[str, list[int]], train: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, masks, train)


def test_the_recipe_is_valid() -> None:
    text = "datasets:\n" + recipes.read("shanghaitech")
    assert parse(text, "recipe").dataset("shanghaitech").kind == "shanghaitech"
