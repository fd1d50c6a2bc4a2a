"""The page in a real browser: Debian's chromium, headless, without network."""

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avadclip.evaluation.alarm_rule import EVERY_RUN, AlarmRule
from avadclip.evaluation.segments import find_alarms
from avadclip.prediction.document import Prediction
from avadclip.report.judging import Judged, judge
from avadclip.report.page import PageVideo, ResultsTables, write_page
from avadclip.report.sound_strip import draw_sound
from tests.support import media_factory
from tests.support.report_factory import CLASSES, make_prediction, segments_of

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BADGES = {"missed": "missed", "false alarm": "false alarm", "caught": "caught", "quiet": "rightly quiet"}
HOSTILE = '<script>window.harmed=1</script><img src=x onerror="window.harmed=1">' + "\"'&amp;" + "é" * 300
WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifts.push([entry.value, entry.sources.map((s) => s.node?.nodeName)]);
}).observe({ type: "layout-shift", buffered: true });
"""

if CHROMIUM is None and os.environ.get("CI") != "true":
    missing = "NOT TESTED IN A BROWSER: no chromium; run tests/support/install_debian_packages.sh"
    pytest.skip(missing, allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, (
        "no chromium, but CI has to test with one; run tests/support/install_debian_packages.sh"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page, and whatever it complained about or asked for."""

    page: object
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def choose(self, video_id: str) -> None:
        self.page.locator("#list li", has=self.page.get_by_text(video_id, exact=True)).click()
        self.page.wait_for_selector("#chart .score .curve")
        assert self.page.inner_text("#video-title") == video_id

    def alarms(self) -> list[tuple[str, str]]:
        """What the list of alarms says: label and span."""
        return [
            (item.locator(".chip").inner_text(), item.locator(".when").inner_text())
            for item in self.page.locator("#alarms button").all()
        ]

    def wait(self, expression: str) -> None:
        """Until JavaScript says so. Playwright's own waiting evaluates text in the page, which the page forbids."""
        for _ in range(1200):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never came true: {expression}")

    def seconds(self) -> float:
        return float(self.page.get_attribute(".surface", "aria-valuenow"))


def new_page(browser, **options):
    page = browser.new_context(offline=True, **options).new_page()
    page.set_default_timeout(60_000)
    page.add_init_script(WATCH_SHIFTS)
    return page


@pytest.fixture(scope="module")
def shared_page(browser):
    """Most tests use one after another the same page, because a new one is a new process."""
    return new_page(browser)


@pytest.fixture
def open_page(browser, shared_page) -> Iterator:
    everything = []

    def open_page(folder: Path, *, width: int = 1280, height: int = 900, **options) -> Opened:
        page = new_page(browser, **options) if options else shared_page
        page.set_viewport_size({"width": width, "height": height})
        opened = Opened(page)
        listeners = {
            "console": lambda message: opened.complaints.append(message.text),
            "pageerror": lambda error: opened.complaints.append(str(error)),
            "request": lambda request: opened.requests.append(request.url),
        }
        for name, listener in listeners.items():
            page.on(name, listener)
        everything.append((opened, listeners))
        page.goto(f"file://{folder}/report.html")
        return opened

    yield open_page
    for opened, listeners in everything:
        for name, listener in listeners.items():
            opened.page.remove_listener(name, listener)
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith(("file://", "data:"))] == []
        opened.page.goto("about:blank")  # the same address with another hash would not be loaded anew
        if opened.page is not shared_page:
            opened.page.context.close()


