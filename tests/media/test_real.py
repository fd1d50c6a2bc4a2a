"""Real recordings through the full-size networks (seeded random weights): counts, times and spans against PyAV."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest

from avadclip import paths
from avadclip.errors import ExtractionError
from avadclip.extraction.run import extract
from avadclip.store import FeatureFolder
from tests.support.project_factory import NAME, load_params, prepare_here, save_params, write_project, write_table
from tests.support.weights_factory import write_clip_weights, write_wav2clip_weights

SAMPLES = Path(find_spec("iscc_samples").origin).parent / "files" / "video"
SHARED = Path(__file__).parents[3] / "shared"
# One clip of 60 s with sound in 12 containers; decord cannot read MPEG-1 in mpg.
CONTAINERS = ["3gp", "asf", "avi", "f4v", "flv", "m4v", "mkv", "mov", "mp4", "mpg", "webm", "wmv"]
# Its Theora is damaged: FFmpeg decodes 366 of 1,440 frames. The sound is whole.
DAMAGED = "ogg"
# The networks are of full size, so a test can afford one frame in 192 on two cores (8 a clip); the tests with tiny
# networks sample one in 4.
STRIDE = 192


def decoded_seconds(path: Path, kind: str) -> np.ndarray:
    """Presentation times of all frames of one kind that PyAV decodes, [n]."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        # Some frames of sound carry no time of their own in some containers; the first and the last one do.
        timed = [frame for frame in container.decode(stream) if frame.pts is not None]
        return np.array(sorted(float(frame.pts * frame.time_base) for frame in timed))


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the full-size networks and no videos."""
    root = write_project(tmp_path_factory.mktemp("full size"), {})
    params = load_params(root)
    dataset = params["datasets"][NAME]
    clip, wav2clip = root / "ViT-B-16.safetensors", root / "Wav2CLIP.pt"
    dataset["visual"] = {
        "weights": {"path": str(clip), "sha256": write_clip_weights(clip)},
        "stride": STRIDE,
        "precision": "float32",
    }
    dataset["audio"]["width"] = 64
    dataset["audio"]["weights"] = {"path": str(wav2clip), "sha256": write_wav2clip_weights(wav2clip)}
    save_params(root, params)
    return root


@pytest.fixture
def here(full_size: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params.yaml", "annotations"):
        (shutil.copytree if (full_size / name).is_dir() else shutil.copy)(full_size / name, tmp_path / name)
    (tmp_path / "videos").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_one_clip_in_twelve_containers(here: Path) -> None:
    # Files are renamed, because ids are file stems and these files share theirs.
    for suffix in [*CONTAINERS, DAMAGED]:
        shutil.copy(SAMPLES / f"demo.{suffix}", here / "videos" / f"as {suffix}.{suffix}")
    write_table(here, {f"as {suffix}.{suffix}": "normal" for suffix in [*CONTAINERS, DAMAGED]})
    params = prepare_here()
    with pytest.raises(ExtractionError, match=r"as ogg: .*decoded length disagrees with the container"):
        extract(NAME, "visual", params)
    assert extract(NAME, "audio", params).n_encoded == 13

    visual = FeatureFolder(paths.features(NAME, "visual"))
    audio = FeatureFolder(paths.features(NAME, "audio"))
    assert visual.ids == tuple(sorted(f"as {suffix}" for suffix in CONTAINERS))
    for suffix in CONTAINERS:
        check_against_pyav(here / "videos" / f"as {suffix}.{suffix}", visual, audio)
    assert visual.read("as mpg").decoder.startswith("pyav")
    assert visual.read("as mp4").decoder.startswith("decord")
    # The same pictures in other codecs: far more alike than two pictures of one clip.
    mp4, mkv = (visual.read(f"as {suffix}").values[0].astype(float) for suffix in ("mp4", "mkv"))
    assert np.linalg.norm(mp4 - mkv, axis=1).max() < 0.5 * np.linalg.norm(mp4[1:] - mp4[:-1], axis=1).mean()


def check_against_pyav(path: Path, visual: FeatureFolder, audio: FeatureFolder) -> None:
    pictures, sound = decoded_seconds(path, "video"), decoded_seconds(path, "audio")
    seen, heard = visual.read(path.stem), audio.read(path.stem)
    assert seen.values.shape == (1, -(-len(pictures) // STRIDE), 512), path.name
    assert heard.values.shape == seen.values.shape[1:]
    if path.suffix != ".avi":  # AVI has no presentation times; those that its decoder makes up differ from ours
        np.testing.assert_allclose(seen.boundary_seconds[:-1], pictures[::STRIDE], atol=1e-6)
    np.testing.assert_array_equal(seen.boundary_seconds, heard.boundary_seconds)
    centres = (heard.boundary_seconds[:-1] + heard.boundary_seconds[1:]) / 2
    # A frame of sound is up to 0.12 s long here, and the last one ends that much after its time.
    certain = (np.abs(centres - sound[0]) > 0.15) & (np.abs(centres - sound[-1]) > 0.15)
    inside = (centres >= sound[0]) & (centres <= sound[-1])
    np.testing.assert_array_equal(heard.valid[certain], inside[certain], err_msg=path.name)
    for features in (seen, heard):
        norms = np.linalg.norm(features.values.astype(float), axis=-1)
        assert np.isfinite(norms).all()
        assert (norms[..., features.valid] > 0).all()


@pytest.mark.slow
def test_surveillance_clips_as_a_table(here: Path) -> None:
    clips = sorted((SHARED / "data" / "surveillance_fights").rglob("*.mp4"))
    if not clips:
        pytest.skip(f"no real surveillance clips in {SHARED}: this test reads them there")
    for clip in clips:
        shutil.copy(clip, here / "videos" / clip.name)
    write_table(here, {clip.name: "fighting" if clip.parent.name == "fight" else "normal" for clip in clips})
    params = prepare_here()
    summaries = [extract(NAME, modality, params) for modality in ("visual", "audio")]
    assert [(s.n_videos, s.n_encoded, s.n_failed) for s in summaries] == [(52, 52, 0)] * 2
    for modality in ("visual", "audio"):
        assert len(FeatureFolder(paths.features(NAME, modality), None).ids) == 52
    audio = FeatureFolder(paths.features(NAME, "audio"))
    assert sum(not audio.read(clip.stem).valid.any() for clip in clips) == 4  # clips without a sound track
