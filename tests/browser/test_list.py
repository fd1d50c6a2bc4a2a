"""A person looks for a video in the list."""

import pytest

from avadclip.report.page import PageVideo, write_page
from tests.support.page_factory import names
from tests.support.report_factory import make_prediction

pytestmark = pytest.mark.browser


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
    assert "calm 9" in names(opened)  # annotated by people
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
    # Only the curves of videos that were shown are loaded.
    assert sum("/data/" in url for url in opened.requests) == 2
    opened.page.fill("#search", "v19")
    assert opened.page.locator("#list li").count() == 11
