"""Timelines: which videos are drawn, what the pictures show, and that they are the same each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from avadclip import config
from avadclip.config.evaluation import Evaluate, Figures
from avadclip.datasets.model import Segment
from avadclip.errors import ConfigError
from avadclip.evaluation import timeline
from avadclip.evaluation.figures.draw_all import choose_detectors, draw_all
from avadclip.evaluation.figures.drawing import Picture, compose, draw
from avadclip.evaluation.figures.palette import CLASS_COLORS, EVENT_COLOR, PREFERRED, class_colors, preferred_first
from avadclip.evaluation.figures.selection import most_instructive, named
from avadclip.evaluation.testset import TestSet
from tests.support.evaluation_factory import CLASSES, detector_of, make_case, make_scores, make_video

VIDEOS = (
    make_video("found", 80, ["fighting"]),
    make_video("missed", 80, ["riot"]),
    make_video("disputed", 80, ["shooting"]),
    make_video("quiet", 80, ["normal"]),
    make_video("loud", 80, ["normal"], has_audio=False),
)
SEGMENTS = (
    Segment("found", "fighting", 20, 40),
    Segment("missed", "riot", 20, 40),
    Segment("missed", "fighting", 30, 60),
    Segment("disputed", "shooting", 20, 40),
)


def make_view(confidence: dict[str, float], variant: str = "audio_visual") -> timeline.Timeline:
    """A timeline with score `confidence[id]` in events and throughout normal videos, and 0.1 elsewhere."""
    made = make_scores(VIDEOS, CLASSES, 4, np.random.default_rng(0), variant=variant)
    view = timeline.strict(made, VIDEOS, SEGMENTS, CLASSES)
    inside = view.frames_inside(view.anomalous) > 0
    names = [view.videos[index].id for index in view.video]
    values = [
        confidence[name] if event or name in ("quiet", "loud") else 0.1
        for name, event in zip(names, inside, strict=True)
    ]
    return replace(view, branches=view.branches | {"alignment": np.array(values, np.float32)})


FIRST = {"found": 0.99, "missed": 0.0, "disputed": 0.5, "quiet": 0.0, "loud": 0.8}
SECOND = FIRST | {"disputed": 0.0}


def picture(video: str = "missed") -> Picture:
    view = make_view(FIRST)
    index = [entry.id for entry in view.videos].index(video)
    return compose({"audio_visual": view}, {"audio_visual": view.branches["alignment"]}, index, "why", 0.5)


def test_most_instructive_videos_take_turns() -> None:
    views = {"audio_visual": make_view(FIRST), "visual": make_view(SECOND, "visual")}
    chosen = most_instructive(views, "alignment", n_videos=4)
    ids = [views["audio_visual"].videos[choice.video].id for choice in chosen]
    assert ids == ["disputed", "found", "missed", "loud"]
    assert len({choice.reason for choice in chosen}) == 4


@pytest.mark.parametrize(("n_videos", "expected"), [(1, 1), (3, 3), (5, 5), (12, 5)])
def test_as_many_videos_as_asked_for_each_once(n_videos: int, expected: int) -> None:
    chosen = most_instructive({"audio_visual": make_view(FIRST)}, "alignment", n_videos)
    assert len({choice.video for choice in chosen}) == len(chosen) == expected


def test_videos_can_be_named() -> None:
    view = make_view(FIRST)
    assert [view.videos[choice.video].id for choice in named(view, ["quiet", "found"])] == ["quiet", "found"]
    with pytest.raises(ConfigError, match=r"figures\.videos: 'x' is not a test video"):
        named(view, ["x"])


def test_detectors_by_preference_or_by_name() -> None:
    known = ("ablation", "visual_baseline", "audio_visual", "b", "c")
    assert choose_detectors(known, ()) == ["audio_visual", "visual_baseline", "ablation", "b"]
    assert choose_detectors(known, ("c", "visual_baseline")) == ["c", "visual_baseline"]
    with pytest.raises(ConfigError, match="'x' was not scored"):
        choose_detectors(known, ("x",))
    with pytest.raises(ConfigError, match="at most 4"):
        choose_detectors(known, known)


def test_picture_is_in_seconds() -> None:
    found = picture()
    assert found.seconds == 80 / 24
    assert found.events == ((20 / 24, 60 / 24),)
    assert found.segments["fighting"] == ((30 / 24, 60 / 24),)
    assert found.segments["shooting"] == ()
    assert found.curves[0].edge_seconds[[0, 1, -1]].tolist() == [0, 4 / 24, 80 / 24]


def test_annotated_events_are_shaded_and_every_class_has_its_band() -> None:
    above, below = draw(picture()).axes
    shaded = [patch for patch in above.patches if to_hex(patch.get_facecolor()) == EVENT_COLOR.lower()]
    assert [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in shaded] == [(20 / 24, 60 / 24)]
    labels = [label.get_text() for label in below.get_yticklabels()]
    assert labels == ["fighting, annotated", "riot, annotated", "audio_visual"]


def test_normal_video_has_nothing_shaded() -> None:
    above, below = draw(picture("quiet")).axes
    assert not [patch for patch in above.patches if to_hex(patch.get_facecolor()) == EVENT_COLOR.lower()]
    assert [label.get_text() for label in below.get_yticklabels()] == ["annotated", "audio_visual"]


def test_detector_without_classes_has_a_curve_and_no_band() -> None:
    view = replace(make_view(FIRST), classes=())
    found = compose({"milder": view}, {"milder": view.branches["alignment"]}, 0, "", 0.5)
    assert [label.get_text() for label in draw(found).axes[1].get_yticklabels()] == ["shooting, annotated"]


def test_class_colors_are_distinct_until_they_run_out() -> None:
    colors = class_colors(["normal", *map(str, range(10))])
    assert len(set(colors.values())) == 1 + len(CLASS_COLORS)


@pytest.mark.slow
def test_the_same_bytes_are_drawn_twice_and_of_the_first_seed(tmp_path: Path) -> None:
    case = make_case(np.random.default_rng(4))
    detectors = [
        detector_of(
            *(
                make_scores(case.videos, case.classes, 4, np.random.default_rng([seed, n]), variant=variant, seed=seed)
                for seed in (0, 1)
            )
        )
        for n, variant in enumerate(("audio_visual", "visual"))
    ]
    test_set = TestSet("demo", "table", case.classes, 4, case.videos, case.segments)
    settings = Figures(n_videos=2, formats=("png", "svg"))
    firsts = [detector_of(detector.first.scores) for detector in detectors]
    drawn = [
        draw_all(tmp_path / folder, shown, test_set, Evaluate(), settings)
        for folder, shown in (("once", detectors), ("twice", firsts))
    ]
    assert len(drawn[0]) == 4
    for one, other in zip(*drawn, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


def test_detectors_that_come_first_are_those_of_the_shipped_parameters() -> None:
    params = config.load(Path(__file__).parents[2] / "params.yaml")
    variants = params.train.keys() | params.distill.keys()
    assert variants.issuperset(PREFERRED)
    assert preferred_first(["x", "visual_baseline", "y", "audio_visual"]) == [
        "audio_visual",
        "visual_baseline",
        "x",
        "y",
    ]
