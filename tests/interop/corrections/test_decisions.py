"""How judgements change the labels and segments of a video."""

import random

import pytest

from avadclip.interop.corrections.decisions import Span, Verdict, decide
from tests.support.corrections_factory import (
    ANY,
    CLASSES,
    F,
    R,
    T,
    any_span,
)


def said(
    judgement: str, label: str, start: float, end: float, alarm: tuple[str, float, float] | None = None
) -> Verdict:
    raised = Span(*(alarm or (label, start, end)))
    placed = None if judgement in ("wrong", "unsure") else Span(label, start, end)
    return Verdict(raised, placed, (start, end) != (raised.start, raised.end), judgement == "unsure")


DECISIONS: dict[str, tuple[tuple[str, ...], list[Span], list[Verdict], tuple[str, ...], set[Span]]] = {
    "all wrong": ((F,), [], [said("wrong", F, 1, 2)], ("normal",), set()),
    "all wrong, and its segment, too": ((F,), [Span(F, 1, 3)], [said("wrong", F, 2, 5)], ("normal",), set()),
    "wrong, but a segment elsewhere": ((F,), [Span(F, 5, 6)], [said("wrong", F, 1, 5)], (F,), {Span(F, 5, 6)}),
    "wrong and unsure": ((F,), [], [said("wrong", F, 1, 2), said("unsure", F, 3, 4)], (F,), set()),
    "unsure": ((F,), [Span(F, 1, 2)], [said("unsure", F, 1, 2)], (F,), {Span(F, 1, 2)}),
    "normal, and wrong": (("normal",), [], [said("wrong", F, 1, 2)], ("normal",), set()),
    "an event in a normal video": (("normal",), [], [said("right", F, 1, 2)], (F,), {Span(F, 1, 2)}),
    "an event beside a wrong alarm": (
        (R,), [Span(R, 8, 9)], [said("right", F, 1, 2), said("wrong", R, 8, 9)], (R, F), {Span(R, 8, 9), Span(F, 1, 2)}
    ),
    "edges that nobody moved": ((F,), [Span(F, 3, 5)], [said("right", F, 2, 9)], (F,), {Span(F, 3, 5)}),
    "edges that were moved": (
        (F,), [Span(F, 3, 5), Span(F, 6, 7)], [said("right", F, 4, 5, (F, 2, 9))], (F,), {Span(F, 4, 5), Span(F, 6, 7)}
    ),
    "two that meet are one": (
        (F,), [], [said("right", F, 1, 4, (F, 1, 3)), said("right", F, 3, 6, (F, 5, 6))], (F,), {Span(F, 1, 6)}
    ),
    "two that touch are two": ((F,), [], [said("right", F, 1, 3), said("right", F, 3, 6)], (F,),
                               {Span(F, 1, 3), Span(F, 3, 6)}),
    "another class of a labelled video": ((F,), [], [said("other_class", R, 1, 2, (F, 1, 2))], (R,), {Span(R, 1, 2)}),
    "another class of an annotated event": (
        (F,), [Span(F, 3, 5)], [said("other_class", R, 2, 9, (F, 2, 9))], (R,), {Span(R, 3, 5)}
    ),
    "another class, but the alarm's is elsewhere": (
        (F,), [Span(F, 7, 8)], [said("other_class", R, 1, 2, (F, 1, 2))], (F, R), {Span(F, 7, 8), Span(R, 1, 2)}
    ),
    "another class, but somebody is unsure": (
        (F,), [], [said("other_class", R, 1, 2, (F, 1, 2)), said("unsure", F, 5, 6)], (F, R), {Span(R, 1, 2)}
    ),
    "another class where both are": (
        (F, R), [Span(F, 3, 5), Span(R, 4, 6)], [said("other_class", R, 2, 9, (F, 2, 9))], (R,), {Span(R, 4, 6)}
    ),
    "another class, and the alarm's confirmed": (
        (F,), [Span(F, 3, 5)], [said("other_class", R, 4, 6, (F, 4, 6)), said("right", F, 3, 5)], (F, R),
        {Span(F, 3, 5), Span(R, 4, 6)},
    ),
    "labels keep their order": ((T, F), [], [said("right", R, 1, 2)], (T, F, R), {Span(R, 1, 2)}),
    "frames of any class": (
        (F,), [Span(F, 3, 5), Span(ANY, 3, 5)], [said("right", R, 7, 8)], (F, R),
        {Span(F, 3, 5), Span(ANY, 3, 5), Span(R, 7, 8), Span(ANY, 7, 8)},
    ),
    "a new video": ((), [], [said("wrong", F, 1, 2)], ("normal",), set()),
}  # fmt: skip


LEFT_ALONE = {"wrong, but a segment elsewhere", "wrong and unsure", "unsure"}


@pytest.mark.parametrize("name", DECISIONS)
def test_what_a_judgement_means(name: str) -> None:
    before, segments, verdicts, after, expected = DECISIONS[name]
    found = decide(before, segments, verdicts, CLASSES)
    assert (found.labels, set(found.segments)) == (after, expected)
    assert (found.reason is not None) == (name in LEFT_ALONE)


def test_what_was_learnt_once_is_learnt() -> None:
    """With any table and any judgements, nothing changes the second time."""
    source = random.Random(0)
    for _ in range(1000):
        own = list({any_span(source, (*CLASSES[1:], ANY)) for _ in range(source.randrange(4))})
        verdicts = []
        for _ in range(source.randrange(1, 5)):
            raised, kind = any_span(source), source.choice(("right", "wrong", "unsure", "other_class", "moved"))
            placed = any_span(source) if kind == "moved" else Span(source.choice(CLASSES[1:]), raised.start, raised.end)
            verdicts.append(
                Verdict(raised, None if kind in ("wrong", "unsure") else placed, kind == "moved", kind == "unsure")
            )
        named = tuple(sorted({span.label for span in own} - {ANY})) or (source.choice(CLASSES),)
        once = decide(named, own, verdicts, CLASSES)
        twice = decide(once.labels, once.segments, verdicts, CLASSES)
        assert (twice.labels, set(twice.segments)) == (once.labels, set(once.segments)), (named, own, verdicts)
        assert len(set(once.segments)) == len(once.segments)
        assert {span.label for span in once.segments} - {ANY} <= set(once.labels)
