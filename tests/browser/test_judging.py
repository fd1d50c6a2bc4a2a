"""A person judges alarms with keys, buttons and mouse: what is saved, how progress is shown, and what comes next."""

import numpy as np
import pytest

from avadclip.prediction.document import Prediction
from tests.support.judging_factory import (
    OWN,
    at_alarm,
    notes,
    others,
    predict,
    press,
    progress,
    row,
    rows_of,
    saved,
    verdicts,
    write,
)
from tests.support.page_factory import middle_of, names
from tests.support.report_factory import make_prediction

pytestmark = pytest.mark.browser


def test_alarms_are_judged_with_the_keyboard_alone(tmp_path, open_page, three):
    hall, gate, _ = three
    opened = open_page(write(tmp_path, three), **OWN)
    at_alarm(opened, "hall", 0)
    assert progress(opened) == "0 of 4 judged"
    assert opened.page.locator("#corrections-save").is_disabled()
    press(opened, "r", "m")
    at_alarm(opened, "hall", 1)
    press(opened, "f", "w", "m")  # a wrong alarm keeps its own edges
    at_alarm(opened, "hall", 2)
    press(opened, "u", "A")
    assert opened.seconds() == pytest.approx(6.5, abs=0.051)  # the page shows where it begins now
    press(opened, "m")
    at_alarm(opened, "gate", 0)
    press(opened, "c", "c", "s", "F", "d", "m", "m")
    at_alarm(opened, "gate", 0)  # there is nothing left to judge
    assert progress(opened) == "4 of 4 judged"
    assert notes(opened) == ["✓ 3/3", "✓ 1/1", ""]
    second = others(gate, 0)[1]
    expected = [
        row(hall, 0, "right"),
        row(hall, 1, "wrong"),
        row(hall, 2, "unsure", start_seconds="6.500"),
        row(gate, 0, "other_class", start_seconds="3.100", end_seconds="5.900", **{"class": second}),
    ]
    assert rows_of(saved(opened)) == expected
    press(opened, "c", "k", "p", "n")  # after the last class comes the first; then back to the first video
    at_alarm(opened, "hall", 0)
    press(opened, "r", "n")  # the same judgement once more takes it back
    at_alarm(opened, "hall", 1)
    press(opened, "r")
    expected[3]["class"] = others(gate, 0)[0]
    assert rows_of(saved(opened)) == [row(hall, 1, "right"), *expected[2:]]
    assert progress(opened) == "3 of 4 judged"
    assert verdicts(opened) == ["", "right", "unsure"]


def test_alarms_are_judged_with_buttons_and_no_alarm_not_at_all(tmp_path, open_page, three):
    hall = three[0]
    opened = open_page(write(tmp_path, three), **OWN)
    page = opened.page
    at_alarm(opened, "hall", 0)
    for number, name in enumerate(("Right", "Wrong", "Unsure")):
        page.locator("#alarms button").nth(number).click()
        page.get_by_role("button", name=name, exact=True).click()
        assert page.locator("#judge [aria-pressed=true]").inner_text() == name
    page.select_option("#other-class", others(hall, 2)[1])
    assert page.locator("#judge [aria-pressed=true]").count() == 0
    expected = [row(hall, 0, "right"), row(hall, 1, "wrong")]
    assert rows_of(saved(opened)) == [*expected, row(hall, 2, "other_class", **{"class": others(hall, 2)[1]})]
    page.select_option("#other-class", "")
    assert rows_of(saved(opened)) == expected
    opened.choose("yard")
    assert page.inner_text("#judged-alarm") == "No alarm to judge"
    assert page.locator("#judge :disabled:not(option)").count() == 4
    page.locator("body").press("r")
    press(opened, "w", "c", "a", "f")
    assert rows_of(saved(opened)) == expected


def test_edges_are_dragged_and_moved_on_the_timeline(tmp_path, open_page, three):
    hall = three[0]
    opened = open_page(write(tmp_path, three), **OWN)
    page = opened.page
    press(opened, "n")
    at_alarm(opened, "hall", 0)
    surface = page.locator(".surface").bounding_box()

    def drag(edge: str, by_seconds: float) -> None:
        x, y = middle_of(page.locator(f".edge.{edge}").bounding_box())
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + by_seconds / 20 * surface["width"], y, steps=2)
        page.mouse.move(x + by_seconds / 10 * surface["width"], y, steps=2)
        page.mouse.up()

    drag("end", 0.0)  # a click moves nothing, and judges nothing
    assert progress(opened) == "0 of 4 judged"
    drag("start", -0.5)
    drag("end", 2.7)  # into the next alarm, which is not taken for the one that is judged
    at_alarm(opened, "hall", 0)
    (moved,) = rows_of(saved(opened))
    near = 10 / surface["width"] * 1.5  # seconds of a pixel and a half
    assert float(moved["start_seconds"]) == pytest.approx(0.5, abs=near)
    assert float(moved["end_seconds"]) == pytest.approx(4.7, abs=near)
    same = {name: moved[name] for name in ("start_seconds", "end_seconds")}
    assert moved == row(hall, 0, "right", **same)
    assert opened.seconds() == pytest.approx(4.7, abs=0.06 + near)
    drag("start", -9)  # not out of the video
    drag("end", -9)  # and not beyond its other edge
    page.focus(".edge.end")
    press(opened, "Shift+ArrowRight", "ArrowLeft")
    assert rows_of(saved(opened)) == [row(hall, 0, "right", start_seconds="0.000", end_seconds="1.000")]
    page.focus(".edge.start")
    press(opened, "ArrowRight", "w", "ArrowRight")  # moving an edge says that there is an event
    assert rows_of(saved(opened)) == [row(hall, 0, "right", start_seconds="1.100")]
    for _ in range(4):
        press(opened, "i")
    shown = page.locator(".edges").bounding_box()
    assert shown["x"] >= surface["x"] - 1
    assert shown["x"] + shown["width"] <= surface["x"] + surface["width"] + 3