def middle_of(box: dict[str, float]) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def world_predictions() -> list[Prediction]:
    return [
        make_prediction("loud", seed=1, annotated=[("explosion", 1.0, 2.5)]),
        make_prediction("silent", seed=2, highest=0.9, has_audio=False),
        make_prediction("old", seed=3, highest=0.8, has_audio=False, seconds=2),
        make_prediction("calm 10", seed=4, highest=0.3, seconds=60),
        make_prediction("calm 9", seed=5, highest=0.2, annotated=[("fighting", 0.0, 1.0)]),
        make_prediction(HOSTILE, seed=6, highest=0.1, path=f"/v/{HOSTILE}.mp4"),
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A page of six videos; `loud` and `silent` have a player, `old` is an AVI that no browser plays."""
    folder = tmp_path_factory.mktemp("world")
    loud = media_factory.write_video(folder / "loud.mp4", n_frames=150, audio=media_factory.tone(6.0))
    silent = media_factory.write_video(folder / "silent.mp4", n_frames=150)
    old = media_factory.write_video(folder / "old.avi", n_frames=50, codec="mpeg4")
    Image.new("RGB", (1400, 500), "white").save(folder / "figure.png")
    files = (loud, silent, old, None, None, None)
    videos = [
        PageVideo(prediction, file, draw_sound(file, 0.0, 6.0) if file is loud else None)
        for prediction, file in zip(world_predictions(), files, strict=True)
    ]
    results = ResultsTables("# Results\n\n| a | b |\n| --- | ---: |\n| c | 1 |\n", [folder / "figure.png"])
    write_page(folder / "page", videos, title=f"World {HOSTILE}", results=results)
    return folder / "page"


def test_the_most_alarming_video_is_shown_and_its_alarms_are_those_of_the_prediction(world, open_page):
    opened = open_page(world)
    opened.page.wait_for_selector("#chart .score .curve")
    assert opened.page.inner_text("#video-title") == "loud"
    expected = make_prediction("loud", seed=1).segments
    assert opened.alarms() == [(s.label, span(s.start_seconds, s.end_seconds)) for s in expected]
    assert opened.page.locator("#chart .event").count() == 1
    assert opened.page.evaluate("document.querySelector('.sound img').naturalWidth") == 300  # 6 s at 20 ms a column


def span(start: float, end: float) -> str:
    """Below a minute, as the page writes it. JavaScript rounds halves up."""
    return " \N{EN DASH} ".join(f"0:{np.floor(seconds * 10 + 0.5) / 10:04.1f}" for seconds in (start, end))


def test_a_click_on_the_curve_seeks_the_video(world, open_page):
    opened = open_page(world)
    opened.choose("loud")
    box = opened.page.locator(".surface").bounding_box()
    for share in (0.1, 0.93, 0.5):
        opened.page.mouse.click(box["x"] + share * box["width"], box["y"] + 20)
        opened.wait("!document.getElementById('player').seeking")
        now = opened.page.evaluate("document.getElementById('player').currentTime")
        assert now == pytest.approx(6 * share, abs=0.02)
        playhead = opened.page.locator(".playhead").last.bounding_box()
        middle = playhead["x"] + playhead["width"] / 2 - box["x"]
        assert middle == pytest.approx(share * box["width"], abs=3)  # pixels; those of the mouse are whole


def test_a_click_on_an_alarm_seeks_to_where_it_begins(world, open_page):
    opened = open_page(world)
    opened.choose("loud")
    last = make_prediction("loud", seed=1).segments[-1]
    opened.page.locator("#alarms button").last.click()
    assert opened.seconds() == pytest.approx(last.start_seconds, abs=0.051)
    opened.page.mouse.move(0, 0)
    assert opened.page.locator("#alarms [aria-current]").count() == 1
    opened.page.locator("#alarms button").first.click()
    row = opened.page.locator(".alarm .plot").bounding_box()
    inside = 0.1 * last.start_seconds + 0.9 * last.end_seconds
    opened.page.mouse.click(row["x"] + inside / 6 * row["width"], row["y"] + 8)
    assert opened.seconds() == pytest.approx(last.start_seconds, abs=0.051)


def test_the_playhead_moves_with_the_video(world, open_page):
    opened = open_page(world)
    opened.choose("loud")
    opened.page.click("#play")
    opened.wait("Number(document.querySelector('.surface').ariaValueNow) > 0.5")
    assert opened.page.inner_text("#play") == "Pause"
    opened.page.keyboard.press("Space")  # on the button, which has the focus
    opened.wait("document.getElementById('player').paused")
    now = opened.page.evaluate("document.getElementById('player').currentTime")
    assert opened.seconds() == pytest.approx(now, abs=0.1)


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


def judged_at(level: float) -> dict[str, Judged]:
    """What the list has to say of the videos of `world` that have no hostile name."""
    return {video.id: judge(video, [level])[0] for video in world_predictions() if video.id != HOSTILE}


@pytest.mark.parametrize("level", [0.05, 0.25, 0.5, 0.85, 0.99])
def test_the_list_follows_the_alarm_level(world, open_page, level):
    """Chips, counts, badges, filters and the order by length: of every video, not only of the one that is shown."""
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
    expected = judged_at(level)
    for video_id, judged in expected.items():
        entry = page.locator("#list li", has=page.get_by_text(video_id, exact=True))
        assert entry.locator(".chip").all_inner_texts() == ([judged.loudest[0]] if judged.loudest else [])
        more = [f"+{judged.n_alarms - 1}"] if judged.n_alarms > 1 else []
        assert entry.locator(".more").all_inner_texts() == more
        badges = [words for outcome, words in BADGES.items() if judged.outcome == outcome]
        assert [note for note in entry.locator(".note").all_inner_texts() if note != "no sound"] == badges
        assert ("calm" in (entry.get_attribute("class") or "")) == (judged.n_alarms == 0)
    n_alarming = sum(judge(video, [level])[0].n_alarms > 0 for video in world_predictions())
    assert page.inner_text("#summary").endswith(f"{n_alarming} with an alarm")
    for outcome in BADGES:
        page.select_option("#filter-outcome", outcome)
        fitting = [video_id for video_id, judged in expected.items() if judged.outcome == outcome]
        assert [name for name in names(opened) if name != "hostile"] == fitting
    page.select_option("#filter-outcome", "")
    for label in CLASSES[1:]:
        page.select_option("#filter-class", label)
        marked = {video.id for video in world_predictions() if label in {event.label for event in video.annotated}}
        fitting = [video_id for video_id, judged in expected.items() if label in judged.labels or video_id in marked]
        assert [name for name in names(opened) if name != "hostile"] == fitting
    page.select_option("#filter-class", "")
    page.select_option("#sort", "time")
    seconds = [expected[name].seconds for name in names(opened) if name != "hostile"]
    assert seconds == sorted(seconds, reverse=True)
    page.select_option("#sort", "alarm")
    page.click("#threshold-reset")
    assert page.inner_text("#summary").endswith("3 with an alarm")
    loud = page.locator("#list li", has=page.get_by_text("loud", exact=True))
    assert loud.locator(".chip").inner_text() == judged_at(0.5)["loud"].loudest[0]


def test_alarms_are_found_exactly_as_in_python(world, open_page):
    """Scores that meet the threshold in float32 only, means that differ in the last digits, runs at both ends; every
    third case is every run, the others have rules of their own."""
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


def names(opened: Opened) -> list[str]:
    return [name if len(name) < 100 else "hostile" for name in opened.page.locator("#list .name").all_inner_texts()]


def test_the_list_filters(world, open_page):
    opened = open_page(world)
    page = opened.page
    assert names(opened) == ["loud", "silent", "old", "calm 10", "calm 9", "hostile"]
    page.fill("#search", "CALM 1")
    assert names(opened) == ["calm 10"]
    page.fill("#search", "")
    page.check("#filter-alarming")
    assert names(opened) == ["loud", "silent", "old"]
    page.keyboard.press("Escape")
    page.focus(".threshold")
    for _ in range(4):
        page.keyboard.press("PageDown")
    assert names(opened) == ["loud", "silent", "old", "calm 10", "calm 9", "hostile"]  # all reach 0.1
    page.keyboard.press("End")
    assert names(opened) == ["loud"]
    page.click("#threshold-reset")
    page.uncheck("#filter-alarming")
    page.select_option("#filter-sound", "no")
    assert names(opened) == ["silent", "old"]
    page.select_option("#filter-sound", "")
    page.select_option("#filter-outcome", "missed")
    assert names(opened) == ["calm 9"]
    page.select_option("#filter-outcome", "")
    page.select_option("#filter-class", "fighting")
    found = [
        video_id
        for video_id, seed, peak, sound in (("loud", 1, 1.0, True), ("silent", 2, 0.9, False))
        if any(s.label == "fighting" for s in make_prediction(seed=seed, highest=peak, has_audio=sound).segments)
    ]
    assert [name for name in names(opened) if name in ("loud", "silent")] == found
    assert "calm 9" in names(opened)  # marked by people
    page.fill("#search", "no such video")
    assert names(opened) == []
    page.click("#clear")
    assert len(names(opened)) == 6


def test_the_list_sorts(world, open_page):
    opened = open_page(world)
    for order, expected in {
        "name": ["calm 9", "calm 10", "loud", "old", "silent"],
        "length": ["calm 10", "loud", "silent", "calm 9", "old"],
        "alarm": ["loud", "silent", "old", "calm 10", "calm 9"],
    }.items():
        opened.page.select_option("#sort", order)
        assert [name for name in names(opened) if name != "hostile"] == expected


def test_hostile_names_are_shown_as_text(world, open_page):
    opened = open_page(world)
    opened.choose(HOSTILE)
    assert HOSTILE in opened.page.inner_text("h1")
    assert HOSTILE in opened.page.title()
    assert opened.page.evaluate("window.harmed") is None
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_everything_can_be_done_with_keys(world, open_page):
    opened = open_page(world)
    page = opened.page
    page.wait_for_selector("#chart .score .curve")
    opened.wait("document.getElementById('player').readyState >= 1")
    step = 5 / 25
    for key, expected in [("ArrowRight", step), ("Shift+ArrowRight", 11 * step), ("ArrowLeft", 10 * step)]:
        page.keyboard.press(key)
        assert opened.seconds() == pytest.approx(expected, abs=0.051)
    starts = [segment.start_seconds for segment in make_prediction("loud", seed=1).segments]
    page.keyboard.press("n")
    assert opened.seconds() == pytest.approx(min(start for start in starts if start > 10 * step), abs=0.051)
    page.keyboard.press("j")
    assert page.inner_text("#video-title") == "silent"
    page.keyboard.press("k")
    assert page.inner_text("#video-title") == "loud"
    page.focus("#list")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#video-title") == "silent"
    assert page.get_attribute("#list", "aria-activedescendant") == "video-0002"
    page.keyboard.press("End")
    assert page.inner_text("#video-title") == HOSTILE
    page.keyboard.press("Home")
    page.keyboard.press("/")
    page.keyboard.type("n j 0")  # letters, not commands
    assert page.input_value("#search") == "n j 0"
    assert page.inner_text("#video-title") == "loud"
    page.focus("#list")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # one sees where one is


def test_what_a_browser_cannot_play_says_so_and_keeps_its_curve(world, open_page):
    opened = open_page(world)
    opened.choose("old")
    opened.page.wait_for_selector("#player-notice:visible")
    assert ".avi" in opened.page.inner_text("#player-notice")
    assert opened.page.locator("#play").is_disabled()
    box = opened.page.locator(".surface").bounding_box()
    opened.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert opened.seconds() == pytest.approx(1.0, abs=0.06)
    opened.choose("calm 9")
    assert "not beside this page" in opened.page.inner_text("#player-notice")
    opened.page.keyboard.press("ArrowRight")
    assert opened.seconds() == pytest.approx(0.2, abs=0.06)
    opened.choose("loud")
    assert opened.page.locator("#player-notice").is_hidden()


def test_videos_beside_the_page_are_played_as_long_as_both_move_together(tmp_path, open_page):
    video = media_factory.write_video(tmp_path / "0001.mp4", n_frames=50)
    first, moved = tmp_path / "results/demo", tmp_path / "else where/demo"
    (first / "players").mkdir(parents=True)
    shutil.copy(video, first / "players")
    there = PageVideo(make_prediction("there", seconds=2, has_audio=False), first / "players/0001.mp4")
    gone = PageVideo(make_prediction("gone", seconds=2, highest=0.4, has_audio=False), first / "players/0002.mp4")
    write_page(first / "report", [there, gone], title="t", copy_media=False)
    moved.parent.mkdir()
    first.rename(moved)
    opened = open_page(moved / "report")
    opened.choose("there")
    opened.wait("document.getElementById('player').videoWidth === 64")
    assert opened.page.locator("#player-notice").is_hidden()
    opened.choose("gone")
    opened.page.wait_for_selector("#player-notice:visible")
    assert "not where this page looks for it" in opened.page.inner_text("#player-notice")
    (complaint,) = opened.complaints
    assert "ERR_FILE_NOT_FOUND" in complaint
    opened.complaints.clear()


def test_no_width_scrolls_sideways(world, open_page):
    opened = open_page(world)
    for width in (320, 390, 700, 901, 1600):
        opened.page.set_viewport_size({"width": width, "height": 800})
        for tab in ("#tab-results", "#tab-videos"):
            opened.page.click(tab)
            assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        # Curves are drawn anew for the width that there is.
        drawn = "Math.floor(document.querySelector('.score .plot').clientWidth)"
        opened.wait(f"Number(document.querySelector('.score svg').getAttribute('width')) === {drawn}")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_jumps_while_loading_or_from_one_video_to_the_next(world, open_page, width):
    opened = open_page(world, width=width)
    page = opened.page
    page.wait_for_selector("#chart .score .curve")
    for number in ("0002", "0003", "0004", "0006", "0001"):
        page.evaluate("(number) => { location.hash = number }", number)  # no click: those shifts would be forgiven
        page.wait_for_selector(f"#video-{number}[aria-selected=true]")
        page.wait_for_timeout(250)
    assert page.evaluate("window.shifts") == []


def test_light_and_dark_follow_the_system_until_the_button_is_pressed(world, open_page):
    background = "getComputedStyle(document.body).backgroundColor"
    opened = open_page(world)
    page = opened.page
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    opened.wait("document.getElementById('theme-button').textContent === 'Light'")  # told with the next frame
    page.click("#theme-button")
    chosen = page.evaluate(background)
    page.emulate_media(color_scheme="light")
    assert chosen == light != dark


def test_the_results_are_behind_a_tab(world, open_page):
    opened = open_page(world)
    assert opened.page.locator("#results").is_hidden()
    opened.page.focus("#tab-videos")
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.inner_text("#results td.number") == "1"
    assert opened.page.locator("#videos").is_hidden()


def test_a_missing_data_file_is_told(tmp_path, browser):
    write_page(tmp_path, [PageVideo(make_prediction(), None)], title="t")
    (tmp_path / "data/page-0001.js").unlink()
    page = browser.new_page()
    page.goto(f"file://{tmp_path}/report.html")
    Opened(page).wait("document.getElementById('readout').textContent.includes('data/page-0001.js is missing')")
    page.close()


def test_an_empty_page_says_so(tmp_path, open_page):
    write_page(tmp_path, [], title="t")
    assert "no video" in open_page(tmp_path).page.inner_text("main")


def test_two_hundred_videos(tmp_path, open_page):
    videos = [PageVideo(make_prediction(f"v{i}", seconds=2, highest=i / 200, seed=i), None) for i in range(200)]
    calmest = min(videos, key=lambda video: video.prediction.alarm).prediction.alarm
    last = max(video.prediction.id for video in videos if video.prediction.alarm == calmest)
    write_page(tmp_path, videos, title="t")
    opened = open_page(tmp_path)
    assert opened.page.locator("#list li").count() == 200
    opened.page.focus("#list")
    opened.page.keyboard.press("End")
    assert opened.page.inner_text("#video-title") == last
    inside = "(() => { const [a, b] = ['list', 'video-0200'].map((id) => document.getElementById(id)"
    inside += ".getBoundingClientRect()); return b.top >= a.top - 1 && b.bottom <= a.bottom + 1 })()"
    assert opened.page.evaluate(inside)
    # Curves are loaded for what is shown, not for all.
    assert sum("/data/" in url for url in opened.requests) == 2
    opened.page.fill("#search", "v19")
    assert opened.page.locator("#list li").count() == 11


def test_two_hours_draw_no_more_points_than_a_screen_shows_and_seek_to_a_single_snippet(tmp_path, open_page):
    random = np.random.default_rng(0)
    scores = random.random(45_000, dtype=np.float32) * np.float32(0.4)
    scores[31_234] = 0.95  # one snippet of 0.16 s: less than a fiftieth of a pixel
    prediction = make_prediction(seconds=7200, frame_rate=25, stride=4, anomaly=scores)
    write_page(tmp_path, [PageVideo(prediction, None)], title="t")
    opened = open_page(tmp_path)
    curve = opened.page.wait_for_selector("#chart .score .curve.deciding")
    width = opened.page.locator(".surface").bounding_box()["width"]
    for path in opened.page.locator("#chart path").all():
        assert len(re.findall("[MLHVz]", path.get_attribute("d"))) <= 6 * width + 4  # a box has five corners
    points = [tuple(map(float, point.split())) for point in re.split("[ML]", curve.get_attribute("d")) if point]
    assert len(points) == int(curve.get_attribute("data-points")) <= 2 * width + 2
    assert min(y for _, y in points) == pytest.approx(168 * 0.05, abs=0.01)  # the peak is there
    assert [when for _, when in opened.alarms()] == ["1:23:17 \N{EN DASH} 1:23:18"]
    opened.page.locator("#alarms button").click()
    assert opened.page.get_attribute(".surface", "aria-valuenow") == f"{prediction.boundary_seconds[31_234]:.1f}"
    assert "0.95" in opened.page.inner_text("#readout")
    opened.page.keyboard.press("ArrowRight")
    assert "0.95" not in opened.page.inner_text("#readout")
    opened.page.keyboard.press("ArrowLeft")
    for _ in range(12):
        opened.page.keyboard.press("i")
    assert opened.page.get_by_label("Zoom in").is_disabled()
    # A dozen snippets are in view, the peak among them, and a click meets each of them.
    drawn = opened.page.get_attribute("#chart .score .curve.deciding", "d")
    assert 12 <= drawn.count("H") <= 14
    box = opened.page.locator(".surface").bounding_box()
    playhead = opened.page.locator(".playhead").last.bounding_box()["x"] - box["x"]
    opened.page.mouse.click(box["x"] + playhead + box["width"] / 12, box["y"] + 100)
    assert opened.seconds() == pytest.approx(float(prediction.boundary_seconds[31_235]), abs=0.08)
    opened.page.mouse.click(*middle_of(opened.page.locator(".zoom-bar").bounding_box()))
    assert opened.page.locator(".playhead").last.is_hidden()
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.locator(".playhead").last.is_visible()


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4"])
@pytest.mark.parametrize("start_seconds", [1_234.4, 1.6e9])
def test_a_clock_that_does_not_begin_at_zero_is_sought_rightly(tmp_path, browser, suffix, start_seconds):
    codecs = {"codec": "libvpx", "audio_codec": "libopus"} if suffix == "webm" else {}
    media = media_factory.write_video(
        tmp_path / f"late.{suffix}",
        n_frames=150,
        frame_seconds=[start_seconds + index / 25 for index in range(150)],
        audio=media_factory.tone(6.0),
        audio_offset_seconds=start_seconds,
        **codecs,
    )
    prediction = replace(make_prediction("late", seed=1), clock_start_seconds=start_seconds)
    write_page(tmp_path / "page", [PageVideo(prediction, media)], title="Late")
    opened = Opened(new_page(browser))
    opened.page.goto(f"file://{tmp_path}/page/report.html")
    opened.page.wait_for_selector("#chart .score .curve")
    opened.wait(f"document.getElementById('player').currentTime >= {start_seconds}")
    box = opened.page.locator(".surface").bounding_box()
    for share in (0.9, 0.1, 0.52):
        opened.page.mouse.click(box["x"] + share * box["width"], box["y"] + 20)
        wanted = 6 * share
        opened.wait(f"Math.abs(document.getElementById('player').currentTime - {start_seconds + wanted}) < 0.03")
        opened.wait("!document.getElementById('player').seeking")
        assert opened.seconds() == pytest.approx(wanted, abs=0.06)
        opened.page.wait_for_timeout(300)
        shown = Image.open(io.BytesIO(opened.page.locator("#player").screenshot())).convert("L")
        gray = np.asarray(shown)[shown.height // 3, shown.width // 2]  # above the controls
        now = opened.page.evaluate("document.getElementById('player').currentTime") - start_seconds
        assert gray == pytest.approx(16 + 8 * int(now * 25 + 1e-4) % 224, abs=9)  # one frame to either side
    opened.page.context.close()
