"""Bins, samples, splits and windows."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from avadclip import paths, store
from avadclip.datasets.model import Segment, Video
from avadclip.datasets.splitting import hold_out
from avadclip.detectors.inference import detect, split
from avadclip.detectors.parts.padding import PaddingDetector, PaddingSettings
from avadclip.detectors.protocol import Batch, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Bag
from avadclip.errors import FeatureError, TrainingError
from avadclip.store.video import VideoFeatures, open_folders, read_video
from avadclip.training.bags import bag_audio, bag_visual, draw, stored_length
from avadclip.training.data import TrainingSet, load_training_set
from avadclip.training.fitness import check_trainable
from avadclip.training.selection import released_test_score, validation_score
from tests.support.training_factory import (
    CLASSES,
    NAME,
    STRIDE,
    WIDTHS,
    make_videos,
    random_batch,
    write_training_project,
)

RANDOM = np.random.default_rng(0)  # only bags of kind `blocks` draw from it


def bins_slow(values: np.ndarray, n_bins: int) -> np.ndarray:
    edges = [int(edge) for edge in np.linspace(0, len(values), n_bins + 1)]
    return np.array([values[a:b].astype(np.float64).mean(axis=0) if b > a else values[a] for a, b in pairwise(edges)])


@pytest.mark.parametrize(("n", "n_bins"), [(257, 256), (300, 256), (512, 256), (1000, 7), (9, 8)])
def test_bins_are_means_between_rounded_edges(n: int, n_bins: int) -> None:
    values = np.random.default_rng(0).standard_normal((2, n, 5)).astype(np.float16)
    expected = [bins_slow(view, n_bins) for view in values]
    for kind in ("shorten", "resample"):
        bagged = bag_visual(Bag(kind=kind, length=n_bins), values)
        assert_allclose(bagged, expected, rtol=1e-5, atol=1e-6)  # float32 sums


@pytest.mark.parametrize("kind", ["shorten", "pick"])
@pytest.mark.parametrize("n", [1, 255, 256])
def test_short_videos_stay_as_they_are(n: int, kind: str) -> None:
    values = np.random.default_rng(0).standard_normal((n, 5)).astype(np.float16)
    assert_array_equal(bag_visual(Bag(kind=kind, length=256), values), values.astype(np.float32))


@pytest.mark.parametrize("n", [1, 2, 7, 31, 32, 33, 90])
def test_resampling_gives_every_video_the_same_length(n: int) -> None:
    values = np.random.default_rng(0).standard_normal((n, 5)).astype(np.float16)
    bagged = bag_visual(Bag(kind="resample", length=32), values)
    assert_allclose(bagged, bins_slow(values, 32), rtol=1e-5, atol=1e-6)  # float32 sums


@pytest.mark.parametrize(("n", "expected"), [(9, [0, 2, 5, 8]), (5, [0, 1, 2, 4]), (4, [0, 1, 2, 3]), (2, [0, 1])])
def test_picked_snippets_are_evenly_spaced(n: int, expected: list[int]) -> None:
    values = np.arange(n, dtype=np.float16)[:, None]
    valid = np.arange(n) % 2 == 0
    assert_array_equal(bag_visual(Bag(kind="pick", length=4), values)[:, 0], expected)
    bagged = bag_audio(Bag(kind="pick", length=4), values, valid)
    assert_array_equal(bagged.valid, [i % 2 == 0 for i in expected])
    assert_array_equal(bagged.values[:, 0], [i if i % 2 == 0 else 0 for i in expected])


@pytest.mark.parametrize("n", [1, 3, 8, 100])
def test_blocks_are_consecutive_and_begin_in_their_part(n: int) -> None:
    bag, random = Bag(kind="blocks", length=4, block_snippets=5), np.random.default_rng(0)
    assert stored_length(bag, n) == n
    firsts = set()
    for _ in range(50):
        chosen = draw(bag, n, random)
        blocks = np.asarray(chosen).reshape(4, 5)
        assert_array_equal(blocks, (blocks[:, :1] + np.arange(5)) % n)
        edges = [int(edge) for edge in np.linspace(0, n, 5)]
        for first, start, end in zip(blocks[:, 0], edges[:-1], edges[1:], strict=True):
            assert start <= first < max(end, start + 1) or n < 4
        firsts.add(tuple(blocks[:, 0]))
    assert len(firsts) > 1 or n < 8  # drawn anew each time


def test_audio_bins_average_what_is_valid() -> None:
    values = np.array([[1.0], [3.0], [5.0], [7.0], [9.0], [11.0]], np.float16)
    valid = np.array([True, False, False, False, True, True])
    binned = bag_audio(Bag(kind="shorten", length=3), values, valid)
    assert_array_equal(binned.valid, [True, False, True])  # half of a bin is enough
    assert_array_equal(binned.values, [[1.0], [0.0], [10.0]])


@pytest.mark.parametrize(("n", "lengths"), [(1, [1]), (255, [255]), (256, [256]), (257, [256, 1]), (768, [256] * 3)])
def test_windows_hold_every_snippet_once(n: int, lengths: list[int]) -> None:
    windows = split(n, 256)
    assert [window.stop - window.start for window in windows] == lengths
    assert [i for window in windows for i in range(n)[window]] == list(range(n))


class Echo(PaddingDetector):
    """A detector that returns the first visual number of each snippet as its logit."""

    Settings = PaddingSettings

    def __init__(self, mask_padding: bool) -> None:
        super().__init__(PaddingSettings(mask_padding=mask_padding), Dimensions({"visual": 3}, 2, 8))

    @classmethod
    def needs(cls, settings: object) -> Needs:
        return Needs(("visual",))

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.snippets(batch, "visual")[:, :, 0]

    def losses(self, output: torch.Tensor, batch: Batch, targets: Targets) -> dict[str, torch.Tensor]:
        return {"echo": output.sum()}

    def scores(self, output: torch.Tensor, batch: Batch) -> Scores:
        return Scores(output.sigmoid(), torch.stack([-output, output], dim=2).softmax(dim=2))


def video_of(first_numbers: np.ndarray, video_id: str = "a") -> VideoFeatures:
    visual = np.zeros((2, len(first_numbers), 3), np.float16)
    visual[0, :, 0] = first_numbers
    visual[1] = 99  # a view other than the centre, which testing ignores
    return VideoFeatures(video_id, visual, None, None)


@pytest.mark.parametrize("mask_padding", [True, False])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 200])
def test_windows_are_joined_in_order(n: int, mask_padding: bool) -> None:
    numbers = np.linspace(-2, 2, n).astype(np.float16).astype(np.float32)
    scores = detect(Echo(mask_padding), video_of(numbers), "cpu")
    confidence = 1 / (1 + np.exp(-numbers))
    assert_allclose(scores.anomaly_confidence, confidence, rtol=1e-6)
    assert scores.class_probabilities is not None
    assert_allclose(scores.class_probabilities[:, 1], 1 / (1 + np.exp(-2 * numbers)), rtol=1e-6)
    assert_allclose(scores.anomaly_probability, scores.class_probabilities[:, 1], atol=1e-6)
    assert scores.uncertainty is None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Video]:
    monkeypatch.chdir(tmp_path)
    videos = make_videos(6, 6)
    write_training_project(tmp_path, videos, {"visual": 1.0, "audio": 1.0}, n_views=3)
    return videos


def load(videos: list[Video], memory_gib: float = 1.0) -> TrainingSet:
    return load_training_set(videos, open_folders(NAME, ("visual", "audio")), CLASSES, Bag(length=32), memory_gib)


def test_every_view_is_a_sample_with_the_audio_of_its_video(project: list[Video]) -> None:
    data = load(project)
    assert len(data.samples) == 3 * len(project)
    assert data.widths == WIDTHS
    folders = open_folders(NAME, ("visual", "audio"))
    for index, video in enumerate(project):
        features = read_video(folders, video.id)
        assert features.visual is not None
        assert features.audio is not None
        n = min(features.n_snippets, 32)
        loaded = data.batch([3 * index, 3 * index + 1, 3 * index + 2], lambda longest: 32, RANDOM)
        assert loaded.batch.n_snippets.tolist() == [n] * 3
        assert loaded.batch.visual is not None
        assert loaded.batch.audio is not None
        assert_array_equal(loaded.batch.visual[:, :n], bag_visual(Bag(length=32), features.visual))
        assert_array_equal(loaded.batch.audio[2, :n], bag_visual(Bag(length=32), features.audio))
        assert loaded.batch.visual[:, n:].abs().sum() == 0
        assert loaded.labels[0].tolist() == [float(name in video.labels) for name in CLASSES]


def test_memory_mapped_is_the_same(project: list[Video]) -> None:
    in_memory, mapped = load(project), load(project, memory_gib=1e-9)
    assert isinstance(mapped.visual, np.memmap)
    assert isinstance(mapped.audio, np.memmap)
    assert_array_equal(mapped.visual, in_memory.visual)
    assert_array_equal(mapped.audio, in_memory.audio)


def rewrite(video: Video, modality: str, **changes: object) -> None:
    path = paths.features(NAME, modality) / f"{video.id}.h5"
    store.write(path, replace(store.read(path), **changes))


def test_modalities_off_one_timeline_are_refused(project: list[Video]) -> None:
    audio = store.read(paths.features(NAME, "audio") / f"{project[1].id}.h5")
    changes = {"values": audio.values[1:], "valid": audio.valid[1:], "boundary_seconds": audio.boundary_seconds[1:]}
    rewrite(project[1], "audio", **changes)
    with pytest.raises(FeatureError, match="video001: expected the same number of snippets in all modalities"):
        load(project)


def test_another_width_or_recipe_in_one_video_is_refused(project: list[Video]) -> None:
    visual = store.read(paths.features(NAME, "visual") / f"{project[2].id}.h5")
    rewrite(project[2], "visual", values=visual.values[:, :, :5])
    with pytest.raises(FeatureError, match="video002 and video000: visual features differ"):
        load(project)
    rewrite(project[2], "visual", values=visual.values, recipe={"modality": "visual", "stride": 8})
    with pytest.raises(FeatureError, match="another recipe: stride is 8, expected 4"):
        load(project)


def test_hold_out_is_stratified_and_always_the_same() -> None:
    videos = [*make_videos(30, 0), replace(make_videos(1, 0)[0], id="both", labels=("fighting", "car accident"))]
    part = hold_out(videos, fraction=0.2)
    assert sorted(v.id for v in part.train + part.validation) == sorted(v.id for v in videos)
    for name in CLASSES:
        assert sum(v.labels == (name,) for v in part.validation) == 2
    assert "both" in {v.id for v in part.train}  # the only one of its kind
    assert hold_out(videos, fraction=0.2) == part


NORMAL, FIGHT, ACCIDENT = make_videos(3, 0)
UNTRAINABLE = [
    ([], "no training videos"),
    ([NORMAL, NORMAL], "all 2 training videos are normal"),
    ([NORMAL, FIGHT], "no training video has class car accident; label some, or drop it"),
    ([FIGHT, ACCIDENT], "no training video has class normal; a detector needs normal ones too: label some, or give"),
    ([FIGHT], "no training video has class normal, car accident; a detector needs normal ones too"),
]


@pytest.mark.parametrize(("videos", "message"), UNTRAINABLE)
def test_untrainable_videos_are_refused(videos: list[Video], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check_trainable(videos, CLASSES)


def test_validation_needs_both_kinds_of_videos() -> None:
    with pytest.raises(TrainingError, match="found 0 normal and 2 anomalous"):
        validation_score([FIGHT, ACCIDENT], {}, torch.device("cpu"))


def frame_level_ap_slow(scores: dict[str, np.ndarray], videos: list[Video], segments: list[Segment]) -> float:
    """AP from one value a frame, with precision counted by hand at each distinct score."""
    values, truths = [], []
    for video in videos:
        for frame in range(max(1, video.n_frames // STRIDE) * STRIDE):
            values.append(scores[video.id][frame // STRIDE])
            truths.append(any(s.id == video.id and s.start_frame <= frame < s.end_frame for s in segments))
    value, truth = np.array(values), np.array(truths)
    total, before = 0.0, 0
    for threshold in sorted(set(values), reverse=True):
        hits = truth[value >= threshold].sum()
        total += (hits - before) / truth.sum() * hits / (value >= threshold).sum()
        before = hits
    return total


def test_released_selection_is_frame_level_ap_of_whole_snippets(project: list[Video]) -> None:
    # Echo looks at three numbers a snippet.
    for video in project:
        visual = store.read(paths.features(NAME, "visual") / f"{video.id}.h5")
        rewrite(video, "visual", values=visual.values[:, :, :3])
    segments = [Segment("video001", "fighting", 5, 30), Segment("video002", "car accident", 0, 9)]
    segments += [Segment("video002", "fighting", 6, 15)]  # overlaps
    chosen, folders = project[:5], open_folders(NAME, ("visual",))
    judge = released_test_score(chosen, segments, STRIDE, folders, torch.device("cpu"))
    shown = {v.id: detect(Echo(True), read_video(folders, v.id), "cpu").anomaly_probability for v in chosen}
    assert judge(Echo(True)) == pytest.approx(frame_level_ap_slow(shown, chosen, segments), rel=1e-9)


def test_a_batch_moves_as_a_whole() -> None:
    moved = replace(random_batch([3], 4), audio=None).to("meta")
    assert moved.audio is None
    assert moved.visual is not None
    assert {moved.visual.device.type, moved.n_snippets.device.type} == {"meta"}
