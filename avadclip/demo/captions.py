"""Captions of frames of the demo world, for training its CLIP."""

from avadclip.demo.plan import ANOMALIES, Clip

# Wordings for a class; `{}` is its name. A detector's own prompt starts from the name alone.
TEMPLATES = ("{}", "a video of {}", "a street camera shows {}", "{} in a street")
NORMAL = ("normal", "a normal street", "people walking along a street", "nothing happens in a street")
DARK = ("a dark street", "the lamps are out")
OCCLUDED = ("a truck in front of the camera", "a parked truck hides a street")
CLASSES = ("normal", *ANOMALIES)


def caption(clip: Clip, frame: int) -> tuple[str, ...]:
    """Every wording that fits this frame; hidden events are not visible, so no caption mentions them."""
    for event in clip.events:
        if event.start_frame <= frame < event.end_frame and event.hiding != "off camera":
            return _hidden(event.hiding) if event.hiding in ("dark", "occluded") else wordings(event.label)
    for look_alike in clip.look_alikes:
        if look_alike.modality == "seen" and look_alike.start_frame <= frame < look_alike.end_frame:
            return wordings(look_alike.kind)
    for spell in clip.spells:
        if spell.start_frame <= frame < spell.end_frame:
            return _hidden(spell.kind)
    return NORMAL


def wordings(name: str) -> tuple[str, ...]:
    """Captions for a class by its name."""
    return NORMAL if name == "normal" else tuple(template.format(name) for template in TEMPLATES)


def _hidden(kind: str) -> tuple[str, ...]:
    return DARK if kind == "dark" else OCCLUDED
