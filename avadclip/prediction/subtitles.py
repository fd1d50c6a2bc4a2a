"""Segments as WebVTT, which every player shows: https://www.w3.org/TR/webvtt1/."""

from html import escape

from avadclip.prediction.document import DetectedSegment, Prediction


def to_vtt(prediction: Prediction) -> str:
    """One cue per segment, with class and score."""
    return "\n".join(["WEBVTT\n", *map(_cue, prediction.segments)])


def _cue(segment: DetectedSegment) -> str:
    times = f"{_clock(segment.start_seconds)} --> {_clock(segment.end_seconds)}"
    return f"{times}\n{_one_line(segment.label)} {segment.score:.2f}\n"


def _one_line(text: str) -> str:
    """Escape a text, so that nothing in it can end the cue or be read as markup."""
    return escape(" ".join(text.split()), quote=False)


def _clock(seconds: float) -> str:
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
