"""What happens in each video of the demo world: decided once from a seed, before anything is rendered.

Weak supervision is easy in an easy world, so this one is hard on purpose: an event is seen, heard or both; normal
videos have look-alikes in one modality; light changes; some videos have two events, and some no audio track.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

FRAME_RATE = 24
WIDTH, HEIGHT = 128, 96  # pixels
ANOMALIES = ("fighting", "shooting", "riot", "abuse", "car accident", "explosion")
# Of all events: seen only, heard only, both.
SENSES_SHARES = {"seen": 0.3, "heard": 0.3, "both": 0.4}
ANOMALOUS_SHARE = 0.55  # of the videos of each split
SECOND_EVENT_SHARE = 0.25  # of the anomalous videos
NO_TRACK_SHARE = 0.08  # of the videos
SECONDS = (15.0, 30.0)  # of a video, shortest and longest
EVENT_SECONDS = (3.0, 8.0)
LOOK_ALIKE_SECONDS = (1.5, 5.0)
SPELL_SHARE = 0.4  # of the videos
MARGIN_SECONDS = 1.0  # before, between and after events

Senses = Literal["seen", "heard", "both"]
Hiding = Literal["dark", "occluded", "off camera", "silent", "masked", ""]
# By modality: what looks or sounds like an anomaly but is not one.
LOOK_ALIKES = {
    "seen": ("hugging", "fireworks on a television", "flash of sun", "people dancing"),
    "heard": ("slammed door", "cheering", "revving engine", "barking dog"),
}


@dataclass(frozen=True)
class Event:
    """An anomaly in the frames [start_frame, end_frame)."""

    label: str  # one of ANOMALIES
    start_frame: int
    end_frame: int
    senses: Senses
    hiding: Hiding  # how it is hidden from the other modality; empty if it is not

    @property
    def is_seen(self) -> bool:
        """Whether the picture shows it."""
        return self.senses != "heard"

    @property
    def is_heard(self) -> bool:
        """Whether it can be recognised by the sound."""
        return self.senses != "seen"


@dataclass(frozen=True)
class LookAlike:
    """Something harmless in the frames [start_frame, end_frame) that resembles an anomaly in one modality."""

    kind: str  # one of LOOK_ALIKES[modality]
    modality: Literal["seen", "heard"]
    start_frame: int
    end_frame: int


@dataclass(frozen=True)
class Spell:
    """A time in which the camera is blocked but nothing happens, so that this alone does not indicate an event."""

    kind: Literal["dark", "occluded"]
    start_frame: int
    end_frame: int


@dataclass(frozen=True)
class Clip:
    """One video."""

    id: str
    split: Literal["train", "test"]
    seed: int  # of picture and sound
    n_frames: int
    light: float  # mean brightness of the scene, 0 (black) to 1 (noon)
    has_track: bool
    events: tuple[Event, ...]
    look_alikes: tuple[LookAlike, ...]
    spells: tuple[Spell, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Anomaly classes in order of appearance, or `normal` alone."""
        return tuple(dict.fromkeys(event.label for event in self.events)) or ("normal",)

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.n_frames / FRAME_RATE


def plan_world(seed: int, n_train: int, n_test: int) -> list[Clip]:
    """Every clip of a world, training split first. Classes are balanced, everything else is drawn from `seed`."""
    clips = []
    for split, count, offset in (("train", n_train, 0), ("test", n_test, 1)):
        deck = _deal(np.random.default_rng([seed, offset]), count)
        for n, label in enumerate(deck):
            rng = np.random.default_rng([seed, offset, n])  # a clip does not depend on the number of others
            clips.append(_plan_clip(rng, f"{split}_{n:04d}", "train" if split == "train" else "test", label))
    return clips


def _deal(rng: np.random.Generator, count: int) -> list[str | None]:
    """The main event of each clip; None for normal ones."""
    n_anomalous = round(count * ANOMALOUS_SHARE)
    labels = [ANOMALIES[n % len(ANOMALIES)] for n in range(n_anomalous)]
    deck: list[str | None] = [*labels, *[None] * (count - n_anomalous)]
    return [deck[n] for n in rng.permutation(count)]


def _plan_clip(rng: np.random.Generator, name: str, split: Literal["train", "test"], label: str | None) -> Clip:
    n_frames = round(rng.uniform(*SECONDS) * FRAME_RATE)
    has_track = bool(rng.random() >= NO_TRACK_SHARE)
    labels = [] if label is None else [label]
    if labels and rng.random() < SECOND_EVENT_SHARE:
        labels.append(str(rng.choice([other for other in ANOMALIES if other != label])))
    n_look_alikes = int(rng.integers(1, 4)) if label is None else int(rng.integers(0, 2))
    spans = _spans(
        rng, n_frames, [EVENT_SECONDS] * len(labels) + [LOOK_ALIKE_SECONDS] * n_look_alikes + [EVENT_SECONDS]
    )
    events = tuple(
        _plan_event(rng, anomaly, span, has_track) for anomaly, span in zip(labels, spans, strict=False) if span
    )
    look_alikes = tuple(_plan_look_alike(rng, span, has_track) for span in spans[len(labels) : -1] if span)
    blind = spans[-1] if rng.random() < SPELL_SHARE else None
    kinds: tuple[Literal["dark", "occluded"], ...] = ("dark", "occluded")
    return Clip(
        id=name,
        split=split,
        seed=int(rng.integers(2**31)),
        n_frames=n_frames,
        light=float(rng.uniform(0.45, 1.0)),
        has_track=has_track,
        events=tuple(sorted(events, key=lambda event: event.start_frame)),
        look_alikes=look_alikes,
        spells=(Spell(kinds[rng.integers(2)], *blind),) if blind else (),
    )


def _spans(rng: np.random.Generator, n_frames: int, lengths: list[tuple[float, float]]) -> list[tuple[int, int] | None]:
    """Spans that do not touch, in random order; None for those that do not fit."""
    margin = round(MARGIN_SECONDS * FRAME_RATE)
    taken: list[tuple[int, int]] = []
    spans: list[tuple[int, int] | None] = []
    for shortest, longest in lengths:
        span = None
        for _ in range(50):
            length = round(rng.uniform(shortest, longest) * FRAME_RATE)
            start = int(rng.integers(margin, n_frames - length - margin))
            if all(start >= end + margin or start + length + margin <= begin for begin, end in taken):
                span = (start, start + length)
                taken.append(span)
                break
        spans.append(span)
    return spans


def _plan_event(rng: np.random.Generator, label: str, span: tuple[int, int], has_track: bool) -> Event:
    # Without a track nothing can be heard.
    drawn = str(rng.choice(list(SENSES_SHARES), p=list(SENSES_SHARES.values()))) if has_track else "seen"
    if drawn == "seen":
        hiding: Hiding = ("silent", "masked")[rng.integers(2)] if has_track else "silent"
        return Event(label, *span, senses="seen", hiding=hiding)
    if drawn == "heard":
        hidings: tuple[Hiding, ...] = ("dark", "occluded", "off camera")
        return Event(label, *span, senses="heard", hiding=hidings[rng.integers(3)])
    return Event(label, *span, senses="both", hiding="")


def _plan_look_alike(rng: np.random.Generator, span: tuple[int, int], has_track: bool) -> LookAlike:
    modality: Literal["seen", "heard"] = "heard" if has_track and rng.random() < 0.5 else "seen"
    return LookAlike(str(rng.choice(LOOK_ALIKES[modality])), modality, *span)
