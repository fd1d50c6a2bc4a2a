"""The sound of a clip: the ambience of a street, and the sounds of events and look-alikes.

Each source has its own random numbers, so leaving one out changes nothing else.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from avadclip.demo.plan import FRAME_RATE, Clip
from avadclip.demo.waves import SAMPLE_RATE_HZ, Wave, bang, boom, knock, noise, phase, repeat, saw, slow, voice

FADE_SECONDS = 0.05
TRUCK_SHARE = 0.25  # of the clips, in which a truck passes, so that noise alone does not indicate a masked event

Samples = NDArray[np.float32]
Source = Callable[[np.random.Generator, int], Wave]  # (numbers, n samples) -> [n]


def synthesise(clip: Clip) -> Samples:
    """The whole track of a clip that has one: float32 [n_frames / FRAME_RATE * 16000], mono, within -1 to 1."""
    n_samples = round(clip.n_frames / FRAME_RATE * SAMPLE_RATE_HZ)
    rng = np.random.default_rng([clip.seed, 1])
    mix = rng.uniform(0.02, 0.06) * ambience(rng, n_samples)
    if rng.random() < TRUCK_SHARE:
        start = int(rng.integers(0, n_samples // 2))
        _add(mix, truck(rng, n_samples // 3), start, gain=rng.uniform(0.2, 0.4))
    for event in clip.events:
        if event.is_heard:
            _perform(mix, clip, event.label, event.start_frame, event.end_frame)
        elif event.hiding == "masked":
            _perform(mix, clip, "truck", event.start_frame, event.end_frame)
    for look_alike in clip.look_alikes:
        if look_alike.modality == "heard":
            _perform(mix, clip, look_alike.kind, look_alike.start_frame, look_alike.end_frame)
    return np.clip(mix, -1, 1).astype(np.float32)


def _perform(mix: Wave, clip: Clip, name: str, start_frame: int, end_frame: int) -> None:
    """Add a source between two frames, at a loudness of its own."""
    start, end = (round(frame / FRAME_RATE * SAMPLE_RATE_HZ) for frame in (start_frame, end_frame))
    rng = np.random.default_rng([clip.seed, 1, start_frame])
    gain = rng.uniform(0.12, 0.5)
    _add(mix, HEARD[name](rng, end - start), start, gain)


def _add(mix: Wave, source: Wave, start: int, gain: float) -> None:
    """Add `source` from `start` on, scaled to a peak of `gain` and faded at both ends; what is outside is cut."""
    fade = round(FADE_SECONDS * SAMPLE_RATE_HZ)
    envelope = np.minimum(1, np.minimum(np.arange(len(source)), np.arange(len(source))[::-1]) / fade)
    loudest = np.abs(source).max() + 1e-9
    end = min(len(mix), start + len(source))
    mix[start:end] += (gain / loudest * envelope * source)[: end - start]


def ambience(rng: np.random.Generator, n: int) -> Wave:
    """Distant traffic, voices, steps."""
    traffic = noise(rng, n, 40, 400)
    talk = noise(rng, n, 300, 2500) * np.clip(np.sin(phase(rng.uniform(2, 5), n)) + slow(rng, n), 0, None)
    steps = repeat(rng, n, rng.uniform(1.5, 2.2), lambda: knock(rng, 700, 0.03), jitter=0.05)
    return traffic + rng.uniform(0.2, 0.8) * talk + rng.uniform(0, 1.5) * steps


def truck(rng: np.random.Generator, n: int) -> Wave:
    """A diesel engine that comes and goes."""
    engine = noise(rng, n, 30, 1800) + saw(np.full(n, rng.uniform(28, 45)))
    swell: Wave = 0.4 + 0.6 * np.sin(np.pi * np.linspace(0, 1, n))
    return engine * swell


def fighting(rng: np.random.Generator, n: int) -> Wave:
    """Shouts and thuds."""
    shouts = repeat(rng, n, rng.uniform(1.2, 2.2), lambda: voice(rng, rng.uniform(180, 380), 1.25, 0.35))
    thuds = repeat(rng, n, rng.uniform(1.5, 3.0), lambda: boom(rng, rng.uniform(80, 150), 0.12))
    return shouts + 1.5 * thuds


def shooting(rng: np.random.Generator, n: int) -> Wave:
    """Bangs with an echo."""
    return repeat(rng, n, rng.uniform(1.2, 4.0), lambda: bang(rng, rng.uniform(0.04, 0.09)))


def riot(rng: np.random.Generator, n: int) -> Wave:
    """A roaring crowd, whistles, chants."""
    roar = noise(rng, n, 300, 1500) * (1 + 0.5 * slow(rng, n))
    chant = noise(rng, n, 200, 900) * np.clip(np.sin(phase(rng.uniform(1.2, 2.0), n)), 0, None)
    whistles = repeat(rng, n, 0.7, lambda: voice(rng, rng.uniform(2000, 2800), 1.1, 0.4))
    crowd: Wave = roar + chant + 0.6 * whistles
    return crowd


def abuse(rng: np.random.Generator, n: int) -> Wave:
    """Cries and slaps."""
    cries = repeat(rng, n, rng.uniform(0.9, 1.5), lambda: voice(rng, rng.uniform(700, 1100), 0.7, 0.6))
    slaps = repeat(rng, n, rng.uniform(1.2, 2.2), lambda: knock(rng, 1800, 0.02))
    return cries + 0.8 * slaps


def car_accident(rng: np.random.Generator, n: int) -> Wave:
    """Tyres, a crash, a continuous horn."""
    sound = np.zeros(n)
    impact = round(0.3 * n)
    pitch = rng.uniform(1900, 2800) * (1 + 0.03 * np.sin(phase(9, impact)))
    sound[:impact] = 0.5 * np.sin(np.cumsum(2 * np.pi * pitch / SAMPLE_RATE_HZ)) + 0.5 * noise(rng, impact, 1800, 3200)
    rest = n - impact
    seconds = np.arange(rest) / SAMPLE_RATE_HZ
    crash = 2.5 * noise(rng, rest, 100, 6000) * np.exp(-seconds / 0.35)
    ringing = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in rng.uniform(900, 4500, 6)) * np.exp(-seconds / 0.5)
    horn = saw(np.full(rest, rng.uniform(350, 450)))
    sound[impact:] = crash + 0.4 * ringing + 0.5 * horn
    return sound


def explosion(rng: np.random.Generator, n: int) -> Wave:
    """A boom that fades, rubble, an alarm far away."""
    seconds = np.arange(n) / SAMPLE_RATE_HZ
    boom = (noise(rng, n, 25, 250) + np.sin(phase(rng.uniform(40, 80), n))) * np.exp(-seconds / rng.uniform(0.8, 2.0))
    rubble = repeat(rng, n, 18, lambda: knock(rng, 3000, 0.01), jitter=1.0) * np.exp(-seconds / 3)
    alarm = np.sign(np.sin(phase(rng.uniform(600, 900), n))) * (np.sin(phase(2.0, n)) > 0)
    return 3 * boom + 0.8 * noise(rng, n, 60, 700) + rubble + 0.25 * alarm * (seconds > 0.8)


def slammed_door(rng: np.random.Generator, n: int) -> Wave:
    """One or two dull bangs: shots without their edge."""
    sound = np.zeros(n)
    for start in rng.integers(0, n // 2, rng.integers(1, 3)):
        for part in (boom(rng, rng.uniform(140, 220), 0.15), knock(rng, 900, 0.05)):
            end = min(n, start + len(part))
            sound[start:end] += part[: end - start]
    return sound


def cheering(rng: np.random.Generator, n: int) -> Wave:
    """A crowd that is happy: higher than a riot, with applause."""
    applause = repeat(rng, n, 40, lambda: knock(rng, 2500, 0.008), jitter=1.0)
    return noise(rng, n, 700, 3000) * (1 + 0.5 * slow(rng, n)) + 0.6 * applause


def revving_engine(rng: np.random.Generator, n: int) -> Wave:
    """A motorcycle at traffic lights."""
    return saw(rng.uniform(60, 90) * (1.6 + 0.6 * np.sin(phase(rng.uniform(0.4, 1.0), n))))


def barking_dog(rng: np.random.Generator, n: int) -> Wave:
    """Short, repeated barks."""
    return repeat(rng, n, rng.uniform(1.5, 3.0), lambda: voice(rng, rng.uniform(400, 800), 0.6, 0.14))


HEARD: dict[str, Source] = {
    "fighting": fighting,
    "shooting": shooting,
    "riot": riot,
    "abuse": abuse,
    "car accident": car_accident,
    "explosion": explosion,
    "slammed door": slammed_door,
    "cheering": cheering,
    "revving engine": revving_engine,
    "barking dog": barking_dog,
    "truck": truck,
}
