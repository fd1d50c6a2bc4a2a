"""A person moves the threshold: which alarms there are then, in this video and in all of them."""

import json

import numpy as np
import pytest

from avadclip.evaluation.alarm_rule import EVERY_RUN, AlarmRule
from avadclip.evaluation.segments import find_alarms
from avadclip.report.levels import AtLevel, at_levels
from tests.support.page_factory import HOSTILE, middle_of, names, span, world_predictions
from tests.support.report_factory import CLASSES, make_prediction, segments_of

pytestmark = pytest.mark.browser

BADGES = {"missed": "missed", "false alarm": "false alarm", "caught": "caught", "quiet": "rightly quiet"}


def test_dragging_the_threshold_changes_the_alarms_as_evaluation_counts_them(world, open_page):
    opened = open_page(world)
    opened.choose("loud")
    prediction = make_prediction("loud", seed=1)
    row = opened.page.locator(".score .plot").bounding_box()
    counts = set()
    for threshold in (0.05, 0.3, 0.5, 0.77, 0.99):
        x, y = middle_of(opened.page.locator(".grip").bounding_box())
        opened.page.mouse.move(x, y)
        opened.page.mouse.down()
        opened.page.mouse.move(x, row["y"] + 5, steps=2)
        opened.page.mouse.move(x, row["y"] + (1 - threshold) * row["height"], steps=2)
        opened.page.mouse.up()
        assert float(opened.page.get_attribute(".threshold", "aria-valuenow")) == threshold
        expected = segments_of(prediction.curves[0], prediction.boundary_seconds, CLASSES, threshold)
        assert opened.alarms() == [(s.label, span(s.start_seconds, s.end_seconds)) for s in expected]
        bands = opened.page.evaluate(
            "[...document.querySelectorAll('.alarm .segment')].map((p) => p.getAttribute('d'))"
        )
        assert "".join(bands).count("z") == len(expected)
        counts.add(len(expected))
    assert len(counts) > 2


def test_a_finger_drags_the_threshold_and_does_not_scroll_the_page(world, open_page):
    opened = open_page(world, width=390, height=700, has_touch=True, is_mobile=True)
    opened.choose("loud")
    opened.page.locator(".threshold").scroll_into_view_if_needed()
    row, grip = (opened.page.locator(name).bounding_box() for name in (".score .plot", ".grip"))
    touch = opened.page.context.new_cdp_session(opened.page)
    x, y = grip["x"] + 5, grip["y"] + grip["height"] / 2
    before = opened.page.evaluate("scrollY")
    for kind, at in [("touchStart", y), ("touchMove", y - 20), ("touchMove", row["y"] + row["height"] * 0.25)]:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": at}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert float(opened.page.get_attribute(".threshold", "aria-valuenow")) == pytest.approx(0.75, abs=0.011)
    assert opened.page.evaluate("scrollY") == before


def test_the_threshold_is_moved_with_keys_stays_for_the_next_video_and_is_reset(world, open_page):
    opened = open_page(world)
    opened.choose("loud")
    opened.page.focus(".threshold")
    for key, expected in [("ArrowUp", 0.51), ("PageDown", 0.41), ("End", 1.0), ("Home", 0.0), ("Shift+ArrowUp", 0.1)]:
        opened.page.keyboard.press(key)
        assert float(opened.page.get_attribute(".threshold", "aria-valuenow")) == expected
    opened.choose("silent")
    prediction = make_prediction("silent", seed=2, highest=0.9, has_audio=False)
    expected = find_alarms(prediction.curves[0].anomaly, None, 0.1)
    assert len(opened.alarms()) == len(expected)
    opened.page.click("#threshold-reset")
    assert len(opened.alarms()) == len(prediction.segments) != len(expected)


def said_at(level: float) -> dict[str, AtLevel]:
    """Return what the list must show for the videos of `world`, except the one with a hostile name."""
    return {video.id: at_levels(video, [level])[0] for video in world_predictions() if video.id != HOSTILE}


