"""Extraction: the output folder is a function of manifest and recipe, whatever happened on the way."""

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avadclip import config, paths
from avadclip.encoders.clip import ImageEncoder
from avadclip.encoders.preprocess import canvas
from avadclip.encoders.spectrogram import spectrogram
from avadclip.encoders.wav2clip import AudioEncoder
from avadclip.errors import ExtractionError
from avadclip.extraction.run import extract
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe
from avadclip.media.timeline import boundary_seconds
from avadclip.store import FeatureFolder
from avadclip.store.work_cache import WorkCache
from avadclip.workers import GuardedPool
from tests.support.media_factory import tone, write_video
from tests.support.project_factory import (
    NAME,
    contents,
    load_params,
    prepare_here,
    save_params,
    write_project,
    write_table,
)

pytestmark = pytest.mark.slow

VISUAL, AUDIO = paths.features(NAME, "visual"), paths.features(NAME, "audio")
LABELS = {"long.mp4": "fighting", "silent.mp4": "normal", "turned.mp4": "normal", "late sound.mkv": "normal"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos, prepared but not extracted. Tests work on copies."""
    root = tmp_path_factory.mktemp("project")
    videos = root / "videos"
    videos.mkdir()
    texture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)  # no two crops of it look alike
    write_video(
        videos / "long.mp4", n_frames=75, audio=tone(3.0), frame_fn=lambda index: np.roll(texture, index, axis=1)
    )
    write_video(videos / "silent.mp4", n_frames=30)
    write_video(videos / "turned.mp4", n_frames=30, rotation=90, audio=tone(1.2))
    write_video(videos / "late sound.mkv", n_frames=100, audio=tone(2.0), audio_offset_seconds=2.0)
    write_project(root, LABELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        prepare_here()
    return root


@pytest.fixture(scope="module")
def extracted(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same project with the features of both modalities. Tests work on copies."""
    root = tmp_path_factory.mktemp("extracted") / "project"
    shutil.copytree(project, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        extract_both()
    return root


@pytest.fixture
def here(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the working directory in which nothing has been extracted."""
    root = tmp_path / "project"
    shutil.copytree(project, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def done(extracted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the working directory in which everything has been extracted."""
    root = tmp_path / "project"
    shutil.copytree(extracted, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The id of a video, once for each time that it was handed to a decoder."""
    submitted: list[str] = []
    submit = GuardedPool.submit

    def recording_submit(pool: GuardedPool, key: str, task: object) -> None:
        submitted.append(key)
        submit(pool, key, task)  # type: ignore[arg-type]

    monkeypatch.setattr(GuardedPool, "submit", recording_submit)
    return submitted


def extract_both() -> tuple[dict[str, bytes], dict[str, bytes]]:
    params = config.load()
    for modality in ("visual", "audio"):
        extract(NAME, modality, params)
    return outputs()


def outputs() -> tuple[dict[str, bytes], dict[str, bytes]]:
    return contents(VISUAL), contents(AUDIO)


def test_features_are_those_of_the_sampled_frames(done: Path) -> None:
    params = config.load()
    visual = params.dataset(NAME).visual
    path, encoder = done / "videos" / "long.mp4", ImageEncoder(visual, "cpu")
    info = probe(path)
    frames = np.concatenate([b.rgb for b in decode_frames(path, info, np.arange(75), "pyav")])
    one_by_one = [encoder.encode(canvas(rgb, "center", 64)[None]) for rgb in frames[::4]]
    found = FeatureFolder(VISUAL).read("long")
    # Batches of eight round differently than single frames, and the two decoders convert colours slightly differently.
    np.testing.assert_allclose(found.values.astype(float), np.concatenate(one_by_one, axis=1), atol=0.02)
    assert (found.n_snippets, found.source.n_frames, found.decoder.split()[0]) == (19, 75, "decord")
    np.testing.assert_array_equal(found.boundary_seconds, boundary_seconds(info, 4))
    assert found.valid.all()


@pytest.mark.parametrize(("mean_of", "offsets"), [(None, (0, 1, 2, 3)), (2, (1, 3))])
def test_a_mean_is_that_of_the_features_of_its_frames(
    here: Path, mean_of: int | None, offsets: tuple[int, ...]
) -> None:
    params = load_params(here)
    params["datasets"][NAME]["visual"] |= {"frame": "mean", "mean_of": mean_of}
    save_params(here, params)
    extract(NAME, "visual", config.load())
    visual = config.load().dataset(NAME).visual
    path, encoder = here / "videos" / "long.mp4", ImageEncoder(visual, "cpu")
    frames = np.concatenate([b.rgb for b in decode_frames(path, probe(path), np.arange(75), "pyav")])
    found = FeatureFolder(VISUAL).read("long")
    assert found.values.shape[-2] == 19
    each = [encoder.encode(canvas(rgb, "center", 64)[None])[0, 0].astype(float) for rgb in frames]
    expected = [np.mean([each[start + k] for k in offsets], axis=0) for start in range(0, 72, 4)]
    # As above: other batches, another decoder.
    np.testing.assert_allclose(found.values[0, :18].astype(float), expected, atol=0.02)
    last = range(72, 75) if mean_of is None else (72, 74)  # a partial snippet
    np.testing.assert_allclose(found.values[0, 18].astype(float), np.mean([each[i] for i in last], axis=0), atol=0.02)
    assert found.recipe["mean_of"] == (mean_of or "all")


def test_sound_is_encoded_on_the_same_timeline(done: Path) -> None:
    params = config.load()
    found = FeatureFolder(AUDIO).read("late sound")
    boundaries = FeatureFolder(VISUAL).read("late sound").boundary_seconds
    np.testing.assert_array_equal(found.boundary_seconds, boundaries)
    # Sound from 2 s to 4 s: at least half of a 1 s window is covered if its centre lies in there. The codec's frames of
    # 64 ms blur the edges.
    centres = (boundaries[:-1] + boundaries[1:]) / 2
    certain = np.abs(centres - 2.0) > 0.07
    np.testing.assert_array_equal(found.valid[certain], (centres >= 2.0)[certain])
    assert not found.values[~found.valid].any()
    encoder = AudioEncoder(params.dataset(NAME).audio, "cpu")
    windows = decode_windows(done / "videos" / "late sound.mkv", centres, 1.0)
    expected = [encoder.encode(spectrogram(window.samples)[None])[0] for window in windows]
    np.testing.assert_allclose(  # batches round differently than single windows
        found.values[found.valid].astype(float), np.array(expected)[found.valid].astype(float), atol=2e-3
    )


def test_no_sound_is_a_state_and_no_error(done: Path) -> None:
    silent = FeatureFolder(AUDIO).read("silent")
    assert (silent.n_snippets, silent.valid.any(), silent.values.any()) == (8, False, False)


def test_what_decord_cannot_be_trusted_with_goes_through_pyav(done: Path) -> None:
    folder = FeatureFolder(VISUAL)
    assert {i: folder.read(i).decoder.split()[0] for i in ("silent", "turned")} == {
        "silent": "decord",
        "turned": "pyav",
    }


def test_ten_crop_gives_ten_views_and_the_first_is_the_centre(here: Path) -> None:
    params = load_params(here)
    params["datasets"][NAME]["visual"]["views"] = "ten_crop"
    save_params(here, params)
    extract(NAME, "visual", config.load())
    values = FeatureFolder(VISUAL).read("long").values
    assert values.shape == (10, 19, 512)
    assert len({values[view].tobytes() for view in range(10)}) == 10


def test_a_second_run_decodes_nothing_and_leaves_every_byte(done: Path, decoded: list[str]) -> None:
    first = outputs()
    assert extract_both() == first
    assert decoded == []


def test_an_emptied_output_comes_back_from_the_work_cache(done: Path, decoded: list[str]) -> None:
    first = outputs()
    shutil.rmtree("features")
    assert extract_both() == first
    assert decoded == []
    # DVC may link outputs into its own cache, so a file of the output must never be the file of the work cache.
    assert (VISUAL / "long.h5").stat().st_nlink == 1


def test_outputs_do_not_depend_on_how_one_got_there(done: Path, decoded: list[str]) -> None:
    from_scratch = outputs()
    shutil.rmtree("features")
    shutil.rmtree(".cache")
    few = {name: label for name, label in LABELS.items() if name != "long.mp4"}
    write_table(done, few)
    prepare_here()
    grown = extract_both()
    assert set(grown[0]) == {"silent.h5", "turned.h5", "late sound.h5"}
    write_table(done, LABELS)
    prepare_here()
    decoded.clear()
    assert extract_both() == from_scratch
    assert decoded == ["long", "long"]  # once for each modality: the others were there
    write_table(done, few)
    prepare_here()
    assert extract_both() == grown


def test_going_back_to_earlier_parameters_costs_nothing(done: Path, decoded: list[str]) -> None:
    first = outputs()
    params = load_params(done)
    params["datasets"][NAME]["visual"]["stride"] = 16
    save_params(done, params)
    assert extract_both() != first
    params["datasets"][NAME]["visual"]["stride"] = 4
    save_params(done, params)
    decoded.clear()
    assert extract_both() == first
    assert decoded == []


def test_number_of_workers_is_not_part_of_the_result(done: Path) -> None:
    first = outputs()
    shutil.rmtree(".cache")
    params = load_params(done)
    params["extraction"]["workers"] = 1
    save_params(done, params)
    assert extract_both() == first


def test_a_damaged_file_of_the_work_cache_is_made_again(done: Path, decoded: list[str]) -> None:
    first = outputs()
    for path in sorted(Path(".cache/features").glob("??/*.h5"))[:2]:
        path.write_bytes(path.read_bytes()[:-600])
    assert extract_both() == first
    assert len(decoded) == 2


def test_a_file_that_is_gone_as_soon_as_it_is_written_is_an_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avadclip.extraction import run

    monkeypatch.setattr(run, "encode_videos", lambda *_: SimpleNamespace(failures={}, n_encoded_snippets=0))
    with pytest.raises(ExtractionError, match=r"4 files that were just written are damaged or gone.* late sound, long"):
        extract(NAME, "visual", config.load())
    assert contents(VISUAL) == {}


def test_strays_in_the_output_go_away(done: Path) -> None:
    first = outputs()
    (VISUAL / "left.h5").write_text("the video left the manifest")
    (VISUAL / ".long.h5.123.tmp").write_text("a killed process left this")
    assert extract_both() == first


def test_a_changed_file_is_refused_until_it_is_prepared_again(here: Path) -> None:
    write_video(here / "videos" / "silent.mp4", n_frames=40)
    with pytest.raises(ExtractionError, match=r"silent: .*changed since the manifest was written"):
        extract(NAME, "visual", config.load())
    assert set(contents(VISUAL)) == {"long.h5", "turned.h5", "late sound.h5"}
    prepare_here()
    extract(NAME, "visual", config.load())
    assert FeatureFolder(VISUAL).n_snippets("silent") == 10


def test_two_extractions_into_one_folder_do_not_meet(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avadclip.extraction import run

    params = config.load()
    encode_videos = run.encode_videos

    def second_run_meanwhile(*args: object) -> object:
        with pytest.raises(ExtractionError, match="another process is filling this folder"):
            extract(NAME, "audio", params)
        return encode_videos(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "encode_videos", second_run_meanwhile)
    assert extract(NAME, "audio", params).n_encoded == 4


def test_summary_counts_what_happened(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    params = config.load()
    with caplog.at_level(logging.INFO):
        summary = extract(NAME, "visual", params)
    assert (summary.n_videos, summary.n_cached, summary.n_encoded, summary.n_failed) == (4, 0, 4, 0)
    assert summary.n_encoded_snippets == 19 + 8 + 8 + 25
    assert "toy/visual: 4 videos (0.00 h), 0 cached, 4 encoded, 0 failed, " in caplog.text
    assert str(summary).endswith(" snippets/s")  # not frames: sound has none
    again = extract(NAME, "visual", params)
    assert (again.n_cached, again.n_encoded, again.n_encoded_snippets) == (4, 0, 0)


def test_pruning_keeps_what_is_needed(done: Path, decoded: list[str]) -> None:
    from avadclip.extraction.modalities import recipes
    from avadclip.store.audit import current_fingerprints

    first = outputs()
    cache, params = WorkCache(Path(".cache/features")), load_params(done)
    params["datasets"][NAME]["visual"]["stride"] = 16
    save_params(done, params)
    extract_both()
    assert cache.usage().n_files == 16
    params["datasets"][NAME]["visual"]["stride"] = 4
    save_params(done, params)
    (cache.path("ab" * 32).parent).mkdir(exist_ok=True)
    cache.path("ab" * 32).with_suffix(".tmp").write_text("a killed process left this")
    cache.prune(current_fingerprints(recipes(config.load())))
    assert cache.usage().n_files == 8
    decoded.clear()
    assert extract_both() == first
    assert decoded == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "all"])
def test_a_gpu_makes_the_same_files_twice_and_the_features_of_a_cpu(done: Path, device: str) -> None:
    on_cpu = [FeatureFolder(folder).read(video) for folder in (VISUAL, AUDIO) for video in ("long", "late sound")]
    params = load_params(done)
    params["extraction"]["device"] = device
    save_params(done, params)
    runs = []
    for _ in range(2):
        shutil.rmtree(".cache/features")
        shutil.rmtree(VISUAL)
        shutil.rmtree(AUDIO)
        runs.append(extract_both())
    assert runs[0] == runs[1]
    on_gpu = [FeatureFolder(folder).read(video) for folder in (VISUAL, AUDIO) for video in ("long", "late sound")]
    for cpu, gpu in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_array_equal(cpu.valid, gpu.valid)
        a, b = (each.values[..., each.valid, :].astype(np.float64) for each in (cpu, gpu))
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        assert cosine.min() >= 0.9995  # the specification's number
