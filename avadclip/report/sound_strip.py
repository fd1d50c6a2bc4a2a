"""The sound of a video -> a strip of its spectrum: time to the right, pitch upwards, darker is louder."""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avadclip.media.audio import decode_windows

SAMPLE_RATE_HZ = 16_000
N_FFT = 1_024  # 64 ms
MOST_COLUMNS = 1_200  # pixels; wider than a strip on a screen
COLUMN_SECONDS = 0.02  # for a short video, so that its strip is not blurred
N_BANDS = 64  # mel bands = pixels of height, 0 to 8 kHz
RANGE_DB = 60.0
QUIETEST_PEAK = 1e-3  # mel power; if nothing is louder, the strip stays as pale as silence
N_LEVELS = 16  # four bits a pixel
INK = (92, 110, 140)  # legible on light and dark backgrounds, because only the opacity varies
_BATCH_SAMPLES = 2_000_000


def draw_sound(path: Path, start_seconds: float, end_seconds: float) -> bytes:
    """PNG of the sound between two times of the file's clock, at most 1200 x 64; the same sound gives the same bytes.

    Raises
    ------
    MediaError : the file has no audio stream, or too much of it cannot be decoded.
    """
    *_, png = draw_sound_in_steps(path, start_seconds, end_seconds)
    assert png is not None
    return png


def draw_sound_in_steps(path: Path, start_seconds: float, end_seconds: float) -> Iterator[bytes | None]:
    """The same for a worker that has to give signs of life: None after each part of the sound, and then the PNG."""
    seconds = end_seconds - start_seconds
    n_columns = max(1, min(MOST_COLUMNS, round(seconds / COLUMN_SECONDS)))
    column_seconds = seconds / n_columns
    centres: NDArray[np.float64] = start_seconds + (np.arange(n_columns, dtype=np.float64) + 0.5) * column_seconds
    window_seconds = max(column_seconds, N_FFT / SAMPLE_RATE_HZ)
    windows = (window.samples for window in decode_windows(path, centres, window_seconds, SAMPLE_RATE_HZ))
    n_at_once = max(1, round(_BATCH_SAMPLES / (window_seconds * SAMPLE_RATE_HZ)))
    power = []
    for batch in _batches(windows, n_at_once):
        power.append(_mel_power(batch))
        yield None
    yield _png(_levels(np.concatenate(power)))


def _batches(windows: Iterator[NDArray[np.float32]], n_at_once: int) -> Iterator[NDArray[np.float32]]:
    while batch := list(islice(windows, n_at_once)):
        yield np.stack(batch)


def _mel_power(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean mel power of each window: [columns, n] -> [columns, bands]."""
    import librosa  # takes seconds, and only the worker that draws needs it

    spectrum: NDArray[np.float32] = librosa.feature.melspectrogram(
        y=samples, sr=SAMPLE_RATE_HZ, n_fft=N_FFT, hop_length=N_FFT // 2, center=False, n_mels=N_BANDS
    )
    mean: NDArray[np.float32] = spectrum.mean(axis=-1)
    return mean


def _levels(power: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Loudness in steps, [bands, columns], the highest pitch first."""
    peak = max(float(power.max()), QUIETEST_PEAK)
    decibels = 10 * np.log10(np.maximum(power, peak * 10 ** (-RANGE_DB / 10)) / peak)
    levels = np.round((decibels / RANGE_DB + 1) * (N_LEVELS - 1)).astype(np.uint8)
    return np.ascontiguousarray(levels.T[::-1])


def _png(levels: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(levels, mode="P")
    image.putpalette(bytes(INK * N_LEVELS))
    opacities = bytes(round(255 * level / (N_LEVELS - 1)) for level in range(N_LEVELS))
    file = io.BytesIO()
    image.save(file, "PNG", transparency=opacities, bits=4, optimize=True)
    return file.getvalue()
