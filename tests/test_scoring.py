"""A detector over the test videos: every snippet once, the right detector for videos without sound."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from ruamel.yaml import YAML
from training_factory import CLASSES, NAME, STRIDE, dimensions, make_videos, text_tower, write_training_project

from avadclip import paths, scores, store
from avadclip.config.detector import AnyArchitecture, AudioVisual, Student
from avadclip.config.evaluation import MissingAudio
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import Video
from avadclip.detector.build import build
from avadclip.detector.checkpoint import Description, load_checkpoint, save_checkpoint
from avadclip.errors import CheckpointError, EvaluationError, FeatureError
from avadclip.scoring import Job, score
from avadclip.training.video import open_folders, read_video
from avadclip.training.windows import detect
from pipeline.score import main

MAX_SNIPPETS = 32
# One snippet, exactly one window, one snippet more, two windows, three; and a last snippet of a single frame.
N_FRAMES = (1, MAX_SNIPPETS * STRIDE, MAX_SNIPPETS * STRIDE + 1, 2 * MAX_SNIPPETS * STRIDE, 300)
SILENT = "video002"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of five test videos, of which one has no sound, a training video, and two detectors."""
    monkeypatch.chdir(tmp_path)
    videos = [replace(v, n_frames=n) for v, n in zip(make_videos(0, 5), N_FRAMES, strict=True)]
    videos.append(replace(make_videos(6, 0)[5], n_frames=40))
    write_training_project(tmp_path, videos, {"visual": 2.0, "audio": 2.0})
    path = paths.features(NAME, "audio") / f"{SILENT}.h5"
    heard = store.read(path)
    silence = replace(heard, values=np.zeros_like(heard.values), valid=np.zeros_like(heard.valid))
    store.write(path, silence)
    save_detector("audio_visual", AudioVisual())
    save_detector("visual_student", Student())


def save_detector(variant: str, architecture: AnyArchitecture, trained_on: str = NAME, **changes: object) -> None:
    torch.manual_seed(0)
    detector = build(architecture, dimensions(MAX_SNIPPETS), text_tower()).eval()
    recipes = {modality: {"modality": modality, "stride": STRIDE} for modality in detector.modalities}
    description = Description(
        trained_on, variant, architecture, dimensions(MAX_SNIPPETS), CLASSES, recipes, {}, "last", epoch=1, seed=0
    )
    save_checkpoint(paths.run(trained_on, variant), detector, replace(description, **changes))


def manifest() -> tuple[Video, ...]:
    return read_manifest(paths.manifest(NAME))


def run_job(variant: str = "audio_visual", missing_audio: MissingAudio = "visual_fallback") -> scores.Scores:
    return score(Job(NAME, variant, NAME, missing_audio), manifest(), "cpu")


def of(scored: scores.Scores, video_id: str) -> slice:
    index = scored.ids.index(video_id)
    return slice(scored.first_snippet[index], scored.first_snippet[index + 1])