def test_a_false_alarm_that_is_still_there_after_a_training_is_marked(tmp_path, open_page, three):
    opened = open_page(write(tmp_path / "before", three), **OWN)
    at_alarm(opened, "hall", 0)
    press(opened, "r", "m", "w", "m", "w")
    retrained = [predict("hall", (2, 4, 0.9), (11, 13, 0.7), (16, 17, 0.9), seed=1), *three[1:]]
    write(tmp_path / "after", retrained)
    opened.page.goto(f"file://{tmp_path}/after/report.html")
    at_alarm(opened, "hall", 0)
    marked = [item.locator(".before").all_inner_texts() for item in opened.page.locator("#alarms button").all()]
    assert marked == [[], ["still there: judged wrong before"], []]  # edges that touch are no overlap
    assert progress(opened) == "0 of 4 judged"
    press(opened, "n", "n")
    at_alarm(opened, "hall", 1)
    assert "judged wrong before" in opened.page.inner_text("#judged-alarm")


def test_judgements_are_of_the_alarms_at_their_level(tmp_path, open_page, three):
    """At 0.75 the last alarm of `hall` is gone and the others are the same; below 0.1 everything is one alarm."""
    opened = open_page(write(tmp_path, three), **OWN)
    at_alarm(opened, "hall", 0)
    press(opened, "r", "m", "w", "m", "u")
    opened.page.focus(".threshold")
    press(opened, "PageUp", "PageUp")
    press(opened, *["ArrowUp"] * 5)
    assert verdicts(opened) == ["right", "wrong"]
    assert (progress(opened), notes(opened)[0]) == ("2 of 2 judged", "✓ 2/2")
    press(opened, "Home")
    assert progress(opened) == "0 of 3 judged"
    assert opened.page.inner_text("#judged-alarm").endswith("judged wrong before")
    press(opened, "0")
    assert progress(opened) == "3 of 4 judged"
    press(opened, "Home")
    opened.page.locator("body").press("r")
    assert [line["alarm_end_seconds"] for line in rows_of(saved(opened))] == ["10.000"]  # the last judgement counts


def test_the_most_informative_videos_come_first_and_what_is_judged_last(tmp_path, open_page):
    videos = [make_prediction(f"v{i}", seconds=4, highest=0.2 + i / 15, seed=i, has_audio=i % 3 > 0) for i in range(12)]
    opened = open_page(write(tmp_path, videos), **OWN)
    opened.page.wait_for_selector("#chart .score .curve")
    first_with = {video.id: next(c for c in video.curves if c.uncertainty is not None) for video in videos}
    at_peak = {video.id: first_with[video.id].uncertainty[video.curves[0].anomaly.argmax()] for video in videos}

    def informative(video: Prediction) -> float:
        deciding, *beside = video.curves
        alike = [at_peak[v.id] for v in videos if first_with[v.id].detector == first_with[video.id].detector]
        parts = [1 - abs(video.alarm - 0.5), (at_peak[video.id] - min(alike)) / (max(alike) - min(alike))]
        parts += [abs(deciding.anomaly.max() - beside[0].anomaly.max())] if beside else []
        return float(np.mean(parts))

    alarming = sorted((v for v in videos if v.segments), key=informative, reverse=True)
    quiet = sorted((v for v in videos if not v.segments), key=informative, reverse=True)
    opened.page.select_option("#sort", "informative")
    assert names(opened) == [video.id for video in (*alarming, *quiet)]
    opened.page.locator("body").press("r")  # takes the focus away from the menu
    opened.choose(alarming[0].id)
    for _ in alarming[0].segments:
        press(opened, "u", "m")
    assert names(opened)[0] == alarming[0].id  # the list keeps its order while somebody judges
    assert opened.page.inner_text("#video-title") != alarming[0].id  # on to the next one
    opened.page.select_option("#sort", "alarm")
    opened.page.select_option("#sort", "informative")
    assert names(opened).index(alarming[0].id) >= len(alarming) - 1


def test_of_a_thousand_videos_judging_touches_one(tmp_path, open_page):
    videos = [predict(f"v{i}", (2, 4, 0.9 - i / 4000), seed=i) for i in range(1000)]
    opened = open_page(write(tmp_path, videos), **OWN)
    at_alarm(opened, "v0", 0)
    opened.page.evaluate(
        """(() => { window.touched = [];
          new MutationObserver((records) => window.touched.push(...records.map(({ target }) =>
            [target.parentElement.closest('#list > li')?.id ?? null, target.closest?.('#list') !== null])))
            .observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true }); })()"""
    )
    press(opened, "r", "s", "w", "c")
    opened.wait("document.getElementById('progress').textContent === '1 of 1000 judged'")
    touched = opened.page.evaluate("window.touched")
    in_list = {entry for entry, is_in_list in touched if is_in_list}
    assert in_list == {"video-0001"}
    assert len(touched) < 200
