"""RGB of both decoders compared with ffmpeg's, for formats that cameras and editors write."""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from avadclip.errors import MediaError
from avadclip.media.decord_reader import decord_available
from avadclip.media.frames import decode_frames
from avadclip.media.probe import probe
from tests.support.missing import skip_or_fail

SIZE = (128, 96)
MATRICES = {"bt601": (Colorspace.ITU601, 6), "bt709": (Colorspace.ITU709, 1)}  # for the scaler; as H.264 numbers them
RANGES = {"limited": (ColorRange.MPEG, 1), "full": (ColorRange.JPEG, 2)}


@pytest.fixture
def ffmpeg() -> str:
    """The program; where there is none, the test is skipped, or fails on CI."""
    found = shutil.which("ffmpeg")
    if found is None:
        skip_or_fail("NOT COMPARED WITH FFMPEG", "ffmpeg")
    return found


def colours() -> np.ndarray:
    """A picture, uint8 [height, width, 3], without edges, which would compare filters instead of matrices."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] / max(SIZE)
    return np.stack([40 + 180 * x, 220 - 180 * y, 60 + 150 * (x + y) / 2], axis=-1).round().astype(np.uint8)


def write(path: Path, pixels: str, matrix: str, levels: str, rotation: int, is_interlaced: bool) -> Path:
    (space, space_number), (range_, range_number) = MATRICES[matrix], RANGES[levels]
    options = {"qp": "4", "preset": "ultrafast"} | ({"x264-params": "interlaced=1:tff=1"} if is_interlaced else {})
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.options = pixels, options
        stream.codec_context.colorspace, stream.codec_context.color_range = space_number, range_number
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(6):
            frame = av.VideoFrame.from_ndarray(colours(), format="rgb24").reformat(
                format=pixels, dst_colorspace=space, dst_color_range=range_
            )
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.colorspace, frame.color_range = space_number, range_number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decoded(path: Path) -> dict[str, np.ndarray]:
    """RGB by each decoder that reads the file, [n, height, width, 3]."""
    info = probe(path)
    found = {"pyav": np.concatenate([b.rgb for b in decode_frames(path, info, np.arange(6), "pyav")])}
    if decord_available() and not info.rotation:
        found["decord"] = np.concatenate([b.rgb for b in decode_frames(path, info, np.arange(6), "decord")])
    elif decord_available():
        with pytest.raises(MediaError, match="rotated"):
            list(decode_frames(path, info, np.arange(6), "decord"))
    return found


def formats(test):
    """Run a test with every format."""
    for name, values in (
        ("is_interlaced", {"progressive": False, "interlaced": True}),
        ("rotation", {str(angle): angle for angle in (0, 90, 180, 270)}),
        ("levels", {name: name for name in RANGES}),
        ("matrix", {name: name for name in MATRICES}),
        ("pixels", {name: name for name in ("yuv420p", "yuv420p10le")}),
    ):
        test = pytest.mark.parametrize(name, values.values(), ids=values)(test)
    return pytest.mark.slow(test)


@formats
def test_colours_are_those_that_were_written(tmp_path, pixels, matrix, levels, rotation, is_interlaced):
    written = np.rot90(colours(), k=rotation // 90).astype(int)
    for decoder, rgb in decoded(write(tmp_path / "a.mp4", pixels, matrix, levels, rotation, is_interlaced)).items():
        assert rgb.shape[1:] == written.shape
        assert np.abs(rgb - written).mean() < 3, decoder


@formats
def test_colours_are_those_of_ffmpeg(ffmpeg, tmp_path, pixels, matrix, levels, rotation, is_interlaced):
    path = write(tmp_path / "a.mp4", pixels, matrix, levels, rotation, is_interlaced)
    command = [ffmpeg, "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    for decoder, rgb in decoded(path).items():
        theirs = np.frombuffer(raw, dtype=np.uint8).reshape(rgb.shape).astype(int)
        assert np.abs(rgb - theirs).mean() < 3, decoder
