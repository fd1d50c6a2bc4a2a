"""Scoring the test videos: every snippet is scored once, and videos without sound are scored too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from ruamel.yaml import YAML

from avadclip import config, paths, store
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.splitting import split_training
from avadclip.detectors.checkpoint import dimensions_of, load_checkpoint, save_checkpoint, save_refusal
from avadclip.detectors.description import Description
from avadclip.detectors.inference import detect
from avadclip.detectors.registry import build, settings_of
from avadclip.errors import CheckpointError, FeatureError
from avadclip.io import sha256_of
from avadclip.scoring import scores
from avadclip.scoring.run import Job, score
from avadclip.store.video import open_folders, read_video
from pipeline.score import main
from tests.support.training_factory import (
    CLASSES,
    NAME,
    STRIDE,
    dimensions,
    make_videos,
    text_tower,
    write_training_project,
)

MAX_SNIPPETS = 32
# One snippet; exactly one window; one window and a snippet of a single frame; two windows; three windows.
N_FRAMES = (1, MAX_SNIPPETS * STRIDE, MAX_SNIPPETS * STRIDE + 1, 2 * MAX_SNIPPETS * STRIDE, 300)
SILENT = "video002"
SEED = 3


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two detectors, and features of five training videos and five test videos, one of them without sound."""
    monkeypatch.chdir(tmp_path)
    videos = [replace(v, n_frames=n) for v, n in zip(make_videos(0, 5), N_FRAMES, strict=True)]
    videos += [replace(video, n_frames=40) for video in make_videos(10, 0)[5:]]
    write_training_project(tmp_path, videos, {"visual": 2.0, "audio": 2.0})
    path = paths.features(NAME, "audio") / f"{SILENT}.h5"
    heard = store.read(path)
    silence = replace(heard, values=np.zeros_like(heard.values), valid=np.zeros_like(heard.valid))
    store.write(path, silence)
    save_detector("audio_visual", "audio_visual")
    save_detector("visual_student", "student")


def save_detector(variant: str, kind: str, trained_on: str = NAME, **changes: object) -> None:
    torch.manual_seed(0)
    detector = build(kind, settings_of(kind, {}), dimensions(MAX_SNIPPETS), text_tower()).eval()
    description = Description(
        dataset=trained_on,
        variant=variant,
        kind=kind,
        settings=detector.settings.model_dump(mode="json"),
        modalities=detector.modalities,
        dimensions=dimensions_of(detector),
        classes=CLASSES,
        recipes={modality: {"modality": modality, "stride": STRIDE} for modality in detector.modalities},
        text_tower={},
        selection="last",
        round=1,
        seed=SEED,
    )
    save_checkpoint(paths.run(trained_on, variant, SEED), detector, replace(description, **changes))


def ids_under_test() -> list[str]:
    return [video.id for video in read_manifest(paths.manifest(NAME)) if video.split == "test"]


def run_job(variant: str = "audio_visual", device: str = "cpu") -> scores.Scores:
    return score(Job(NAME, variant, NAME, SEED), ids_under_test(), device)


def of(scored: scores.Scores, video_id: str) -> slice:
    index = scored.ids.index(video_id)
    return slice(scored.first_snippet[index], scored.first_snippet[index + 1])