@pytest.mark.parametrize("level", [0.05, 0.25, 0.5, 0.85, 0.99])
def test_the_list_follows_the_alarm_level(world, open_page, level):
    """Chips, counts, badges, filters and the order by longest alarm change for all videos, not only the one shown."""
    opened = open_page(world)
    page = opened.page
    opened.choose("loud")
    page.focus(".threshold")
    page.keyboard.press("Home")
    for _ in range(round(level * 10)):
        page.keyboard.press("PageUp")
    for _ in range(abs(steps := round(level * 100) - 10 * round(level * 10))):
        page.keyboard.press("ArrowUp" if steps > 0 else "ArrowDown")
    assert float(page.get_attribute(".threshold", "aria-valuenow")) == level
    expected = said_at(level)
    for video_id, said in expected.items():
        entry = page.locator("#list li", has=page.get_by_text(video_id, exact=True))
        assert entry.locator(".chip").all_inner_texts() == ([said.loudest[0]] if said.loudest else [])
        more = [f"+{said.n_alarms - 1}"] if said.n_alarms > 1 else []
        assert entry.locator(".more").all_inner_texts() == more
        badges = [words for outcome, words in BADGES.items() if said.outcome == outcome]
        assert [note for note in entry.locator(".note").all_inner_texts() if note != "no sound"] == badges
        assert ("calm" in (entry.get_attribute("class") or "")) == (said.n_alarms == 0)
    n_alarming = sum(at_levels(video, [level])[0].n_alarms > 0 for video in world_predictions())
    assert page.inner_text("#summary").endswith(f"{n_alarming} with an alarm")
    for outcome in BADGES:
        page.select_option("#filter-outcome", outcome)
        fitting = [video_id for video_id, said in expected.items() if said.outcome == outcome]
        assert [name for name in names(opened) if name != "hostile"] == fitting
    page.select_option("#filter-outcome", "")
    for label in CLASSES[1:]:
        page.select_option("#filter-class", label)
        marked = {video.id for video in world_predictions() if label in {event.label for event in video.annotated}}
        fitting = [video_id for video_id, said in expected.items() if label in said.labels or video_id in marked]
        assert [name for name in names(opened) if name != "hostile"] == fitting
    page.select_option("#filter-class", "")
    page.select_option("#sort", "time")
    seconds = [expected[name].seconds for name in names(opened) if name != "hostile"]
    assert seconds == sorted(seconds, reverse=True)
    page.select_option("#sort", "alarm")
    page.click("#threshold-reset")
    assert page.inner_text("#summary").endswith("3 with an alarm")
    loud = page.locator("#list li", has=page.get_by_text("loud", exact=True))
    assert loud.locator(".chip").inner_text() == said_at(0.5)["loud"].loudest[0]


def test_alarms_are_found_exactly_as_in_python(world, open_page):
    """Cases include scores that meet the threshold only in float32, close means, and runs at both ends.

    Every third case uses `EVERY_RUN`, the others have random rules.
    """
    opened = open_page(world)
    random = np.random.default_rng(7)
    cases = []
    for case in range(3000):
        n, n_classes = int(random.integers(1, 80)), int(random.integers(2, 9))
        scores = np.round(random.random(n), int(random.integers(1, 4))).astype(np.float32)
        threshold = float(scores[random.integers(n)]) if case % 3 == 0 else round(float(random.random()), 2)
        probabilities = np.round(random.random((n, n_classes)), int(random.integers(1, 9))).astype(np.float32)
        rule = AlarmRule(
            smooth=int(random.integers(0, 5)),
            off=float(random.choice([1.0, 0.8, round(random.random(), 3), 0.0])),
            bridge=int(random.integers(0, 6)),
            shortest=int(random.integers(1, 6)),
            pad=int(random.integers(0, 4)),
        )
        known = None if case % 7 == 0 else probabilities
        cases.append((scores, known, n_classes, threshold, rule if case % 3 else EVERY_RUN))
    found = opened.page.evaluate(
        """(cases) => JSON.parse(cases).map(([scores, probabilities, n, threshold, rule]) => avadclipPage.findAlarms(
             new Float32Array(scores), probabilities && new Float32Array(probabilities), n - 1, threshold, rule,
           ).map((alarm) => [alarm.first, alarm.end, alarm.classIndex, alarm.score]))""",
        json.dumps(
            [[s.tolist(), None if p is None else p[:, 1:].ravel().tolist(), n, t, vars(r)] for s, p, n, t, r in cases]
        ),
    )
    for (scores, probabilities, _, threshold, rule), alarms in zip(cases, found, strict=True):
        assert [tuple(alarm) for alarm in alarms] == [
            (a.first, a.end, a.class_index, a.score) for a in find_alarms(scores, probabilities, threshold, rule)
        ]
