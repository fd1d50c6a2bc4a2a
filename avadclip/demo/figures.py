"""People, vehicles and fire as a few strokes, drawn with Pillow. Positions and sizes in pixels, times in seconds."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]

SKIN: Colour = (214, 170, 136)
SMOKE: Colour = (92, 90, 88)


@dataclass(frozen=True)
class Person:
    """A person whose feet are at (x, y); angles of arms are in turns: 0 is down, 0.25 right, 0.5 up."""

    x: float
    y: float
    height: float
    colour: Colour
    arms: tuple[float, float] = (0.03, -0.03)
    lean: float = 0.0  # pixels by which the head is ahead of the feet
    stride: float = 0.0  # pixels between the feet

    def draw(self, on: ImageDraw) -> None:
        """Standing or walking."""
        hip = (self.x + self.lean * 0.4, self.y - self.height * 0.45)
        neck = (self.x + self.lean, self.y - self.height * 0.82)
        for side in (-1, 1):
            on.line([hip, (self.x + side * self.stride / 2, self.y)], fill=(40, 40, 48), width=2)
        on.line([hip, neck], fill=self.colour, width=max(3, round(self.height * 0.16)))
        length = self.height * 0.36
        for turn in self.arms:
            hand = (neck[0] + length * sin(2 * pi * turn), neck[1] + 2 + length * cos(2 * pi * turn))
            on.line([(neck[0], neck[1] + 2), hand], fill=self.colour, width=2)
        radius = self.height * 0.1
        draw_disc(on, neck[0], neck[1] - radius, radius, SKIN)

    def draw_lying(self, on: ImageDraw, curled: float = 0.0) -> None:
        """On the ground, head to the right; `curled` from 0 (stretched) to 1."""
        length = self.height * (0.9 - 0.4 * curled)
        on.line([(self.x, self.y), (self.x + length, self.y - 1)], fill=self.colour, width=4)
        draw_disc(on, self.x + length, self.y - 2, self.height * 0.1, SKIN)


def draw_car(on: ImageDraw, x: float, y: float, length: float, colour: Colour, tilt: float = 0.0) -> None:
    """A car seen from the side, its middle at x and its wheels at y; `tilt` in turns, counter-clockwise."""
    high = length * 0.28
    body = [
        (-0.5, 0.0),
        (0.5, 0.0),
        (0.5, -0.5),
        (0.28, -0.55),
        (0.16, -1.0),
        (-0.26, -1.0),
        (-0.4, -0.5),
        (-0.5, -0.5),
    ]
    glass = [(0.22, -0.55), (0.12, -0.92), (-0.22, -0.92), (-0.3, -0.55)]
    turned = cos(2 * pi * tilt), sin(2 * pi * tilt)

    def place(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [
            (x + u * length * turned[0] + v * high * turned[1], y - u * length * turned[1] + v * high * turned[0])
            for u, v in points
        ]

    on.polygon(place(body), fill=colour)
    on.polygon(place(glass), fill=(150, 190, 205))
    for wheel in place([(-0.3, 0.0), (0.3, 0.0)]):
        draw_disc(on, *wheel, length * 0.08, (20, 20, 20))


def draw_truck(on: ImageDraw, x: float, colour: Colour, width: float, height: float) -> None:
    """A near truck that fills the picture from x on."""
    on.rectangle([x, height * 0.12, x + width * 1.5, height * 0.86], fill=colour)
    for share in (0.2, 0.7, 1.2):
        draw_disc(on, x + width * share, height * 0.88, height * 0.1, (16, 16, 16))


def draw_fire(on: ImageDraw, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    """Flames that flicker from frame to frame with `rng`, rooted at (x, y)."""
    for colour, share in (((216, 70, 18), 1.0), ((246, 150, 30), 0.7), ((255, 228, 120), 0.4)):
        for offset in (-0.35, 0.0, 0.35):
            tip = y - size * share * float(rng.uniform(0.6, 1.2))
            middle = x + offset * size * share
            half = size * share * 0.28
            on.polygon([(middle - half, y), (middle + half, y), (middle + float(rng.normal(0, 1)), tip)], fill=colour)


def draw_smoke(on: ImageDraw, x: float, y: float, time: float, size: float) -> None:
    """A column that rises from (x, y)."""
    for n in range(5):
        rise = (time * 0.5 + n / 5) % 1.0
        draw_disc(on, x + 4 * sin(3 * time + n), y - rise * size * 2.2, size * (0.2 + 0.3 * rise), SMOKE)


def draw_burst(on: ImageDraw, x: float, y: float, radius: float, colour: Colour, rays: int = 8) -> None:
    """A star: a muzzle flash or a firework."""
    for n in range(rays):
        turn = 2 * pi * n / rays
        on.line([(x, y), (x + radius * cos(turn), y + radius * sin(turn))], fill=colour, width=1)
    draw_disc(on, x, y, radius * 0.4, (255, 250, 210))


def draw_disc(on: ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    """A disc around (x, y)."""
    on.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
