"""The demo world's pictures and sounds, and the data set that they make."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avadclip import config
from avadclip.config.worlds import World
from avadclip.datasets.load import load
from avadclip.demo.picture import frames
from avadclip.demo.plan import ANOMALIES, FRAME_RATE, HEIGHT, WIDTH, Clip, Event, Hiding, LookAlike, Senses
from avadclip.demo.render import render, render_world
from avadclip.demo.sound import synthesise
from avadclip.demo.waves import SAMPLE_RATE_HZ
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe

START, END, N_FRAMES = 48, 96, 144
EMPTY = Clip("quiet", "test", 11, N_FRAMES, light=0.8, has_track=True, events=(), look_alikes=(), spells=())


def with_event(label: str, senses: Senses, hiding: Hiding = "") -> Clip:
    return replace(EMPTY, events=(Event(label, START, END, senses, hiding),))


def pictures(clip: Clip) -> NDArray[np.uint8]:
    return np.stack(list(frames(clip)))


def samples_differ(left: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the frames during which the sound differs."""
    return np.unique(np.flatnonzero(left != right) * FRAME_RATE // SAMPLE_RATE_HZ)


def test_a_street_is_drawn_and_heard_throughout() -> None:
    drawn, heard = pictures(EMPTY), synthesise(EMPTY)
    assert (drawn.shape, drawn.dtype) == ((N_FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    assert (heard.shape, heard.dtype) == ((N_FRAMES * SAMPLE_RATE_HZ // FRAME_RATE,), np.float32)
    assert drawn.std(axis=(1, 2, 3)).min() > 10
    assert np.abs(heard).max() <= 1
    assert heard.reshape(-1, SAMPLE_RATE_HZ).std(axis=1).min() > 1e-3
    assert np.array_equal(drawn, pictures(EMPTY))
    assert np.array_equal(heard, synthesise(EMPTY))


@pytest.mark.slow
@pytest.mark.parametrize("label", ANOMALIES)
def test_an_event_changes_its_own_frames_only(label: str) -> None:
    clip = with_event(label, "both")
    changed = (pictures(clip) != pictures(EMPTY)).any(axis=(1, 2, 3)).nonzero()[0]
    assert (changed.min(), changed.max()) == (START, END - 1)
    heard = samples_differ(synthesise(clip), synthesise(EMPTY))
    assert START <= heard.min() < START + 4  # faded in
    assert END - 4 < heard.max() < END


@pytest.mark.slow
@pytest.mark.parametrize("label", ANOMALIES)
def test_a_silent_event_adds_no_sound_and_one_off_camera_no_picture(label: str) -> None:
    assert np.array_equal(synthesise(with_event(label, "seen", "silent")), synthesise(EMPTY))
    assert np.array_equal(pictures(with_event(label, "heard", "off camera")), pictures(EMPTY))


def test_a_masked_event_sounds_like_any_other_masked_event() -> None:
    masked = [synthesise(with_event(label, "seen", "masked")) for label in ANOMALIES]
    assert all(np.array_equal(masked[0], other) for other in masked[1:])


@pytest.mark.slow
@pytest.mark.parametrize("hiding", ["dark", "occluded"])
def test_a_hidden_event_cannot_be_told_from_the_picture(hiding: Hiding) -> None:
    """Fights and riots differ widely where the camera sees them; hidden ones hardly do."""
    seen = [pictures(with_event(label, "both"))[START:END].astype(float) for label in ("fighting", "riot")]
    hidden = [pictures(with_event(label, "heard", hiding))[START:END].astype(float) for label in ("fighting", "riot")]
    assert np.abs(hidden[0] - hidden[1]).mean() < 0.15 * np.abs(seen[0] - seen[1]).mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "modality"), [("flash of sun", "seen"), ("people dancing", "seen"), ("slammed door", "heard")]
)
def test_look_alikes_come_in_one_modality(kind: str, modality: str) -> None:
    clip = replace(EMPTY, look_alikes=(LookAlike(kind, "seen" if modality == "seen" else "heard", START, END),))
    assert np.array_equal(pictures(clip), pictures(EMPTY)) == (modality == "heard")
    assert np.array_equal(synthesise(clip), synthesise(EMPTY)) == (modality == "seen")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Clip]]:
    folder = tmp_path_factory.mktemp("data") / "demo"
    return folder, render_world(World(seed=3, n_train=4, n_test=3), folder)


def test_files_hold_what_was_drawn_and_heard(tmp_path: Path) -> None:
    clip = with_event("shooting", "both")
    render(clip, tmp_path / "clip.mp4")
    info = probe(tmp_path / "clip.mp4")
    assert (info.n_frames, info.frame_rate) == (N_FRAMES, FRAME_RATE)
    indices = np.arange(0, N_FRAMES, 24)
    decoded = np.concatenate([batch.rgb for batch in decode_frames(tmp_path / "clip.mp4", info, indices, "pyav")])
    # H.264 at this quality, with halved colour, keeps a mean error of a few of 255 levels.
    assert np.abs(decoded.astype(float) - pictures(clip)[indices]).mean() < 8
    (window,) = decode_windows(tmp_path / "clip.mp4", np.array([3.0]), 2.0)
    drawn = synthesise(clip)[2 * SAMPLE_RATE_HZ : 4 * SAMPLE_RATE_HZ]
    assert np.corrcoef(window.samples, drawn)[0, 1] > 0.9  # in step: a shift of 0.5 ms would already break this


@pytest.mark.slow
def test_the_same_world_gives_the_same_bytes(world: tuple[Path, list[Clip]], tmp_path: Path) -> None:
    folder, clips = world
    assert render_world(World(seed=3, n_train=4, n_test=3), tmp_path) == clips
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert len(files) == 7 + 2
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / file).read_bytes(), file


@pytest.mark.slow
def test_rendering_leaves_nothing_of_an_earlier_world(tmp_path: Path) -> None:
    render_world(World(seed=3, n_train=1, n_test=2), tmp_path)
    render_world(World(seed=3, n_train=1, n_test=1), tmp_path)
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == ["test_0000.mp4", "train_0000.mp4"]


@pytest.mark.slow
def test_it_is_a_data_set(world: tuple[Path, list[Clip]]) -> None:
    """Video labels for both splits, frame-exact segments for the test split only."""
    folder, clips = world
    section = config.load(Path(__file__).parents[2] / "params.yaml").dataset("demo")
    section = section.model_copy(update={"videos": str(folder / "videos"), "annotations": str(folder / "annotations")})
    listing = load(section)
    assert {video.id: (video.split, video.labels) for video in listing.videos} == {
        clip.id: (clip.split, clip.labels) for clip in clips
    }
    found = {(s.id, s.label, s.start_frame, s.end_frame) for s in listing.segments}
    assert found == {
        (clip.id, event.label, event.start_frame, event.end_frame)
        for clip in clips
        if clip.split == "test"
        for event in clip.events
    }
    assert [probe(folder / "videos" / f"{clip.id}.mp4").has_audio for clip in clips] == [c.has_track for c in clips]
