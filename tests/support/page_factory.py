"""A page in a real browser (Debian's chromium, headless, without network), and a page of six videos to look at."""

import shutil
from dataclasses import dataclass, field

import numpy as np

from avadclip.prediction.document import Prediction
from tests.support.report_factory import make_prediction

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = '<script>window.harmed=1</script><img src=x onerror="window.harmed=1">' + "\"'&amp;" + "é" * 300
WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifts.push([entry.value, entry.sources.map((s) => s.node?.nodeName)]);
}).observe({ type: "layout-shift", buffered: true });
"""


@dataclass
class Opened:
    """An open page, with its error messages and its requests."""

    page: object
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def choose(self, video_id: str) -> None:
        self.page.locator("#list li", has=self.page.get_by_text(video_id, exact=True)).click()
        self.page.wait_for_selector("#chart .score .curve")
        assert self.page.inner_text("#video-title") == video_id

    def alarms(self) -> list[tuple[str, str]]:
        """Return the label and the time span of each alarm in the list."""
        return [
            (item.locator(".chip").inner_text(), item.locator(".when").inner_text())
            for item in self.page.locator("#alarms button").all()
        ]

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true. Playwright's own wait evaluates text, which the page forbids."""
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


def names(opened: Opened) -> list[str]:
    return [name if len(name) < 100 else "hostile" for name in opened.page.locator("#list .name").all_inner_texts()]


def span(start: float, end: float) -> str:
    """Write a time span below one minute as the page does. JavaScript rounds halves up."""
    return " \N{EN DASH} ".join(f"0:{np.floor(seconds * 10 + 0.5) / 10:04.1f}" for seconds in (start, end))


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
