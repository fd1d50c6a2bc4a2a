"""Predictions from a file alone equal those of the graph; and what can be wrong with files and model folders."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avadclip import config, paths
from avadclip.config import Params
from avadclip.datasets.frame_spans import fit
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import read_manifest, write_manifest
from avadclip.datasets.model import Segment, TimedSegment
from avadclip.datasets.prepare import prepare
from avadclip.errors import CheckpointError, PredictionError, WeightsError
from avadclip.evaluation.segments import find_alarms
from avadclip.evaluation.testset import read_test_set
from avadclip.extraction.run import extract
from avadclip.media.probe import probe
from avadclip.prediction.familiarity import read_distances, write_distances, write_familiarity
from avadclip.prediction.predictor import Predictor
from avadclip.report.footage import Footage
from avadclip.report.from_results import predict_test_set
from avadclip.report.players import make_players
from avadclip.scoring import scores
from avadclip.scoring.run import Job, score
from avadclip.store.video import open_folders
from avadclip.store.work_cache import WorkCache
from tests.support.media_factory import tone, write_video
from tests.support.odd_media_factory import copy_packets
from tests.support.prediction_factory import strange_training, write_model_folder
from tests.support.project_factory import NAME, load_params, save_params, write_project

pytestmark = pytest.mark.slow

# Name -> frames, seconds of sound: several windows of 8 snippets of 4 frames, and less than one.
VIDEOS = {"loud.mp4": (90, 3.6), "short.mp4": (15, 0.6), "silent.mp4": (50, None)}
SCENE_FRAMES = 12


def patches(index: int) -> np.ndarray:
    """A different picture in each scene, so that features change within a video: uint8 [48, 64, 3]."""
    random = np.random.default_rng(index // SCENE_FRAMES)
    return np.kron(random.integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def die() -> Iterator[bytes]:
    """A task that kills its worker."""
    yield b"something"
    os.kill(os.getpid(), signal.SIGKILL)


def count() -> Iterator[int]:
    """A task that yields several things."""
    yield from range(3)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose features, scores and model folder have been made as the graph makes them."""
    root = tmp_path_factory.mktemp("project")
    (root / "videos").mkdir()
    for name, (n_frames, seconds) in VIDEOS.items():
        audio = None if seconds is None else tone(seconds)
        write_video(root / "videos" / name, n_frames=n_frames, frame_fn=patches, audio=audio)
    write_project(root, {})
    rows = ["video,labels,split", "loud.mp4,fighting,test", "short.mp4,normal,test", "silent.mp4,normal,test"]
    (root / "annotations" / "videos.csv").write_text("\n".join(rows) + "\n")
    params = load_params(root)
    params["extraction"]["workers"] = 1  # each takes time to start
    params["train"] = {"audio_visual": {"kind": "audio_visual"}}
    params["distill"] = {"visual_student": {"kind": "student"}}
    params["score"] = {"variants": ["audio_visual", "visual_student"], "missing_audio": "stand_in"}
    save_params(root, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        _run_graph(config.load())
    return root


def _run_graph(params: Params) -> None:
    prepared = prepare(NAME, params.dataset(NAME), params.extraction, probe)
    write_manifest(paths.manifest(NAME), prepared.videos)
    write_ground_truth(paths.ground_truth(NAME), [Segment("loud", "fighting", 10, 60)])
    for modality in ("visual", "audio"):
        extract(NAME, modality, params)
    write_familiarity(write_model_folder(params), strange_training())
    for variant in params.score.variants:
        job = Job(NAME, variant, NAME, seed=0)
        ids = [video.id for video in prepared.videos if video.split == "test"]
        scores.write(paths.scores(NAME, variant, 0), score(job, ids, "cpu"))


@pytest.fixture(scope="module")
def threshold(project: Path) -> float:
    """A threshold that some snippets reach and some do not; it is also written into the parameters."""
    found = scores.read(project / paths.scores(NAME, "audio_visual", 0))
    middle = round(float(np.median(1 - found.class_probabilities[:, 0])), 6)
    params = load_params(project)
    params["evaluate"] = {"alarm_threshold": middle}
    save_params(project, params)
    return middle


@pytest.fixture(scope="module")
def predictor(project: Path, threshold: float) -> Iterator[Predictor]:
    alarm = project / paths.model(NAME) / "alarm.json"
    alarm.write_text(alarm.read_text().replace("0.5", str(threshold)))
    with Predictor(project / paths.model(NAME), "cpu") as made:
        yield made


@pytest.mark.parametrize("name", VIDEOS)
def test_a_prediction_is_what_the_graph_scored(
    project: Path, predictor: Predictor, threshold: float, name: str, tmp_path: Path
) -> None:
    """A copy in another folder gives the same numbers, because only the file and the model folder count."""
    copy = shutil.copy(project / "videos" / name, tmp_path / name)
    found = predictor.predict(copy)
    is_silent = name == "silent.mp4"
    assert [curve.detector for curve in found.curves] == ["audio_visual", "visual_student"][is_silent:]
    assert (found.decided_by, found.has_audio) == (found.curves[0].detector, not is_silent)
    for curve in found.curves:
        rows = scores.rows(scores.read(project / paths.scores(NAME, curve.detector, 0)))
        (row,) = [row for row in rows if row.id == found.id]
        np.testing.assert_array_equal(curve.class_probabilities, row.class_probabilities)
        np.testing.assert_array_equal(curve.anomaly, 1 - row.class_probabilities[:, 0])
        np.testing.assert_array_equal(curve.uncertainty, row.uncertainty)
        assert curve.modality == row.modality
    expected = find_alarms(found.curves[0].anomaly, found.curves[0].class_probabilities, threshold)
    assert [(s.start_frame, s.score) for s in found.segments] == [(alarm.first * 4, alarm.score) for alarm in expected]
    assert all(
        s.end_frame == min(alarm.end * 4, found.n_frames) for s, alarm in zip(found.segments, expected, strict=True)
    )


def test_the_report_says_the_same(
    project: Path, predictor: Predictor, threshold: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(project)
    params = config.load()
    test_set = read_test_set(NAME, params.dataset(NAME))
    footage = make_players(tmp_path / "players", test_set, params)
    folders = open_folders(NAME, ("visual", "audio"))
    write_distances(tmp_path / "distances.csv", folders, test_set.videos, strange_training())
    distances = read_distances(tmp_path / "distances.csv")
    reported = {found.id: found for found in predict_test_set(test_set, params, footage, distances)}
    assert {video.id for video in read_manifest(paths.manifest(NAME))} == reported.keys()
    n_segments = 0
    for video_id, by_graph in reported.items():
        by_file = predictor.predict(f"videos/{video_id}.mp4")
        annotated = by_graph.to_json().pop("annotated")
        assert annotated == (
            [{"label": "fighting", "start_seconds": 0.4, "end_seconds": 2.4}] if video_id == "loud" else []
        )
        assert {**by_graph.to_json(), "annotated": None} == by_file.to_json()
        assert by_file.is_unlike_training
        n_segments += len(by_file.segments)
    assert n_segments > 0
    # Where the files are gone, times come from the mean frame rate, which gives the same ones here.
    without = {found.id: found for found in predict_test_set(test_set, params, Footage({}, {}, {}), {})}
    assert without["loud"].distance_from_training is None
    assert [s.end_frame for s in without["loud"].segments] == [s.end_frame for s in reported["loud"].segments]
    np.testing.assert_allclose(without["loud"].boundary_seconds, reported["loud"].boundary_seconds, atol=1e-3)


@pytest.mark.parametrize("start_seconds", [1_234.4, 36_000.0, 1.6e9])
def test_times_count_from_the_first_frame_wherever_the_clock_begins(
    project: Path, predictor: Predictor, tmp_path: Path, start_seconds: float
) -> None:
    """With later timestamps, the same packets give the same prediction, which can be read back as annotation."""
    loud = project / "videos" / "loud.mp4"

    def later(packet, _):
        shift = round(start_seconds / packet.time_base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        return packet

    late = copy_packets(loud, tmp_path / "loud.mp4", later)
    expected, found = predictor.predict(loud).to_json(), predictor.predict(late).to_json()
    assert found.pop("clock_start_seconds") == pytest.approx(start_seconds, abs=0.1)  # the encoder's delay
    assert expected.pop("clock_start_seconds") == 0
    for key in ("boundary_seconds", "duration_seconds"):
        np.testing.assert_allclose(found.pop(key), expected.pop(key), atol=1e-3)
    assert [(s["start_frame"], s["end_frame"]) for s in found["segments"]] == [
        (s["start_frame"], s["end_frame"]) for s in expected["segments"]
    ]
    assert len(found["segments"]) > 0
    info = probe(late)
    for segment in found["segments"]:
        start, end = (float(f"{segment[key]:.6f}") for key in ("start_seconds", "end_seconds"))
        again = fit(TimedSegment("loud", segment["label"], start, end), info)
        assert (again.start_frame, again.end_frame) == (segment["start_frame"], segment["end_frame"])


def test_a_copied_model_folder_works_anywhere_and_features_are_kept(
    project: Path, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud = project / "videos" / "loud.mp4"
    expected = predictor.predict(loud).to_json()
    shutil.copytree(project / paths.model(NAME), tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    cache, progress = WorkCache(Path("cache")), []
    with Predictor("model", "cpu", cache=cache) as elsewhere:
        assert elsewhere.predict(loud, on_progress=lambda *step: progress.append(step)).to_json() == expected
        assert cache.usage().n_files == 2
        assert progress == sorted(progress)
        assert progress[-1] == (46, 46)  # 23 snippets of each modality
        monkeypatch.setattr("avadclip.extraction.encoding.Encoding.start", None)  # nothing is to be encoded again
        assert elsewhere.predict(loud).to_json() == expected


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.mp4", b"no video at all", "text.mp4: not a media file"),
        ("empty.mp4", b"", "empty.mp4: the file is empty"),
        ("gone.mp4", None, "gone.mp4: no such file"),
    ],
)
def test_a_bad_file_costs_itself_only(
    project: Path, predictor: Predictor, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PredictionError, match=words):
        predictor.predict(tmp_path / name)
    assert predictor.predict(project / "videos" / "short.mp4").n_frames == 15


def test_an_interrupted_prediction_does_not_answer_into_the_next_one(project: Path, predictor: Predictor) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predictor.predict(project / "videos" / "loud.mp4", on_progress=interrupt)
    expected = scores.rows(scores.read(project / paths.scores(NAME, "visual_student", 0)))
    found = predictor.predict(project / "videos" / "silent.mp4")
    np.testing.assert_array_equal(found.curves[0].class_probabilities, expected[2].class_probabilities)


@pytest.mark.parametrize(
    ("file", "change", "error", "words"),
    [
        ("predictor.json", None, CheckpointError, "predictor.json: no such file; expected a model folder"),
        ("alarm.json", ("alignment", "both"), CheckpointError, "alarm.json: branch: .*'both'"),
        ("audio_visual/seed0/model.json", None, CheckpointError, "model.json: no such file"),
        ("predictor.json", ('"stride": 4', '"stride": 8'), CheckpointError, "expects visual features with stride 4"),
        ("predictor.json", ('"width": 8', '"width": 16'), CheckpointError, "expects audio features with width 8"),
        ("visual_student/seed0/model.json", ('"fighting"', '"riot"'), CheckpointError, "has the classes"),
        ("encoders/audio.pt", None, WeightsError, "no such file"),
        ("encoders/visual.safetensors", ("", "x"), WeightsError, "not the pinned weights"),
    ],
)
def test_a_model_folder_that_does_not_fit_is_refused(
    project: Path, tmp_path: Path, file: str, change: tuple[str, str] | None, error: type[Exception], words: str
) -> None:
    shutil.copytree(project / paths.model(NAME), tmp_path / "model")
    path = tmp_path / "model" / file
    content = path.read_bytes()
    path.unlink()
    if change is not None:
        before, after = map(str.encode, change)
        assert before in content
        path.write_bytes(content.replace(before, after, 1))
    with pytest.raises(error, match=words):
        Predictor(tmp_path / "model", "cpu")


def test_silence_can_be_refused_or_left_to_the_detector(
    project: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = project / "videos" / "silent.mp4"
    description = predictor.description.model_copy(update={"missing_audio": "refuse"})
    monkeypatch.setattr(predictor._detectors, "_description", description)
    with pytest.raises(PredictionError, match=r"silent\.mp4: has no sound"):
        predictor.predict(silent)
    description = predictor.description.model_copy(update={"missing_audio": "fallback"})
    monkeypatch.setattr(predictor._detectors, "_description", description)
    found = predictor.predict(silent)
    assert (found.decided_by, found.curves[0].modality) == ("audio_visual", "visual")


def test_a_task_that_crashes_costs_itself_only(project: Path, predictor: Predictor) -> None:
    path = project / "videos" / "short.mp4"
    assert predictor.in_worker(count, path) == 2
    with pytest.raises(PredictionError, match=r"short\.mp4: .*SIGKILL"):
        predictor.in_worker(die, path)
    assert predictor.predict(path).n_frames == VIDEOS["short.mp4"][0]