def test_every_snippet_of_every_test_video_once() -> None:
    scored = run_job()
    assert scored.ids == tuple(f"video{index:03}" for index in range(5))
    assert scored.n_snippets.tolist() == [-(-n // STRIDE) for n in N_FRAMES]
    detector = scored.provenance.detector
    assert scored.provenance == scores.Provenance(
        NAME, "audio_visual", NAME, SEED, ("visual", "audio"), "last", CLASSES, STRIDE, detector
    )
    assert detector["kind"] == "audio_visual"
    assert detector["settings"]["fusion"] == "adaptive"
    assert detector["checkpoint_sha256"] == sha256_of(paths.run(NAME, "audio_visual", SEED) / "model.safetensors")
    assert {modality: recipe["stride"] for modality, recipe in detector["recipes"].items()} == {
        "visual": STRIDE,
        "audio": STRIDE,
    }
    assert scored.class_probabilities is not None
    assert_allclose(scored.class_probabilities.sum(axis=1), 1, rtol=1e-6)  # a softmax in float32
    assert np.isnan(scored.uncertainty).all()


def test_scores_are_those_of_the_detector() -> None:
    checkpoint = load_checkpoint(paths.run(NAME, "audio_visual", SEED))
    features = read_video(open_folders(NAME, ("visual", "audio")), "video004")
    expected = detect(checkpoint.detector, features, "cpu")
    scored = run_job()
    assert np.array_equal(scored.anomaly_confidence[of(scored, "video004")], expected.anomaly_confidence)


def test_student_tells_how_unsure_it_is() -> None:
    scored = run_job("visual_student")
    assert np.isfinite(scored.uncertainty).all()
    assert set(scored.modalities) == {"visual"}


def test_video_without_sound_falls_back_to_the_visual_feature() -> None:
    scored = run_job()
    assert scored.modalities == ("audio_visual", "audio_visual", "visual", "audio_visual", "audio_visual")
    assert np.isnan(scored.uncertainty).all()


def test_missing_features_are_named() -> None:
    (paths.features(NAME, "visual") / "video001.h5").unlink()
    with pytest.raises(FeatureError, match=r"video001\.h5: no such feature file"):
        run_job()


def test_features_of_another_recipe_are_refused_on_the_own_data_set() -> None:
    recipes = {modality: {"modality": modality, "stride": 16} for modality in ("visual", "audio")}
    save_detector("audio_visual", "audio_visual", recipes=recipes)
    with pytest.raises(CheckpointError, match=r"stride 16 \(found 4\)"):
        run_job()


def test_detector_of_another_data_set_may_have_seen_another_stride_but_not_another_encoder() -> None:
    own = {modality: {"modality": modality, "stride": 16} for modality in ("visual", "audio")}
    save_detector("audio_visual", "audio_visual", trained_on="other", recipes=own)
    scored = score(Job(NAME, "audio_visual", "other", SEED), ids_under_test(), "cpu")
    assert scored.provenance.trained_on == "other"
    assert scored.provenance.stride == STRIDE
    other = {modality: recipe | {"encoder": "another"} for modality, recipe in own.items()}
    save_detector("audio_visual", "audio_visual", trained_on="other", recipes=other)
    with pytest.raises(CheckpointError, match="encoder 'another'"):
        score(Job(NAME, "audio_visual", "other", SEED), ids_under_test(), "cpu")


def test_stage_writes_the_same_file_twice() -> None:
    main(NAME, "audio_visual", str(SEED))
    path = paths.scores(NAME, "audio_visual", SEED)
    first = path.read_bytes()
    assert scores.read(path).checksum == run_job().checksum
    main(NAME, "audio_visual", str(SEED), NAME)
    assert path.read_bytes() == first


def normal_ids() -> tuple[str, ...]:
    """Run stage `score`, and return the normal videos whose scores it writes for the choice of a threshold."""
    paths.ground_truth(NAME).unlink(missing_ok=True)  # scoring does not need it
    main(NAME, "audio_visual", str(SEED))
    found = scores.read(paths.normal_scores(NAME, "audio_visual", SEED))
    assert scores.read(paths.scores(NAME, "audio_visual", SEED)).checksum == run_job().checksum
    return found.ids


def test_normal_training_videos_are_scored_too() -> None:
    select("last")
    assert normal_ids() == ("video006", "video009")  # every third is normal; those below 5 are test videos
    scored = scores.read(paths.normal_scores(NAME, "audio_visual", SEED))
    alone = score(Job(NAME, "audio_visual", NAME, SEED), scored.ids, "cpu")
    assert scored.checksum == alone.checksum


def test_of_those_only_the_held_out_ones_where_some_are() -> None:
    select("validation")
    (held_out,) = normal_ids()
    split = split_training(read_manifest(paths.manifest(NAME)), config.load().dataset(NAME).selection)
    assert held_out in {video.id for video in split.validation}


def test_why_a_detector_was_not_trained_is_in_both_files() -> None:
    save_refusal(paths.run(NAME, "audio_visual", SEED), "no sound")
    main(NAME, "audio_visual", str(SEED))
    files = [place(NAME, "audio_visual", SEED) for place in (paths.scores, paths.normal_scores)]
    assert [scores.read_refusal(file) for file in files] == ["no sound", "no sound"]


def select(by: str) -> None:
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params["datasets"][NAME]["selection"] = {"by": by, "validation_fraction": 0.5}
    yaml.dump(params, Path("params.yaml"))


@pytest.mark.slow
def test_a_cluster_writes_the_same_file(cluster: Any) -> None:
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # like a worker with one CPU, whatever this machine has
    main(NAME, "audio_visual", str(SEED))
    torch.set_num_threads(n_threads)
    path = paths.scores(NAME, "audio_visual", SEED)
    by_local_engine = path.read_bytes()
    path.unlink()
    params["execution"] = {"engine": "ray", "address": cluster.address, "cpus_per_worker": 1}
    yaml.dump(params, Path("params.yaml"))
    main(NAME, "audio_visual", str(SEED))
    assert path.read_bytes() == by_local_engine


@pytest.mark.gpu
def test_gpu_and_cpu_agree() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    on_gpu = run_job(device="cuda")
    # float32 sums in another order, possibly in TF32.
    assert_allclose(on_gpu.anomaly_confidence, run_job().anomaly_confidence, atol=2e-3)
