"""Segments of training videos: read only if the recipe asks for them, kept through every bag, and learned from."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from avadclip import config, paths, store
from avadclip.config.variants import Variant
from avadclip.datasets.ground_truth import read_ground_truth, write_ground_truth
from avadclip.datasets.model import ANY_CLASS, Segment, Video
from avadclip.datasets.splitting import hold_out
from avadclip.detectors.mil_head import MilHead
from avadclip.detectors.registry import settings_of
from avadclip.detectors.settings import Bag
from avadclip.errors import ConfigError
from avadclip.store.video import open_folders
from avadclip.training import loop
from avadclip.training.data import load_training_set
from avadclip.training.preparation import Run
from avadclip.training.run import _identity, train
from avadclip.training.segments import read_shares
from tests.support.training_factory import CLASSES, NAME, STRIDE, make_videos, write_training_project

VIDEOS = make_videos(18, 9)
TRAINING = {video.id for video in VIDEOS if video.split == "train"}
FRACTION = 0.3  # of the training videos, held out when rounds are validated


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project in which every anomalous video has a segment, including the training videos."""
    monkeypatch.chdir(tmp_path)
    write_training_project(tmp_path, VIDEOS, {"visual": 1.0, "audio": 1.0}, n_views=2, selection={"by": "last"})


def run_with(weight: float | None, selection: str = "last") -> Run:
    """Make a run of a small head; with weight None, the recipe does not name segments."""
    loss_weights = {} if weight is None else {"segments": weight}
    recipe = {"rounds": 3, "batch_size": 8, "bag": {"length": 16}, "loss_weights": loss_weights}
    values = settings_of("mil_head", {"members": 2, "hidden": 4, "recipe": recipe}).model_dump(mode="json")
    section = config.load().dataset(NAME)
    chosen = section.selection.model_copy(update={"by": selection, "validation_fraction": FRACTION})
    variant = Variant.model_validate({"kind": "mil_head", **values})
    return Run(NAME, section.model_copy(update={"selection": chosen}), "it", variant, "train.it", seed=0)


def trained(weight: float | None, selection: str = "last") -> bytes:
    """Train a detector, and return the bytes of its weights."""
    run = run_with(weight, selection)
    train(run, config.load().compute)
    return (run.folder / "model.safetensors").read_bytes()


def edit(change: Callable[[Segment], Segment | None]) -> None:
    """Change every segment of the ground truth; None removes it."""
    changed = map(change, read_ground_truth(paths.ground_truth(NAME)))
    write_ground_truth(paths.ground_truth(NAME), [segment for segment in changed if segment is not None])


def moved(ids: Iterable[str]) -> Callable[[Segment], Segment]:
    """Return a change that moves the segments of these videos."""
    return lambda s: replace(s, start_frame=0, end_frame=5) if s.id in ids else s


def test_without_a_weight_the_ground_truth_is_not_opened() -> None:
    expected = trained(None)
    paths.ground_truth(NAME).unlink()
    assert trained(0.0) == expected


def test_with_a_weight_but_without_segments_nothing_changes() -> None:
    expected = trained(None)
    edit(lambda segment: None if segment.id in TRAINING else segment)
    assert trained(1.0) == expected


def test_segments_of_training_videos_count_and_those_of_test_videos_never() -> None:
    expected = trained(1.0)
    edit(moved(video.id for video in VIDEOS if video.split == "test"))
    assert trained(1.0) == expected
    edit(lambda segment: segment if segment.id in TRAINING else None)
    assert trained(1.0) == expected
    edit(moved(TRAINING))
    assert trained(1.0) != expected


def test_segments_of_videos_that_validate_are_not_learned() -> None:
    held_out = hold_out([video for video in VIDEOS if video.split == "train"], FRACTION).validation
    expected = trained(1.0, "validation")
    edit(moved({video.id for video in held_out}))
    assert trained(1.0, "validation") == expected


def test_the_loss_is_among_the_curves_and_falls() -> None:
    trained(1.0)
    curve = (run_with(1.0).folder / "curves/plots/metrics/loss/segments.tsv").read_text().splitlines()[1:]
    values = [float(point.split("\t")[1]) for point in curve]
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


class KilledError(Exception):
    """Stands for a power cut."""


