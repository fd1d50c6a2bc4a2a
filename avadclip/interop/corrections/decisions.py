"""What the judgements of one video mean for its labels and segments. Only alarms were judged, so:

- *Events* (`right`, `other_class`). Edges that the person moved replace segments of this class there. Edges that were
  not moved are the detector's, which are imprecise: if the table has an event of this class there, it stays. Judged
  events of a class that overlap are merged. The video gets the class, and is no longer `normal`.
- *Another class.* Segments of the alarm's class there get the class that the person chose, unless another event
  confirms theirs. The alarm's class is removed from the labels if no segment and no unsure alarm has it any longer.
- *All judged alarms wrong*: the video becomes `normal`, without segments, unless the table has a segment that none of
  the alarms meets: then there is an event, and nothing changes.
- A *wrong* alarm beside an event or an unsure one changes nothing, and *unsure* ones never change anything.

Applying the same judgements again changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from avadclip.datasets.model import ANY_CLASS, NORMAL


@dataclass(frozen=True)
class Span:
    """A segment [start, end), in the unit of the table of segments."""

    label: str
    start: float
    end: float

    def meets(self, other: "Span") -> bool:
        """Whether they share time."""
        return self.start < other.end and other.start < self.end

    def is_of(self, other: "Span") -> bool:
        """Whether they are one event: of the same class, and sharing time."""
        return self.label == other.label and self.meets(other)


@dataclass(frozen=True)
class Verdict:
    """One judged alarm; `placed` is the event as the person left it, None if there is none."""

    raised: Span
    placed: Span | None
    is_moved: bool  # the person moved an edge
    is_unsure: bool


@dataclass(frozen=True)
class Decision:
    """The new labels and segments of a video; `reason` says why the judgements change nothing, None if they do."""

    labels: tuple[str, ...]
    segments: tuple[Span, ...]
    reason: str | None = None


def decide(
    labels: tuple[str, ...], segments: Sequence[Span], verdicts: Sequence[Verdict], classes: Sequence[str]
) -> Decision:
    """Labels and segments of a video after its alarms were judged.

    Parameters
    ----------
    labels, segments : as in the tables; no labels: the video is new.
    classes : of the data set, in whose order labels are added.
    """
    unchanged = Decision(labels, tuple(segments))
    if any(verdict.placed for verdict in verdicts):
        return _with_events(unchanged, verdicts, classes)
    if any(verdict.is_unsure for verdict in verdicts):
        return replace(unchanged, reason="no alarm was confirmed, and not all were wrong")
    untouched = [span for span in segments if not any(span.meets(verdict.raised) for verdict in verdicts)]
    if untouched:
        first = untouched[0]
        place = f"{first.label} from {first.start:g} to {first.end:g}"
        return replace(unchanged, reason=f"its alarms were wrong, but the table has {place}, where none was judged")
    return Decision((NORMAL,), ())


def _with_events(before: Decision, verdicts: Sequence[Verdict], classes: Sequence[str]) -> Decision:
    events = [(verdict, verdict.placed) for verdict in verdicts if verdict.placed is not None]
    segments = _relabelled(before.segments, [(verdict.raised.label, placed) for verdict, placed in events])
    moved = _united(placed for verdict, placed in events if verdict.is_moved)
    segments = [span for span in segments if not any(span.is_of(new) for new in moved)] + moved
    _add_missing(segments, _united(placed for verdict, placed in events if not verdict.is_moved))
    if any(span.label == ANY_CLASS for span in segments):  # then these alone say what is anomalous
        _add_missing(segments, _united(replace(placed, label=ANY_CLASS) for _, placed in events))
    gained = {placed.label for _, placed in events}
    contested = {verdict.raised.label for verdict, placed in events} - gained
    unsure = {verdict.raised.label for verdict in verdicts if verdict.is_unsure}
    supported = {span.label for span in segments} | unsure
    kept = [label for label in before.labels if label != NORMAL and (label not in contested or label in supported)]
    return Decision((*kept, *(name for name in classes if name in gained.difference(kept))), tuple(segments))


def _relabelled(segments: Iterable[Span], events: Sequence[tuple[str, Span]]) -> list[Span]:
    """Segments of an alarm's class get the class that the person chose; `events` are pairs of alarm class and event."""
    kept, changed = [], []
    for span in segments:
        here = [(raised, placed.label) for raised, placed in events if placed.meets(span)]
        is_confirmed = any(label == span.label for _, label in here)
        new = next((label for raised, label in here if raised == span.label), span.label)
        if is_confirmed or span.label == ANY_CLASS or new == span.label:
            kept.append(span)
        else:
            changed.append(replace(span, label=new))
    _add_missing(kept, changed)
    return kept


def _add_missing(segments: list[Span], new: Iterable[Span]) -> None:
    for span in new:
        if not any(span.is_of(other) for other in segments):
            segments.append(span)


def _united(spans: Iterable[Span]) -> list[Span]:
    """Merge spans of one class that share time."""
    united: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.label, span.start, span.end)):
        if united and span.is_of(united[-1]):
            united[-1] = replace(united[-1], end=max(united[-1].end, span.end))
        else:
            united.append(span)
    return united
