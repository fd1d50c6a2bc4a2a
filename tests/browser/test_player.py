"""A person watches a video: plays, seeks, steps, and zooms."""

import io
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from avadclip.report.page import PageVideo, write_page
from tests.support import media_factory
from tests.support.page_factory import Opened, middle_of, new_page, span
from tests.support.report_factory import make_prediction

pytestmark = pytest.mark.browser


def test_the_most_alarming_video_is_shown_and_its_alarms_are_those_of_the_prediction(world, open_page):
    opened = open_page(world)
    opened.page.wait_for_selector("#chart .score .curve")
    assert opened.page.inner_text("#video-title") == "loud"
    expected = make_prediction("loud", seed=1).segments
    assert opened.alarms() == [(s.label, span(s.start_seconds, s.end_seconds)) for s in expected]
    assert opened.page.locator("#chart .event").count() == 1
    assert opened.page.evaluate("document.querySelector('.sound img').naturalWidth") == 300  # 6 s at 20 ms a column


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
        assert middle == pytest.approx(share * box["width"], abs=3)  # pixels; the mouse moves by whole ones


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
    # About a dozen snippets are in view, the peak among them, and each can be clicked.
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
        assert gray == pytest.approx(16 + 8 * int(now * 25 + 1e-4) % 224, abs=9)  # at most one frame off
    opened.page.context.close()
