"""Held-out snippets are never trained on, and the better setting is found without a test video."""

import weakref
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from avadclip import cli
from avadclip.config.training import Compute
from avadclip.datasets.model import Video
from avadclip.store.video import Folders, VideoFeatures
from avadclip.training import cross_validation
from avadclip.training.cross_validation import HeldOut, snippet_folds
from tests.support import pages
from tests.support.training_factory import NAME, make_videos, write_training_project

GOOD = {
    "kind": "mil_head",
    "hidden": 16,
    "recipe": {"rounds": 2, "steps_per_round": 50, "optimizer": {"learning_rate": 3e-3}},
}
TRAIN = {
    "good": GOOD,
    "deaf": GOOD | {"modalities": ["audio"]},
    "imported": {"checkpoint": "a.safetensors", "sha256": "0" * 64, "kind": "audio_visual"},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Video]:
    """A project whose anomalies can be seen but not heard."""
    videos = make_videos(24, 6)
    train = {name: values for name, values in TRAIN.items() if name != "imported"}
    write_training_project(tmp_path, videos, {"visual": 2.0, "audio": 0.0}, train=train)
    monkeypatch.chdir(tmp_path)
    return videos


def test_a_snippet_that_comes_again_is_held_out_with_its_first_appearance() -> None:
    videos = make_videos(12, 0)
    random = np.random.default_rng(0)
    rows = random.standard_normal((60, 32)).astype(np.float32)
    rows[37] = rows[4]  # the third snippet of video 7, and the last of video 0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    folds = snippet_folds(videos, [5] * 12, rows, 4)
    assert [len(each) for each in folds] == [5] * 12
    assert folds[7][2] == folds[0][4]
    for index, each in enumerate(folds):
        others = each if index != 7 else np.delete(each, 2)
        assert len(set(others)) == 1  # every other snippet stays with its video
    for sort in (True, False):
        dealt = [each[0] for each, video in zip(folds, videos, strict=True) if video.is_normal == sort]
        counts = np.bincount(dealt, minlength=4)
        assert counts.max() - counts.min() <= 1
    again = snippet_folds(videos, [5] * 12, rows, 4)
    assert all(np.array_equal(a, b) for a, b in zip(folds, again, strict=True))


def test_ranking_lets_one_detector_name_and_the_other_rank() -> None:
    random = np.random.default_rng(1)
    videos = np.repeat(np.arange(6), 20)
    is_anomalous = videos < 3
    scores = random.random((2, 120)).astype(np.float32)
    expected = []
    for names, ranks in ((0, 1), (1, 0)):
        chosen = [
            max_ for v in range(3) for max_ in sorted(np.flatnonzero(videos == v), key=lambda s: -scores[names, s])[:3]
        ]
        normal = np.flatnonzero(~is_anomalous)
        found = scores[ranks, [*chosen, *normal]]
        expected.append(roc_auc_score([1] * len(chosen) + [0] * len(normal), found))
    assert HeldOut(videos, is_anomalous, scores).ranking() == pytest.approx(np.mean(expected))


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_of_many_snippets_one_video_at_a_time_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    read, returned = cross_validation.read_video, []

    def spy_read(folders: Folders, video_id: str) -> VideoFeatures:
        alive.append(sum(each() is not None for each in returned))
        features = read(folders, video_id)
        returned.append(weakref.ref(features))
        return features

    monkeypatch.setattr(cross_validation, "read_video", spy_read)
    alive: list[int] = []
    few = cross_validate()
    assert max(alive) == len(alive) - 1  # each is read once, and stays
    alive.clear()
    returned.clear()
    monkeypatch.setattr(cross_validation, "MOST_SNIPPETS", len(few.videos) - 1)
    many = cross_validate()
    assert max(alive) == 0
    assert many.scores.shape == few.scores.shape
    assert (many.scores > 0).all()


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_no_detector_sees_what_it_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, asked = [], []
    prepare, detect = cross_validation.prepare, cross_validation.detect

    def spy_prepare(run, compute, videos, folders, seed, kept):
        seen.append({(video.id, i) for video in videos for i in np.flatnonzero(kept[video.id])})
        asked.append(0)
        return prepare(run, compute, videos, folders, seed, kept)

    def spy_detect(detector, video, device):
        asked[-1] += video.n_snippets
        return detect(detector, video, device)

    monkeypatch.setattr(cross_validation, "prepare", spy_prepare)
    monkeypatch.setattr(cross_validation, "detect", spy_detect)
    found = cross_validate()
    assert len(seen) == 8  # two detectors for each fold
    assert sum(asked) == 2 * len(found.videos)  # each snippet by two detectors
    everything = set().union(*seen)
    assert all(len(each) + n == len(everything) for each, n in zip(seen, asked, strict=True))
    assert (found.scores > 0).all()


def cross_validate() -> HeldOut:
    """Of a detector that learns for two steps, which is enough to see who reads what."""
    from avadclip import config
    from avadclip.config.variants import Variant
    from avadclip.training.preparation import Run

    short = Variant.model_validate(GOOD | {"recipe": {"rounds": 1, "steps_per_round": 2}})
    run = Run(NAME, config.load().dataset(NAME), "good", short, "train.good", 0)
    return cross_validation.cross_validate(run, Compute(device="cpu"), 4)[-1]["classification"]


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_choose_prefers_what_generalises_and_is_the_same_twice() -> None:
    here = {"mine": NAME, "ensemble": "good", "mil_head": "deaf"}  # the only variants here
    typed = pages.commands("docs/held-out.md", "Choosing for your own data")
    words = [[here.get(word, word) for word in command.split()[1:]] for command in typed]
    first, second = (CliRunner().invoke(cli.app, [*some, "--folds", "2"]) for some in words)
    assert first.exit_code == 0, first.output
    assert first.output == second.output
    assert first.output.endswith("highest `when`: good\n")
    when = {line.split()[0]: float(line.split()[2]) for line in first.output.splitlines()[:2]}
    assert when["good"] > 0.8 > when["deaf"]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "train.nothing: not a variant that is trained from labels; there are: good, deaf"),
        (
            ["good", "--folds", "40"],
            "40 folds need as many training videos of each sort, found 8 normal and 16 anomalous; use fewer folds",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(words: list[str], message: str) -> None:
    ended = CliRunner().invoke(cli.app, ["choose", NAME, *words])
    assert ended.exit_code == 1
    assert message in ended.output
