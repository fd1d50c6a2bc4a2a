"""A person opens the page: keys, widths, light and dark, hostile names, and what is missing."""

import pytest

from avadclip.report.page import PageVideo, write_page
from tests.support.page_factory import HOSTILE, Opened
from tests.support.report_factory import make_prediction

pytestmark = pytest.mark.browser


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
    assert outline == "solid"  # the focus is visible


def test_no_width_scrolls_sideways(world, open_page):
    opened = open_page(world)
    for width in (320, 390, 700, 901, 1600):
        opened.page.set_viewport_size({"width": width, "height": 800})
        for tab in ("#tab-results", "#tab-videos"):
            opened.page.click(tab)
            assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        # Curves are drawn again for the new width.
        drawn = "Math.floor(document.querySelector('.score .plot').clientWidth)"
        opened.wait(f"Number(document.querySelector('.score svg').getAttribute('width')) === {drawn}")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_jumps_while_loading_or_from_one_video_to_the_next(world, open_page, width):
    opened = open_page(world, width=width)
    page = opened.page
    page.wait_for_selector("#chart .score .curve")
    for number in ("0002", "0003", "0004", "0006", "0001"):
        page.evaluate("(number) => { location.hash = number }", number)  # no click: shifts after one do not count
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
    opened.wait("document.getElementById('theme-button').textContent === 'Light'")  # noticed with the next frame
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
