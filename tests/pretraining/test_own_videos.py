"""An audio encoder trained on one's own videos: which moments it learns from, and the command."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from avadclip import config, paths
from avadclip.cli import app
from avadclip.config.features import Audio, Weights
from avadclip.encoders.spectrogram import spectrogram
from avadclip.encoders.wav2clip import load_wav2clip
from avadclip.errors import MediaError, TrainingError
from avadclip.extraction.run import extract
from avadclip.media.audio import decode_windows
from avadclip.pretraining.own_videos import read_moments
from avadclip.store import FeatureFolder
from tests.support import pages
from tests.support.media_factory import tone, write_video
from tests.support.project_factory import NAME, load_params, prepare_here, save_params, write_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training videos with sound, which ends early in one of them, and one without."""
    root = tmp_path_factory.mktemp("project")
    (root / "videos").mkdir()
    write_video(root / "videos" / "a.mp4", n_frames=50, audio=tone(2.0))
    write_video(root / "videos" / "b.mp4", n_frames=50, audio=tone(1.0, frequency=880))
    write_video(root / "videos" / "mute.mp4", n_frames=20)
    write_project(root, {"a.mp4": "normal", "b.mp4": "fighting", "mute.mp4": "normal"})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        extract(NAME, "visual", prepare_here())
    return root


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1000, 5])
def test_moments_pair_the_sound_and_the_picture_of_a_snippet(here: Path, limit: int) -> None:
    params = config.load()
    moments = read_moments(NAME, params, limit, seed=0)
    # The slow way: every snippet of every video with sound, in order.
    window, sounds, pictures = params.dataset(NAME).audio.window_seconds, [], []
    for video_id in ("a", "b"):
        features = FeatureFolder(paths.features(NAME, "visual")).read(video_id)
        centres = (features.boundary_seconds[:-1] + features.boundary_seconds[1:]) / 2
        for index, heard in enumerate(decode_windows(here / "videos" / f"{video_id}.mp4", centres, window)):
            sounds.append(spectrogram(heard.samples).astype(np.float16) if heard.coverage >= 0.5 else None)
            pictures.append(features.values[0, index].astype(np.float32))
    drawn = sorted(np.random.default_rng(0).permutation(len(sounds))[:limit])
    kept = [index for index in drawn if sounds[index] is not None]
    assert len([sound for sound in sounds if sound is None]) > 0  # b is silent towards its end
    np.testing.assert_array_equal(moments.spectrograms, np.stack([sounds[index] for index in kept]))
    np.testing.assert_array_equal(moments.image_features, np.stack([pictures[index] for index in kept]))


@pytest.mark.slow
def test_the_command_writes_an_encoder_that_params_can_name(here: Path) -> None:
    (typed,) = pages.commands("docs/extraction.md", "An audio encoder of your own")
    out = "weights/wav2clip_mine.safetensors"
    small = ["--width", "8", "--epochs", "1", "--batch-size", "4"]  # the last value of a repeated option counts
    words = [*typed.replace("mine ", f"{NAME} ").split()[1:], *small]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    digest = re.search(r"sha256: ([0-9a-f]{64})", result.output)[1]
    audio = Audio(width=8, weights=Weights(path=out, sha256=digest), precision="float32")
    assert load_wav2clip(audio).audio_encoder.conv1.weight.shape[0] == 8
    params = load_params(here)
    params["datasets"][NAME]["audio"] |= {"weights": {"path": out, "sha256": digest}}
    save_params(here, params)
    assert extract(NAME, "audio", config.load()).n_encoded == 3


@pytest.mark.slow
def test_what_cannot_be_listened_to_is_named(here: Path) -> None:
    params = config.load()
    refused = CliRunner().invoke(app, ["train-audio-encoder", NAME, "--out", "own.pt"])
    assert refused.exit_code == 1
    assert "--out: expected a name that ends in .safetensors, found own.pt" in refused.stderr
    manifest = paths.manifest(NAME)
    whole = manifest.read_text()
    try:
        manifest.write_text(re.sub(r",train,", ",test,", whole))
        with pytest.raises(TrainingError, match="no training video has sound"):
            read_moments(NAME, params, 10, seed=0)
        manifest.write_text(whole.replace("videos/b.mp4", "videos/gone.mp4"))
        with pytest.raises(MediaError, match=r"1 videos .*\n  b: "):
            read_moments(NAME, params, 1000, seed=0)
    finally:
        manifest.write_text(whole)
