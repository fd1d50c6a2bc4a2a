"""The frames of a clip: a street with passers-by, its events, its light, and the noise of a cheap camera."""

from collections.abc import Iterator
from math import pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from avadclip.demo.actions import SEEN, Stage
from avadclip.demo.figures import Colour, Person, draw_car, draw_truck
from avadclip.demo.plan import FRAME_RATE, HEIGHT, WIDTH, Clip, Event, LookAlike

PAVEMENT = 62  # pixels from the top, where houses end
GROUND = 80  # where feet are
GROWN_UP = 26  # pixels
VIEW = (
    16,
    20,
    112,
    92,
)  # the part of the drawing that is enlarged to the whole picture, near enough to recognise blows
DARK = 0.07  # share of the light that remains when lamps are out


def frames(clip: Clip) -> Iterator[NDArray[np.uint8]]:
    """Every frame of `clip` in order: uint8 [HEIGHT, WIDTH, 3]."""
    rng = np.random.default_rng([clip.seed, 0])
    street = _street(rng)
    passers_by = [_PasserBy(rng, clip.seconds) for _ in range(rng.integers(3, 8))]
    truck = _colour(rng)
    # One sheet of noise, shifted for each frame: it looks the same, and is ten times as fast as new noise.
    noise = rng.normal(0, rng.uniform(2, 7), (2 * HEIGHT, 2 * WIDTH, 1)).astype(np.float32)
    waver = rng.uniform(0.03, 0.12), rng.uniform(0.05, 0.3)  # of the light: depth, hertz
    for index in range(clip.n_frames):
        seconds = index / FRAME_RATE
        image = street.copy()
        on = ImageDraw.Draw(image)
        for passer_by in passers_by:
            passer_by.draw(on, seconds)
        hidden = _draw_actions(on, clip, index)
        if hidden == "occluded":
            draw_truck(on, -WIDTH * 0.25 + 6 * sin(seconds), truck, WIDTH, HEIGHT)
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=VIEW)
        light = clip.light * (1 + waver[0] * sin(2 * pi * waver[1] * seconds))
        light *= DARK if hidden == "dark" else 1.0
        top, left = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
        seen = np.asarray(image, np.float32) * light + noise[top : top + HEIGHT, left : left + WIDTH]
        yield np.clip(seen, 0, 255).astype(np.uint8)


def _draw_actions(on: ImageDraw.ImageDraw, clip: Clip, index: int) -> str:
    """Draw the visible actions; return what hides the others ("dark", "occluded" or "")."""
    for look_alike in clip.look_alikes:
        if look_alike.modality == "seen" and look_alike.start_frame <= index < look_alike.end_frame:
            SEEN[look_alike.kind](_stage(on, clip, look_alike, index))
    for event in clip.events:
        if event.start_frame <= index < event.end_frame:
            if event.hiding != "off camera":
                SEEN[event.label](_stage(on, clip, event, index))
            if event.hiding in ("dark", "occluded"):
                return event.hiding
    return next((spell.kind for spell in clip.spells if spell.start_frame <= index < spell.end_frame), "")


def _stage(on: ImageDraw.ImageDraw, clip: Clip, action: Event | LookAlike, index: int) -> Stage:
    traits = np.random.default_rng([clip.seed, 2, action.start_frame])  # the same in every frame of the action
    elapsed = index - action.start_frame
    return Stage(
        on=on,
        seconds=elapsed / FRAME_RATE,
        share=elapsed / (action.end_frame - action.start_frame),
        x=traits.uniform(46, 82),
        ground=GROUND + traits.uniform(-4, 6),
        height=GROWN_UP * traits.uniform(1.0, 1.4),
        traits=traits,
        flicker=np.random.default_rng([clip.seed, 3, index]),
    )


class _PasserBy:
    """A pedestrian or a car that crosses the picture once."""

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        self._drives = rng.random() < 0.3
        self._start = rng.uniform(-3, seconds)
        self._direction = 1 if rng.random() < 0.5 else -1
        self._speed = rng.uniform(30, 55) if self._drives else rng.uniform(6, 14)  # pixels per second
        self._y = GROUND + (rng.uniform(6, 12) if self._drives else rng.uniform(-10, 4))
        self._size = rng.uniform(28, 38) if self._drives else GROWN_UP * rng.uniform(0.8, 1.15)
        self._colour = _colour(rng)

    def draw(self, on: ImageDraw.ImageDraw, seconds: float) -> None:
        travelled = (seconds - self._start) * self._speed - 20
        if not -20 <= travelled <= WIDTH + 40:
            return
        x = travelled if self._direction > 0 else WIDTH - travelled
        if self._drives:
            draw_car(on, x, self._y, self._size, self._colour)
            return
        step = sin(2 * pi * 1.6 * (seconds - self._start))
        arms = (0.05 * step, -0.05 * step)
        Person(x, self._y, self._size, self._colour, arms, lean=self._direction, stride=6 * step).draw(on)


def _street(rng: np.random.Generator) -> Image.Image:
    """Houses with windows and doors, a pavement and a road."""
    sky = tuple(int(value) for value in rng.integers((120, 150, 180), (190, 210, 250)))
    image = Image.new("RGB", (WIDTH, HEIGHT), sky)
    on = ImageDraw.Draw(image)
    left = 0
    while left < WIDTH:
        right, roof = left + int(rng.integers(22, 44)), int(rng.integers(4, 24))
        wall = tuple(int(value) for value in rng.integers(90, 190, 3))
        on.rectangle([left, roof, right, PAVEMENT], fill=wall)
        for x in range(left + 4, right - 6, 10):
            for y in range(roof + 5, PAVEMENT - 12, 12):
                on.rectangle([x, y, x + 5, y + 6], fill=(60, 72, 90) if rng.random() < 0.7 else (235, 214, 140))
        left = right
    on.rectangle([0, PAVEMENT, WIDTH, GROUND + 2], fill=(150, 148, 142))
    on.rectangle([0, GROUND + 2, WIDTH, HEIGHT], fill=(84, 84, 88))
    return image


def _colour(rng: np.random.Generator) -> Colour:
    red, green, blue = rng.integers(30, 220, 3)
    return int(red), int(green), int(blue)
