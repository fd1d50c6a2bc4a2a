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

FFMPEG = shutil.which("ffmpeg")
SIZE = (128, 96)
MATRICES = {"bt601": (Colorspace.ITU601, 6), "bt709": (Colorspace.ITU709, 1)}  # for the scaler; as H.264 numbers them
RANGES = {"limited": (ColorRange.MPEG, 1), "full": (ColorRange.JPEG, 2)}

needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="NOT COMPARED WITH FFMPEG: no ffmpeg on this machine")


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


@pytest.mark.slow
@pytest.mark.parametrize("is_interlaced", [False, True], ids=["progressive", "interlaced"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("levels", RANGES)
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_colours_are_those_that_were_written_and_those_of_ffmpeg(
    tmp_path, pixels, matrix, levels, rotation, is_interlaced
):
    path = write(tmp_path / "a.mp4", pixels, matrix, levels, rotation, is_interlaced)
    info = probe(path)
    found = {"pyav": np.concatenate([b.rgb for b in decode_frames(path, info, np.arange(6), "pyav")])}
    if decord_available() and not rotation:
        found["decord"] = np.concatenate([b.rgb for b in decode_frames(path, info, np.arange(6), "decord")])
    elif decord_available():
        with pytest.raises(MediaError, match="rotated"):
            list(decode_frames(path, info, np.arange(6), "decord"))
    written = np.rot90(colours(), k=rotation // 90).astype(int)
    for decoder, rgb in found.items():
        assert rgb.shape[1:] == written.shape
        assert np.abs(rgb - written).mean() < 3, decoder
    if FFMPEG is not None:
        theirs = by_ffmpeg(path, written.shape)
        for decoder, rgb in found.items():
            assert np.abs(rgb.astype(int) - theirs).mean() < 3, decoder


def by_ffmpeg(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    command = [str(FFMPEG), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, *shape).astype(int)


@needs_ffmpeg
def test_ffmpeg_was_there_to_compare_with():
    assert FFMPEG is not None
