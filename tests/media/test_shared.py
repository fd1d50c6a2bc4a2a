"""Ten unusual files from a folder beside the project: numbers of frames, durations and choice of tracks."""

from pathlib import Path

import numpy as np
import pytest

from avadclip.errors import MediaError
from avadclip.media.audio import decode_windows
from avadclip.media.frames import decode_frames
from avadclip.media.probe import VideoInfo, probe
from avadclip.media.timeline import boundary_seconds

ODD = Path(__file__).parents[3] / "shared" / "data" / "odd_media"

pytestmark = pytest.mark.skipif(not ODD.is_dir(), reason=f"NOT TESTED ON SHARED FILES: no {ODD}")


def heard(path: Path, info: VideoInfo) -> tuple[np.ndarray, np.ndarray]:
    """Loudest frequency (Hz) and coverage in every second, [n] each."""
    boundaries = boundary_seconds(info, 25)
    windows = list(decode_windows(path, (boundaries[:-1] + boundaries[1:]) / 2, 0.5, sound=info.sound))
    spectra = [np.abs(np.fft.rfft(window.samples)) for window in windows]
    return np.array([spectrum.argmax() / 0.5 for spectrum in spectra]), np.array([w.coverage for w in windows])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_frames", "stream", "said"),
    [
        ("seg.ts", 250, 1, None),
        ("dav.mkv", 250, 1, None),
        ("glued.ts", 1_500, 1, "the clock of its picture jumps from 30.0 s to 0.0 s"),
        ("jump_back.ts", 500, 1, "the clock of its picture jumps from 3609.9 s"),
        ("midgop3.ts", 250, 1, "begins inside a group of pictures: the first 202"),
        ("apac.mp4", 250, None, "no decoder for apac: sound counts as absent"),
        ("bursts.mkv", 500, 1, None),
        ("future_v.mkv", 500, 1, "1 packets of its picture have timestamps far from their neighbours"),
        ("empty1st.mkv", 250, 2, None),
    ],
)
def test_spans_durations_and_tracks(name, n_frames, stream, said):
    path = ODD / name
    info = probe(path)
    assert info.n_frames == n_frames
    assert info.end_seconds - info.frame_seconds[0] == pytest.approx(n_frames / 25, abs=0.002)
    np.testing.assert_allclose(np.diff(info.frame_seconds), 1 / 25, atol=0.001)
    assert (None if info.sound is None else info.sound.stream_index) == stream
    assert info.has_audio == (stream is not None)
    assert [said in note for note in info.notes].count(True) == 1 if said else not info.notes
    assert sum(len(batch.rgb) for batch in decode_frames(path, info, np.arange(0, n_frames, 5), "pyav")) == n_frames / 5
    if info.has_audio:
        assert (heard(path, info)[1] > 0.99).all()


@pytest.mark.slow
def test_glued_parts_are_red_with_a_low_tone_and_then_blue_with_a_high_one():
    path = ODD / "glued.ts"
    info = probe(path)
    rgb = np.concatenate([batch.rgb for batch in decode_frames(path, info, np.arange(1_500), "pyav")])
    is_blue = rgb[..., 2].mean(axis=(1, 2)) > rgb[..., 0].mean(axis=(1, 2))
    np.testing.assert_array_equal(is_blue, np.arange(1_500) >= 750)
    found, _ = heard(path, info)
    np.testing.assert_allclose(found, np.where(np.arange(60) < 30, 440, 1_760), atol=2)


def test_a_picture_that_nobody_can_decode_is_named():
    with pytest.raises(MediaError, match=r"no decoder for its video codec \(zzzz\)"):
        probe(ODD / "zzzz.mp4")
