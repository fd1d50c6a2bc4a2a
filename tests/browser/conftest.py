"""One browser for each test file, which opens one page after the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from avadclip.prediction.document import Prediction
from avadclip.report.page import PageVideo, ResultsTables, write_page
from avadclip.report.sound_strip import draw_sound
from tests.support import media_factory
from tests.support.judging_factory import predict
from tests.support.missing import skip_or_fail
from tests.support.page_factory import ARGUMENTS, CHROMIUM, HOSTILE, Opened, new_page, world_predictions


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        skip_or_fail("NOT TESTED IN A BROWSER", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared_page(browser):
    """Most tests use the same page in turn, because a new page is a new process."""
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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="module")
def three() -> list[Prediction]:
    """Three videos in the order of the list, with three alarms, one and none."""
    return [
        predict("hall", (2, 4, 0.9), (8, 12, 0.8), (15, 16, 0.6), seed=1),
        predict("gate", (6, 10, 0.7), seed=2),
        predict("yard", seed=3, base=0.3),
    ]
