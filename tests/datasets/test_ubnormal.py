"""UBnormal: lists and tracks in the form of the data set, with empty videos."""

from pathlib import Path

import pytest

from avadclip import recipes
from avadclip.config.loading import parse
from avadclip.datasets.load import load
from avadclip.datasets.model import Listing, Segment
from avadclip.errors import DatasetError
from tests.support.dataset_factory import make_dataset, write_videos

LISTS = {
    "normal_training": ["normal_scene_1_scenario_1"],
    "abnormal_training": ["abnormal_scene_1_scenario_2"],
    "normal_test": ["normal_scene_2_scenario_1"],
    "abnormal_test": ["abnormal_scene_2_scenario_2", "abnormal_scene_2_scenario_3_fog"],
}
TRACKS = {
    # Two objects at once, one right after, one much later; numpy writes whole numbers like that, too.
    "abnormal_scene_2_scenario_2": "1,10,19\n2,15,24\n3,25,29\n1.000e+00,1.00e+02,1.20e+02\n",
    "abnormal_scene_2_scenario_3_fog": "1,0,0\n",
}


def read(root: Path, lists: dict[str, list[str]], tracks: dict[str, str], place: str = "videos/Scene2") -> Listing:
    (root / "annotations").mkdir(parents=True)
    for part, names in lists.items():
        (root / "annotations" / f"{part}_video_names.txt").write_text("\n".join(names) + "\n")
    names = [f"Scene2/{name}.mp4" for part in LISTS.values() for name in part]
    write_videos(root, [*names, "Scene2/normal_scene_2_scenario_9.mp4"])
    for name, text in tracks.items():
        folder = root / place / f"{name}_annotations"
        folder.mkdir(parents=True)
        (folder / f"{name}_tracks.txt").write_text(text)
    return load(make_dataset("ubnormal", root, ("normal", "anomaly")))


@pytest.mark.parametrize("place", ["videos/Scene2", "annotations"])
def test_tracks_say_when(tmp_path: Path, place: str) -> None:
    listing = read(tmp_path, LISTS, TRACKS, place)
    assert {video.id: (video.split, video.labels) for video in listing.videos} == {
        "normal_scene_1_scenario_1": ("train", ("normal",)),
        "abnormal_scene_1_scenario_2": ("train", ("anomaly",)),
        "normal_scene_2_scenario_1": ("test", ("normal",)),
        "abnormal_scene_2_scenario_2": ("test", ("anomaly",)),
        "abnormal_scene_2_scenario_3_fog": ("test", ("anomaly",)),
    }
    assert listing.segments == (
        Segment("abnormal_scene_2_scenario_2", "anomaly", 10, 30),
        Segment("abnormal_scene_2_scenario_2", "anomaly", 100, 121),
        Segment("abnormal_scene_2_scenario_3_fog", "anomaly", 0, 1),
    )


@pytest.mark.parametrize(
    ("lists", "tracks", "message"),
    [
        (
            LISTS,
            {},
            "2 abnormal test videos have no file <name>_tracks.txt: .*abnormal_scene_2_scenario_2",
        ),
        (LISTS | {"normal_test": LISTS["abnormal_test"]}, TRACKS, "is in another list too"),
        ({k: v for k, v in LISTS.items() if k != "normal_test"}, TRACKS, "normal_test_video_names.txt: no such file"),
        (LISTS, TRACKS | {"abnormal_scene_2_scenario_3_fog": "1,5\n"}, "line 1: expected <object>,<first frame>"),
        (LISTS, TRACKS | {"abnormal_scene_2_scenario_3_fog": "1,7,5\n"}, "line 1: expected frames 0 <= first"),
        (LISTS, TRACKS | {"abnormal_scene_2_scenario_3_fog": "1,nan,5\n"}, "line 1: expected frames 0 <= first"),
    ],
)
def test_wrong_files_are_refused(
    tmp_path: Path, lists: dict[str, list[str]], tracks: dict[str, str], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, lists, tracks)


def test_the_recipe_is_valid() -> None:
    text = "datasets:\n" + recipes.read("ubnormal")
    assert parse(text, "recipe").dataset("ubnormal").kind == "ubnormal"
