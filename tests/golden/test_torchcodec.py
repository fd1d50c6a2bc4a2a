"""torchcodec gives exactly PyAV's pictures or refuses; where it is not installed, asking for it is an error."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from avadclip.config.features import Visual, Weights
from avadclip.errors import ConfigError, MediaError
from avadclip.extraction import recipe
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe
from avadclip.media.torchcodec_reader import torchcodec_available
from tests.golden.clips import CLIPS, FOLDER, X264, Clip, write

needs_torchcodec = pytest.mark.skipif(
    not torchcodec_available(), reason="torchcodec is not installed: pip install '.[torchcodec]'"
)
VISUAL = Visual(decoder="torchcodec", weights=Weights(sha256="0" * 64), stride=4, precision="float32")
H264, VP9 = FOLDER / "h264-b-frames.mp4", FOLDER / "vp9.webm"
READ = {"vp9.webm", *(name for name in CLIPS if name.startswith("h264"))} - {
    *("h264-yuv420p10.mp4", "h264-interlaced.mp4", "h264-odd-size.mp4"),
}


def same_pictures(path: Path, step: int = 1) -> None:
    """Decode every `step`-th frame with both PyAV and torchcodec, and compare."""
    info = probe(path)
    indices = np.arange(step // 2, info.n_frames, step)
    theirs = list(decode_frames(path, info, indices, "pyav", n_threads=1))
    for mine, their in zip(decode_frames(path, info, indices, "torchcodec", n_threads=1), theirs, strict=True):
        np.testing.assert_array_equal(mine.rgb, their.rgb)
        np.testing.assert_array_equal(mine.seconds, their.seconds)


@needs_torchcodec
def test_every_golden_clip() -> None:
    """All clips are in one test, because many machines lack torchcodec."""
    for name in READ:
        same_pictures(FOLDER / name)
        same_pictures(FOLDER / name, step=3)
    for name in CLIPS.keys() - READ:
        with pytest.raises(MediaError, match="torchcodec may give other pictures than PyAV; use PyAV"):
            same_pictures(FOLDER / name)


@needs_torchcodec
def test_sizes_that_no_block_of_pixels_divides(tmp_path: Path) -> None:
    for size in ((2, 2), (34, 18), (66, 50), (102, 58), (426, 240)):
        path = tmp_path / f"{size[0]}.mp4"
        write(path, Clip(options=X264, size=size, ticks=(0, 1, 2, 3), sound=None))
        same_pictures(path)


@needs_torchcodec
def test_damage_is_refused_or_looks_the_same(tmp_path: Path) -> None:
    random, n_same = np.random.default_rng(0), 0
    for source in (H264, FOLDER / "h264.ts", FOLDER / "h264-open-gop.mkv", VP9) * 6:
        damaged, path = bytearray(source.read_bytes()), tmp_path / source.name
        start = int(random.integers(len(damaged) // 3, len(damaged)))
        damaged[start : start + 20] = random.bytes(20)
        path.write_bytes(damaged)
        try:
            same_pictures(path)
            n_same += 1
        except MediaError:
            continue
    assert n_same > 6


@needs_torchcodec
def test_a_playlist_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "a.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{FOLDER / 'h264.ts'}\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError, match="a list of other files"):
        same_pictures(path)


@needs_torchcodec
def test_frames_that_are_not_where_the_container_has_them() -> None:
    info = probe(H264)
    object.__setattr__(info, "frame_seconds", info.frame_seconds + 0.03)
    with pytest.raises(MediaError, match=r"torchcodec's frame 0 is off by 0\.03 s; use the PyAV decoder"):
        list(decode_frames(H264, info, np.arange(4), "torchcodec"))


@needs_torchcodec
def test_the_recipe_says_so() -> None:
    assert recipe.decoders(VISUAL) == ("torchcodec", "pyav")
    made = recipe.visual_recipe(VISUAL)["decoder"]
    assert made == f"torchcodec {version('torchcodec')}, else PyAV {version('av')}"


def test_it_is_never_replaced_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "torchcodec_available", lambda: False)
    with pytest.raises(
        ConfigError, match=r"visual\.decoder: torchcodec is not installed; pip install '.\[torchcodec\]'"
    ):
        recipe.visual_recipe(VISUAL)