def test_killed_and_resumed_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trained(1.0)
    save_state, rounds = loop.save_state, []

    def save_and_die(*args: Any) -> None:
        save_state(*args)
        rounds.append(args[2].round)
        if len(rounds) == 1:
            raise KilledError

    monkeypatch.setattr(loop, "save_state", save_and_die)
    with pytest.raises(KilledError):
        trained(1.0)
    assert trained(1.0) == expected
    assert rounds == [1, 2, 3]


@pytest.mark.parametrize(("weight", "matters"), [(None, False), (0.0, False), (1.0, True)])
def test_another_ground_truth_is_another_run_only_with_a_weight(weight: float | None, matters: bool) -> None:
    def identity() -> str:
        return _identity(run_with(weight), VIDEOS, open_folders(NAME, ("visual",)), config.load().compute)

    before = identity()
    edit(moved(TRAINING))
    assert (identity() != before) == matters


def test_a_detector_without_gradient_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MilHead, "confidences", lambda self, output, batch: output.confidences.detach())
    with pytest.raises(ConfigError, match=r"recipe\.loss_weights\.segments: MilHead cannot learn from segments"):
        trained(1.0)


def share_slow(video: Video, segments: Iterable[Segment], snippet: int) -> float:
    frames = range(snippet * STRIDE, min((snippet + 1) * STRIDE, video.n_frames))
    marked = [frame for frame in frames if any(s.start_frame <= frame < s.end_frame for s in segments)]
    return len(marked) / len(frames)


def test_shares_are_those_of_a_loop_over_frames() -> None:
    random = np.random.default_rng(0)
    segments = []
    for video in VIDEOS[::2]:  # others have none
        for _ in range(random.integers(1, 4)):  # they may overlap
            start, end = sorted(random.choice(video.n_frames + 1, 2, replace=False).tolist())
            segments.append(Segment(video.id, CLASSES[1], start, end))
    whole = Segment(VIDEOS[1].id, CLASSES[1], 0, VIDEOS[1].n_frames)
    only_these = Segment(VIDEOS[1].id, ANY_CLASS, 2, 9)  # it alone decides which frames are anomalous
    write_ground_truth(paths.ground_truth(NAME), [*segments, whole, only_these])
    found = read_shares(NAME, VIDEOS, STRIDE, open_folders(NAME, ("audio",)))
    assert found.keys() == {video.id for video in (*VIDEOS[::2], VIDEOS[1])}
    for video in (video for video in VIDEOS if video.id in found):
        own = [s for s in segments if s.id == video.id] or [only_these]
        expected = [share_slow(video, own, snippet) for snippet in range(len(found[video.id]))]
        assert_array_equal(found[video.id], np.float32(expected))


BAGS = [
    Bag(kind="shorten", length=16),
    Bag(kind="resample", length=16),
    Bag(kind="pick", length=16),
    Bag(kind="blocks", length=8, block_snippets=3),
]


@pytest.mark.slow
@pytest.mark.parametrize(("together", "thinned"), [(False, False), (True, True)])
@pytest.mark.parametrize("bag", BAGS, ids=lambda bag: bag.kind)
def test_a_position_has_the_share_of_the_snippets_that_it_shows(bag: Bag, together: bool, thinned: bool) -> None:
    edit(lambda s: replace(s, start_frame=s.start_frame + 1, end_frame=s.end_frame - 2))  # some shares are quarters
    folders = open_folders(NAME, ("visual", "audio"))
    read = read_shares(NAME, VIDEOS, STRIDE, folders)
    shares = {video_id: share.astype(np.float16).astype(np.float32) for video_id, share in read.items()}  # as features
    for video in VIDEOS:  # the first number of a snippet says what its share is
        path = paths.features(NAME, "visual") / f"{video.id}.h5"
        features = store.read(path)
        features.values[..., 0] = shares.get(video.id, -1.0)
        store.write(path, features)
    kept = {v.id: np.arange(folders["visual"].n_snippets(v.id)) % 3 > 0 for v in VIDEOS} if thinned else None
    data = load_training_set(VIDEOS, folders, CLASSES, bag, 1.0, together, kept, shares)
    batch = data.batch(range(len(data.samples)), lambda longest: longest + 2, np.random.default_rng(0))
    assert batch.anomalous_share is not None
    assert batch.batch.visual is not None
    assert_array_equal(batch.anomalous_share, batch.batch.visual[..., 0])  # the same sums in the same order
    unmarked = batch.labels[:, 0] == 1
    assert (batch.anomalous_share[unmarked] == -1).equal(batch.batch.valid[unmarked])