def test_every_snippet_of_every_test_video_once() -> None:
    scored = run_job()
    assert scored.ids == tuple(f"video{index:03}" for index in range(5))
    assert scored.n_snippets.tolist() == [-(-n // STRIDE) for n in N_FRAMES]
    assert scored.provenance == scores.Provenance(NAME, "audio_visual", NAME, "last", CLASSES, STRIDE)
    assert scored.class_probabilities is not None
    assert_allclose(scored.class_probabilities.sum(axis=1), 1, rtol=1e-6)  # a softmax in float32
    assert np.isnan(scored.uncertainty).all()


def test_scores_are_those_of_the_detector() -> None:
    checkpoint = load_checkpoint(paths.run(NAME, "audio_visual"))
    features = read_video(open_folders(NAME, ("visual", "audio")), "video004")
    expected = detect(checkpoint.detector, features, "cpu")
    scored = run_job()
    assert np.array_equal(scored.anomaly_confidence[of(scored, "video004")], expected.anomaly_confidence)


def test_student_tells_how_unsure_it_is() -> None:
    scored = run_job("visual_student")
    assert np.isfinite(scored.uncertainty).all()
    assert set(scored.modalities) == {"visual"}


def test_video_without_sound_falls_back_to_the_visual_feature() -> None:
    scored = run_job(missing_audio="visual_fallback")
    assert scored.modalities == ("audio_visual", "audio_visual", "visual", "audio_visual", "audio_visual")
    assert np.isnan(scored.uncertainty).all()


def test_video_without_sound_goes_to_the_student_and_no_other_does() -> None:
    student, fallback = run_job("visual_student"), run_job(missing_audio="visual_fallback")
    scored = run_job(missing_audio="visual_student")
    assert scored.modalities[scored.ids.index(SILENT)] == "visual"
    for video_id in scored.ids:
        expected = student if video_id == SILENT else fallback
        own = of(scored, video_id)
        assert np.array_equal(scored.anomaly_confidence[own], expected.anomaly_confidence[own])
    assert np.isfinite(scored.uncertainty[of(scored, SILENT)]).all()


def test_video_without_sound_can_be_refused() -> None:
    with pytest.raises(EvaluationError, match=f"1 test videos of {NAME} have no sound .*{SILENT}"):
        run_job(missing_audio="refuse")


@pytest.mark.parametrize("missing_audio", ["visual_student", "refuse"])
def test_sound_is_no_matter_for_a_detector_that_does_not_listen(missing_audio: MissingAudio) -> None:
    assert run_job("visual_student", missing_audio).checksum == run_job("visual_student").checksum


def test_missing_student_is_named() -> None:
    (paths.run(NAME, "visual_student") / "model.json").unlink()
    with pytest.raises(CheckpointError, match="visual_student"):
        run_job(missing_audio="visual_student")


def test_student_of_other_classes_does_not_stand_in() -> None:
    save_detector("visual_student", Student(), classes=("normal", "fighting", "riot"))
    with pytest.raises(CheckpointError, match="train both on the same classes"):
        run_job(missing_audio="visual_student")


def test_missing_features_are_named() -> None:
    (paths.features(NAME, "visual") / "video001.h5").unlink()
    with pytest.raises(FeatureError, match=r"video001\.h5: no such feature file"):
        run_job()


def test_features_of_another_recipe_are_refused_on_the_own_data_set() -> None:
    recipes = {modality: {"modality": modality, "stride": 16} for modality in ("visual", "audio")}
    save_detector("audio_visual", AudioVisual(), recipes=recipes)
    with pytest.raises(CheckpointError, match=r"stride 16 \(found 4\)"):
        run_job()


def test_detector_of_another_data_set_may_have_seen_another_stride_but_not_another_encoder() -> None:
    own = {modality: {"modality": modality, "stride": 16} for modality in ("visual", "audio")}
    save_detector("audio_visual", AudioVisual(), trained_on="other", recipes=own)
    scored = score(Job(NAME, "audio_visual", "other", "visual_fallback"), manifest(), "cpu")
    assert scored.provenance.trained_on == "other"
    assert scored.provenance.stride == STRIDE
    other = {modality: recipe | {"encoder": "another"} for modality, recipe in own.items()}
    save_detector("audio_visual", AudioVisual(), trained_on="other", recipes=other)
    with pytest.raises(CheckpointError, match="encoder 'another'"):
        score(Job(NAME, "audio_visual", "other", "visual_fallback"), manifest(), "cpu")


def test_stage_writes_the_same_file_twice() -> None:
    main(NAME, "audio_visual")
    path = paths.scores(NAME, "audio_visual")
    first = path.read_bytes()
    assert scores.read(path).checksum == run_job().checksum
    main(NAME, "audio_visual", NAME)
    assert path.read_bytes() == first


def test_a_cluster_writes_the_same_file(cluster: Any) -> None:
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params["score"] = {"missing_audio": "visual_student"}
    yaml.dump(params, Path("params.yaml"))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # like a worker with one CPU, whatever this machine has
    main(NAME, "audio_visual")
    torch.set_num_threads(n_threads)
    path = paths.scores(NAME, "audio_visual")
    by_local_engine = path.read_bytes()
    path.unlink()
    params["execution"] = {"engine": "ray", "address": cluster.address, "cpus_per_worker": 1}
    yaml.dump(params, Path("params.yaml"))
    main(NAME, "audio_visual")
    assert path.read_bytes() == by_local_engine


@pytest.mark.gpu
def test_gpu_and_cpu_agree() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    on_gpu = score(Job(NAME, "audio_visual", NAME, "visual_fallback"), manifest(), "cuda")
    # float32 sums in another order, possibly in TF32.
    assert_allclose(on_gpu.anomaly_confidence, run_job().anomaly_confidence, atol=2e-3)
