"""Which normal videos the threshold for alarms may be chosen on."""

from dataclasses import replace

import pytest

from avadclip.config.training import Selection
from avadclip.datasets import splitting
from avadclip.datasets.model import Video
from avadclip.datasets.splitting import level_videos, split_training
from tests.support.evaluation_factory import make_video

LAST = Selection(by="last")
VALIDATION = Selection(by="validation", validation_fraction=0.3)


def make_videos(n_train: int, n_test: int) -> list[Video]:
    """Make training and test videos; every third one is anomalous."""
    return [
        make_video(
            f"v{index:03}",
            100,
            ["riot"] if index % 3 == 0 else ["normal"],
            split="train" if index < n_train else "test",
            content_hash=f"{index:064x}",
        )
        for index in range(n_train + n_test)
    ]


@pytest.mark.parametrize("selection", [LAST, VALIDATION, Selection(by="released_test_selected")])
def test_normal_training_videos_and_never_a_test_video_nor_a_copy_of_one(selection: Selection) -> None:
    videos = make_videos(30, 12)
    videos[1] = replace(videos[1], content_hash=videos[40].content_hash)
    videos[2] = replace(videos[2], excluded="a reason", content_hash="")
    chosen = level_videos(videos, selection)
    assert {video.split for video in chosen} == {"train"}
    assert all(video.is_normal and not video.excluded for video in chosen)
    assert {"v001", "v002"}.isdisjoint(video.id for video in chosen)
    assert [video.id for video in chosen] == sorted(video.id for video in chosen)
    split = split_training(videos, selection)
    candidates = split.validation if selection.by == "validation" else split.train
    assert set(chosen) == {video for video in candidates if video.is_normal and video.id != "v001"}
    assert len(chosen) == (5 if selection.by == "validation" else 18)


def test_where_all_videos_held_out_are_copies_of_test_videos_those_for_training_remain() -> None:
    videos = make_videos(60, 30)
    held_out = {video.id for video in split_training(videos, VALIDATION).validation}
    copied = [replace(v, content_hash=videos[-1].content_hash) if v.id in held_out else v for v in videos]
    chosen = level_videos(copied, VALIDATION)
    assert set(chosen) == {v for v in copied if v.split == "train" and v.is_normal and v.id not in held_out}


@pytest.mark.parametrize(("n_test", "expected"), [(0, 5), (3, 5), (9, 9), (90, 40)])
def test_as_many_as_are_tested_or_enough(n_test: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "ENOUGH", 5)
    videos = make_videos(60, n_test)
    chosen = level_videos(videos, LAST)
    assert len(chosen) == expected
    assert level_videos(videos[::-1], LAST) == chosen
    # One more video replaces at most one of the chosen videos.
    more = [*videos, make_video("new", 100, ["normal"], split="train", content_hash="f" * 64)]
    assert len({video.id for video in chosen} - {video.id for video in level_videos(more, LAST)}) <= 1
