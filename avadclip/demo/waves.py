"""Building blocks of the demo world's sound: noise, tones, knocks and voices. float64 [n] at 16 kHz, peak about 1."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

SAMPLE_RATE_HZ = 16_000
ECHO_SECONDS = 0.11

Wave = NDArray[np.float64]


def noise(rng: np.random.Generator, n: int, low_hertz: float, high_hertz: float) -> Wave:
    """Noise in a band, of deviation 0.5."""
    filtered = sosfilt(
        butter(2, (low_hertz, high_hertz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), rng.normal(size=n)
    )
    return np.asarray(0.5 * filtered / (filtered.std() + 1e-9))


def phase(hertz: float, n: int) -> Wave:
    """Radians of a steady tone."""
    return 2 * np.pi * hertz * np.arange(n) / SAMPLE_RATE_HZ


def slow(rng: np.random.Generator, n: int) -> Wave:
    """A curve that wanders between -1 and 1 within seconds."""
    knots = rng.uniform(-1, 1, max(2, n // SAMPLE_RATE_HZ + 2))
    return np.interp(np.linspace(0, len(knots) - 1, n), np.arange(len(knots)), knots)


def saw(hertz: Wave) -> Wave:
    """A buzz whose pitch follows `hertz` [n]."""
    return 2 * (np.cumsum(hertz / SAMPLE_RATE_HZ) % 1.0) - 1


def knock(rng: np.random.Generator, hertz: float, seconds: float) -> Wave:
    """A hard object that is hit: noise below `hertz` that fades within `seconds`."""
    n = round(6 * seconds * SAMPLE_RATE_HZ)
    return 2 * noise(rng, n, 60, hertz) * _fading(n, seconds)


def boom(rng: np.random.Generator, hertz: float, seconds: float) -> Wave:
    """A soft or large object that is hit: a low tone that falls and fades."""
    n = round(4 * seconds * SAMPLE_RATE_HZ)
    tone = np.sin(2 * np.pi * np.cumsum(hertz * (0.6 + 0.4 * _fading(n, seconds))) / SAMPLE_RATE_HZ)
    return (tone + 0.2 * noise(rng, n, 40, 400)) * _fading(n, seconds)


def bang(rng: np.random.Generator, seconds: float) -> Wave:
    """A shot and its echo."""
    n = round((6 * seconds + ECHO_SECONDS) * SAMPLE_RATE_HZ)
    direct = rng.normal(size=n) * _fading(n, seconds)
    delay = round(ECHO_SECONDS * SAMPLE_RATE_HZ)
    direct[delay:] += 0.35 * direct[: n - delay]
    return direct / 2.5


def voice(rng: np.random.Generator, hertz: float, bend: float, seconds: float) -> Wave:
    """A harmonic sound that glides from `hertz` to `bend` times that."""
    n = round(seconds * rng.uniform(0.7, 1.3) * SAMPLE_RATE_HZ)
    radians = 2 * np.pi * np.cumsum(hertz * np.linspace(1, bend, n)) / SAMPLE_RATE_HZ
    harmonics = sum(np.sin(k * radians) / k for k in range(1, 5) if k * hertz < SAMPLE_RATE_HZ / 2.5)
    return np.asarray(harmonics * np.sin(np.pi * np.linspace(0, 1, n)) ** 0.5 * rng.uniform(0.6, 1.0))


def repeat(rng: np.random.Generator, n: int, hertz: float, make: Callable[[], Wave], jitter: float = 0.4) -> Wave:
    """Repeat `make`, `hertz` times per second; `jitter` is in periods. Four takes are made and reused."""
    takes = [make() for _ in range(4)]
    mix = np.zeros(n)
    period = SAMPLE_RATE_HZ / hertz
    for place in np.arange(0, n, period):
        start = max(0, int(place + rng.uniform(-jitter, jitter) * period / 2))
        take = takes[rng.integers(len(takes))][: max(0, n - start)]
        mix[start : start + len(take)] += take
    return mix


def _fading(n: int, seconds: float) -> Wave:
    return np.exp(-np.arange(n) / (seconds * SAMPLE_RATE_HZ))
