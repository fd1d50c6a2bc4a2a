"""The distance from the training videos is at most 1 for similar videos and higher for others."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from safetensors.numpy import save

from avadclip import store
from avadclip.errors import CheckpointError, DatasetError
from avadclip.prediction.document import UNLIKE_TRAINING, Prediction
from avadclip.prediction.familiarity import (
    FAMILIARITY,
    FORMAT,
    MARGIN,
    MIN_VIDEOS,
    Reference,
    describe,
    distance,
    learn,
    read_distances,
    read_familiarity,
    unit_snippets,
    write_distances,
    write_familiarity,
)
from avadclip.prediction.writing import SCHEMA
from avadclip.report.payload import facts
from avadclip.store import FeatureFolder, Features, Source
from tests.support.evaluation_factory import make_video
from tests.support.report_factory import make_prediction

WIDTH = 48
SCENES = np.random.default_rng(7).standard_normal((5, WIDTH))  # what the cameras of this made-up world see
COMMON = np.random.default_rng(8).standard_normal(WIDTH) * 2  # features of one encoder lie in a cone


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make_videos(n: int, seed: int, n_snippets: int = 20) -> list[np.ndarray]:
    """Videos of this world, each with a scene, a camera and movement; unit vectors, [n_snippets, WIDTH] each."""
    rng = np.random.default_rng(seed)
    scenes = SCENES[rng.integers(0, len(SCENES), n)]
    return [
        unit(COMMON + scene + 0.3 * rng.standard_normal(WIDTH) + 0.5 * rng.standard_normal((n_snippets, WIDTH)))
        for scene in scenes
    ]


@pytest.fixture(scope="module")
def reference() -> Reference:
    found = describe(make_videos(120, seed=0))
    assert found is not None
    return found


def permuted(video: np.ndarray) -> np.ndarray:
    return video[:, np.random.default_rng(1).permutation(WIDTH)]


def of_another_world(video: np.ndarray) -> np.ndarray:
    return unit(np.random.default_rng(2).standard_normal(video.shape))


def of_another_scene(video: np.ndarray) -> np.ndarray:
    return unit(video + np.random.default_rng(3).standard_normal(WIDTH) / 4)


FOREIGN = [permuted, of_another_world, of_another_scene, np.negative]


@pytest.mark.parametrize("n_snippets", [15, 20, 200])
def test_videos_of_the_same_world_are_not_marked(reference: Reference, n_snippets: int) -> None:
    """After 120 training videos, one in 121 is expected to be. (A mean of fewer snippets lies farther out.)"""
    found = [reference.distance(video) for video in make_videos(200, seed=4, n_snippets=n_snippets)]
    assert np.mean(np.array(found) > 1) <= 0.02


@pytest.mark.parametrize("n_snippets", [1, 3, 20, 200])
@pytest.mark.parametrize("change", FOREIGN)
def test_what_is_foreign_is_marked(
    reference: Reference, change: Callable[[np.ndarray], np.ndarray], n_snippets: int
) -> None:
    found = [reference.distance(change(video)) for video in make_videos(20, seed=5, n_snippets=n_snippets)]
    assert min(found) > 1


def test_the_distance_is_that_of_the_covariance(reference: Reference) -> None:
    """Compared with the Mahalanobis distance in the main directions and the rest of the vector, written out."""
    means = np.stack([video.mean(axis=0) for video in make_videos(120, seed=0)])
    values, vectors = np.linalg.eigh(np.cov(means.T))
    largest = np.argsort(values)[::-1]
    main, rest = largest[:8], largest[8:]
    for video in make_videos(5, seed=6):
        offset = video.mean(axis=0) - means.mean(axis=0)
        parts = vectors.T @ offset
        inside = sum(parts[i] ** 2 / (values[i] + 1e-6) for i in main) / 8
        outside = sum(parts[i] ** 2 for i in rest) / (values[rest].sum() + 1e-6)
        expected = np.sqrt((inside + outside) / 2) / (MARGIN * reference.farthest[0])
        assert reference.distance(video) == pytest.approx(expected, abs=1e-4)  # float32, and four digits


def test_few_videos_say_nothing_about_the_next_one() -> None:
    videos = make_videos(MIN_VIDEOS, seed=0)
    nothing = np.zeros((0, WIDTH))
    assert describe(videos[1:]) is None
    assert describe([*videos[1:], nothing]) is None
    assert describe([nothing, *videos]) is not None


def test_training_videos_that_are_all_the_same() -> None:
    same = unit(np.ones((3, WIDTH)))
    found = describe([same] * MIN_VIDEOS)
    assert found is not None
    assert found.distance(same) < 0.1
    assert found.distance(-same) > 100


def make_features(video: np.ndarray, valid: np.ndarray | None = None, video_id: str = "a") -> Features:
    n = len(video)
    valid = np.ones(n, bool) if valid is None else valid
    values = (5 * video * valid[:, None]).astype(np.float16)  # encoders do not normalise
    return Features(Source(video_id, "0" * 64, n, 25.0), {"made": "here"}, values, valid, np.arange(n + 1.0), "none")


def test_only_snippets_that_have_a_feature_count(reference: Reference) -> None:
    (video,), (other,) = make_videos(1, seed=9), make_videos(1, seed=10)
    valid = np.arange(20) < 12
    cut = make_features(video, valid)
    np.testing.assert_allclose(unit_snippets(cut), video[:12], atol=1e-3)  # float16
    both = np.stack([cut.values, 5 * other.astype(np.float16)])
    views = Features(cut.source, {}, both, valid, cut.boundary_seconds, "none")
    np.testing.assert_array_equal(unit_snippets(views), unit_snippets(cut))
    zeros = make_features(video * valid[:, None])  # imported features mark silence in no other way
    np.testing.assert_array_equal(unit_snippets(zeros), unit_snippets(cut))


def test_the_modality_that_is_farthest_decides(reference: Reference) -> None:
    (video,) = make_videos(1, seed=9)
    near, far = make_features(video), make_features(permuted(video))
    silent = make_features(video, np.zeros(20, bool))
    both = {"visual": reference, "audio": reference}
    as_near, as_far = (reference.distance(unit_snippets(features)) for features in (near, far))
    assert as_near < 1 < as_far
    assert distance(both, {"visual": near, "audio": far}) == distance(both, {"visual": far, "audio": near}) == as_far
    assert distance(both, {"visual": near, "audio": silent}) == distance(both, {"visual": near}) == as_near
    assert distance({"visual": reference}, {"visual": near, "audio": far}) == as_near
    assert distance(both, {"visual": silent, "audio": silent}) is distance({}, {"visual": far}) is None


def test_a_file_says_what_was_written(reference: Reference, tmp_path: Path) -> None:
    written = {"audio": describe(make_videos(30, seed=1, n_snippets=3)), "visual": reference}
    for name in ("once", "twice"):
        write_familiarity(tmp_path / name, written)
    assert (tmp_path / "once" / FAMILIARITY).read_bytes() == (tmp_path / "twice" / FAMILIARITY).read_bytes()
    found = read_familiarity(tmp_path / "once")
    assert found.keys() == written.keys()
    for name, of_modality in found.items():
        for key, value in vars(of_modality).items():
            np.testing.assert_array_equal(value, getattr(written[name], key))
    write_familiarity(tmp_path, {})  # too few videos
    assert read_familiarity(tmp_path) == {}
    assert read_familiarity(tmp_path / "of an older version") == {}


def changed(**arrays: object) -> Callable[[Reference], bytes]:
    def spoil(reference: Reference) -> bytes:
        tensors = {f"visual.{key}": arrays.get(key, value) for key, value in vars(reference).items()}
        tensors = {key: np.asarray(value, np.float32) for key, value in tensors.items() if value is not None}
        return save(tensors, metadata={"format": FORMAT})

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _: b"", "damaged: "),
        (lambda _: b"no tensors at all", "damaged: "),
        (lambda reference: changed()(reference)[:-9], "damaged: "),
        (lambda _: save({"visual.centre": np.zeros(3)}), f"expected format {FORMAT}, found None"),
        (lambda _: save({}, metadata={"format": "avadclip-familiarity/7"}), "format .*/7 is newer .*: update avadclip"),
        (changed(farthest=None), "damaged: 'visual.farthest'"),
        (changed(centre=np.zeros(3)), "damaged: the shapes"),
        (changed(directions=np.zeros(3)), "damaged: "),
        (changed(farthest=[]), "damaged: the shapes"),
        (changed(farthest=[np.nan]), "damaged: .* not finite"),
        (changed(farthest=[0.0]), "damaged: .* not above 0"),
    ],
)
def test_a_damaged_file_is_one_line(
    reference: Reference, tmp_path: Path, spoil: Callable[[Reference], bytes], message: str
) -> None:
    (tmp_path / FAMILIARITY).write_bytes(spoil(reference))
    with pytest.raises(CheckpointError, match=f"{FAMILIARITY}: {message}") as error:
        read_familiarity(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("far", "is_unlike"), [(None, False), (0.5, False), (1.0, False), (1.0001, True)])
def test_a_prediction_says_how_far_the_video_is(far: float | None, is_unlike: bool) -> None:
    prediction = replace(make_prediction(), distance_from_training=far)
    content = prediction.to_json()
    assert (content["distance_from_training"], content["unlike_training"]) == (far, is_unlike)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(content, {"$defs": schema["$defs"], "$ref": "#/$defs/video"})
    assert Prediction.from_json(content).to_json() == content
    assert facts(prediction)["unlikeTraining"] == (UNLIKE_TRAINING if is_unlike else None)


def test_training_videos_are_learnt_and_test_videos_judged(tmp_path: Path) -> None:
    """As in stage ``package``: excluded videos have no features; here, all sound is silence."""
    training, (like, unlike) = make_videos(MIN_VIDEOS, seed=0), make_videos(2, seed=1)
    videos = [make_video(f"train{i}", 20, ["normal"], split="train") for i in range(MIN_VIDEOS)]
    videos += [make_video("gone", 20, ["normal"], split="train", excluded="broken")]
    videos += [make_video(name, 20, ["normal"]) for name in ("like", "unlike")]
    videos += [make_video("lost", 20, ["normal"], excluded="broken")]
    by_id = {f"train{i}": video for i, video in enumerate(training)} | {"like": like, "unlike": permuted(unlike)}
    for video_id, video in by_id.items():
        store.write(tmp_path / "visual" / f"{video_id}.h5", make_features(video, video_id=video_id))
        silent = make_features(video, np.zeros(20, bool), video_id)
        store.write(tmp_path / "audio" / f"{video_id}.h5", silent)
    folders = {name: FeatureFolder(tmp_path / name) for name in ("visual", "audio")}
    found = learn(folders, videos)
    assert found.keys() == {"visual"}
    write_distances(tmp_path / "distances.csv", folders, videos, found)
    distances = read_distances(tmp_path / "distances.csv")
    assert distances.keys() == {"like", "unlike"}
    assert distances["like"] <= 1 < distances["unlike"]
    assert distances["like"] == distance(found, {"visual": folders["visual"].read("like")})
    write_distances(tmp_path / "distances.csv", folders, videos, {})
    assert read_distances(tmp_path / "distances.csv") == {"like": None, "unlike": None}
    assert read_distances(tmp_path / "nowhere.csv") == {}
    (tmp_path / "distances.csv").write_text("id,distance\nlike,far\n")
    with pytest.raises(DatasetError, match=r"distances\.csv, line 2, column distance: expected a number"):
        read_distances(tmp_path / "distances.csv")
