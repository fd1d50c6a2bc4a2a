"""Drawings of events and look-alikes: one function each, which draws the action at a time since its start.

Every function takes a :class:`Stage`; what differs between events (who, where, how fast) is drawn from its `traits`,
which are the same in all frames of the event, and what flickers from its `flicker`, which is not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from PIL.ImageDraw import ImageDraw

from avadclip.demo.figures import (
    Colour,
    Person,
    draw_burst,
    draw_car,
    draw_disc,
    draw_fire,
    draw_smoke,
)


@dataclass(frozen=True)
class Stage:
    """Where and when an action is drawn."""

    on: ImageDraw
    seconds: float  # since the start of the action
    share: float  # of the action's length that has passed, 0 to 1
    x: float  # pixels
    ground: float  # pixels
    height: float  # of an adult, pixels
    traits: np.random.Generator
    flicker: np.random.Generator

    def colour(self) -> Colour:
        """A colour for clothes or a car."""
        red, green, blue = self.traits.integers(30, 220, 3)
        return int(red), int(green), int(blue)

    @property
    def step(self) -> float:
        """A twenty-sixth of the height of an adult, in pixels, so that gaps scale with people."""
        return self.height / 26

    def swing(self, hertz: float, phase: float = 0.0) -> float:
        """-1 to 1, periodic."""
        return sin(2 * pi * (hertz * self.seconds + phase))


def fighting(stage: Stage) -> None:
    """Two people who hit each other and stagger."""
    hertz, gap = stage.traits.uniform(1.8, 3.5), stage.traits.uniform(7, 12) * stage.step
    drift = 3 * stage.swing(0.5)
    for side, phase in ((-1, 0.0), (1, 0.37)):
        hit = stage.swing(hertz, phase)
        arms = (-side * (0.22 + 0.1 * hit), -side * (0.26 - 0.12 * hit))
        x = stage.x + drift + side * (gap / 2 + 2 * hit)
        Person(x, stage.ground, stage.height, stage.colour(), arms, lean=-side * (3 + 3 * hit), stride=9).draw(stage.on)


def shooting(stage: Stage) -> None:
    """One person who aims and fires, and one who falls."""
    side = 1 if stage.traits.random() < 0.5 else -1
    shooter_x = stage.x - side * stage.traits.uniform(12, 18) * stage.step
    shooter = Person(shooter_x, stage.ground, stage.height, stage.colour(), (side * 0.25, side * 0.24), stride=8)
    shooter.draw(stage.on)
    hand = shooter_x + side * stage.height * 0.36, stage.ground - stage.height * 0.82 + 2
    muzzle = hand[0] + side * 6, hand[1]
    stage.on.line([hand, muzzle], fill=(8, 8, 8), width=3)
    if stage.flicker.random() < 0.4:
        draw_burst(stage.on, muzzle[0] + side * 4, muzzle[1], 8, (255, 232, 120))
    victim = Person(
        stage.x + side * 14 * stage.step, stage.ground + 3, stage.height, stage.colour(), (0.4, -0.4), lean=side * 4
    )
    if stage.share < stage.traits.uniform(0.2, 0.6):
        victim.draw(stage.on)
    else:
        victim.draw_lying(stage.on)


def riot(stage: Stage) -> None:
    """A crowd with raised fists, flying objects, a fire."""
    n_people = int(stage.traits.integers(8, 14))
    draw_fire(stage.on, stage.flicker, stage.x + stage.traits.uniform(-25, 25), stage.ground - 4, 14)
    for n in range(n_people):
        x = stage.x + stage.traits.uniform(-40, 40) + 4 * stage.swing(0.7, n / 7)
        y = stage.ground + stage.traits.uniform(-9, 7)
        fist = 0.5 + 0.1 * stage.swing(2.0, n / 5)
        running = 6 + 3 * stage.swing(3.0, n / 3)
        Person(x, y, stage.height * 0.9, stage.colour(), (fist, -0.05), stride=running).draw(stage.on)
    for n in range(3):
        flight = (stage.seconds * 0.9 + n / 3) % 1.0
        thrown = stage.x - 40 + 80 * flight, stage.ground - 30 - 35 * sin(pi * flight)
        draw_disc(stage.on, *thrown, 1.6, (30, 28, 26))
    draw_smoke(stage.on, stage.x + 30, stage.ground - 20, stage.seconds, 11)


def abuse(stage: Stage) -> None:
    """One person who stands over another on the ground and beats them."""
    side = 1 if stage.traits.random() < 0.5 else -1
    blow = stage.swing(stage.traits.uniform(1.2, 2.2))
    victim = Person(stage.x - 4, stage.ground + 2, stage.height * 0.75, stage.colour())
    victim.draw_lying(stage.on, curled=0.6 + 0.4 * abs(blow))
    arms = (side * (0.34 + 0.16 * blow), side * 0.1)
    beater = stage.x - side * 9 * stage.step
    Person(beater, stage.ground, stage.height * 1.1, stage.colour(), arms, lean=side * 6, stride=8).draw(stage.on)


def car_accident(stage: Stage) -> None:
    """Two cars that collide, tilt and smoke."""
    impact = 0.3
    apart = max(0.0, 1 - stage.share / impact) * 45
    hit = stage.share >= impact
    length = stage.traits.uniform(28, 36)
    tilts = stage.traits.uniform(0.03, 0.12, 2) if hit else (0.0, 0.0)
    if hit:
        draw_smoke(stage.on, stage.x, stage.ground - 12, stage.seconds, 13)
    draw_car(stage.on, stage.x - length * 0.42 - apart, stage.ground + 6, length, stage.colour(), tilts[0])
    draw_car(stage.on, stage.x + length * 0.42 + apart, stage.ground + 5, length, stage.colour(), -tilts[1])
    if hit:
        for _ in range(8):
            x, y = stage.x + stage.traits.normal(0, 14), stage.ground + 6 + stage.traits.normal(0, 3)
            stage.on.rectangle([x, y, x + 2, y + 1], fill=(220, 220, 215))
        if stage.swing(2.0) > 0:
            draw_disc(stage.on, stage.x + length * 0.85, stage.ground, 2.2, (255, 160, 30))


def explosion(stage: Stage) -> None:
    """A fireball, then flames below a dark column."""
    size = stage.traits.uniform(20, 32)
    y = stage.ground - 6
    if stage.seconds < 0.7:
        radius = size * min(1.0, stage.seconds / 0.25 + 0.2)
        for colour, share in (((210, 80, 20), 1.0), ((250, 160, 40), 0.75), ((255, 244, 190), 0.45)):
            draw_disc(stage.on, stage.x, y - radius * 0.5, radius * share, colour)
        return
    draw_smoke(stage.on, stage.x, y - size * 0.5, stage.seconds, size * 0.9)
    draw_fire(stage.on, stage.flicker, stage.x, y, size * (1.2 - 0.6 * stage.share))


def hugging(stage: Stage) -> None:
    """Two people who hold each other: like a fight, without blows."""
    sway = 0.8 * stage.swing(0.4)
    for side in (-1, 1):
        arms = (-side * 0.2, -side * 0.16)
        x = stage.x + sway + side * 3.5 * stage.step
        Person(x, stage.ground, stage.height, stage.colour(), arms, lean=-side * 2, stride=3).draw(stage.on)


def people_dancing(stage: Stage) -> None:
    """Raised arms as in a riot, but nothing burns or flies."""
    for n in range(int(stage.traits.integers(2, 5))):
        hertz = stage.traits.uniform(0.8, 1.5)
        up = 0.4 + 0.08 * stage.swing(hertz, n / 4)
        y = stage.ground - 2 * abs(stage.swing(hertz, n / 3))
        Person(stage.x - 22 + 14 * n, y, stage.height, stage.colour(), (up, -up), stride=6).draw(stage.on)


def fireworks_on_a_television(stage: Stage) -> None:
    """Flashes in a frame in a shop window."""
    left, top = stage.x + stage.traits.uniform(-26, 4), stage.ground - 44
    stage.on.rectangle([left - 1, top - 1, left + 27, top + 19], fill=(14, 14, 14))
    stage.on.rectangle([left + 1, top + 1, left + 25, top + 17], fill=(16, 20, 60))
    for n in range(2):
        burst = (stage.seconds * 1.3 + n / 2) % 1.0
        colour = ((255, 120, 60), (255, 230, 90))[n]
        draw_burst(stage.on, left + 8 + 10 * n, top + 9 + 3 * cos(n + stage.seconds), 1 + 6 * burst, colour)


def flash_of_sun(stage: Stage) -> None:
    """A reflection that blinds the camera."""
    strength = sin(pi * stage.share)
    x, y = stage.x + stage.traits.uniform(-25, 25), stage.ground - stage.traits.uniform(15, 45)
    for share, colour in ((1.0, (240, 226, 170)), (0.7, (252, 242, 205)), (0.4, (255, 255, 246))):
        draw_disc(stage.on, x, y, 24 * strength * share, colour)


SEEN: dict[str, Callable[[Stage], None]] = {
    "fighting": fighting,
    "shooting": shooting,
    "riot": riot,
    "abuse": abuse,
    "car accident": car_accident,
    "explosion": explosion,
    "hugging": hugging,
    "people dancing": people_dancing,
    "fireworks on a television": fireworks_on_a_television,
    "flash of sun": flash_of_sun,
}
