"""Pages whose alarms are judged, and the rows that ``corrections.csv`` has to hold then."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from avadclip.prediction.document import Prediction
from avadclip.report.page import PageVideo, write_page
from tests.support.page_factory import Opened
from tests.support.report_factory import make_prediction

HEADER = (
    "dataset,video,content_hash,judgement,start_seconds,end_seconds,class,"
    "alarm_start_seconds,alarm_end_seconds,alarm_class"
)
OWN = {"color_scheme": "light"}  # a browser profile of its own, since judgements outlive a page


def predict(video_id: str, *alarms: tuple[int, int, float], seed: int = 0, base: float = 0.1, **options) -> Prediction:
    """Make a prediction of ten seconds in half-second snippets; an alarm is its snippets [first, end) and its score."""
    scores = np.full(20, base, np.float32)
    for first, end, score in alarms:
        scores[first:end] = score
    made = make_prediction(video_id, seconds=10, frame_rate=10, stride=5, seed=seed, anomaly=scores, **options)
    return replace(made, content_hash=f"{seed:064x}")


def write(folder: Path, predictions: list[Prediction], dataset: str = "mine") -> Path:
    write_page(folder, [PageVideo(prediction, None) for prediction in predictions], title="t", dataset=dataset)
    return folder


def at_alarm(opened: Opened, video_id: str, alarm: int) -> None:
    """Wait until this alarm of this video is the current one."""
    opened.wait(f"document.querySelector('#alarms [aria-current]')?.dataset.at === '{alarm}'")
    assert opened.page.inner_text("#video-title") == video_id


def press(opened: Opened, *keys: str) -> None:
    for key in keys:
        opened.page.keyboard.press(key)


def saved(opened: Opened) -> bytes:
    with opened.page.expect_download() as download:
        opened.page.click("#corrections-save")
    assert download.value.suggested_filename == "corrections.csv"
    return Path(download.value.path()).read_bytes()


def rows_of(content: bytes) -> list[dict[str, str]]:
    text = content.decode("utf-8")
    assert text.startswith(HEADER + "\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def row(prediction: Prediction, alarm: int, judgement: str, **changed: str) -> dict[str, str]:
    """Return the row that the file has to hold for an alarm, with the cells that a person has changed."""
    segment = prediction.segments[alarm]
    start, end = f"{segment.start_seconds:.3f}", f"{segment.end_seconds:.3f}"
    label = "" if judgement == "wrong" else segment.label
    cells = ["mine", prediction.id, prediction.content_hash, judgement, start, end, label, start, end, segment.label]
    return dict(zip(HEADER.split(","), cells, strict=True)) | changed


def others(prediction: Prediction, alarm: int) -> list[str]:
    return [name for name in prediction.classes[1:] if name != prediction.segments[alarm].label]


def progress(opened: Opened) -> str:
    return opened.page.inner_text("#progress")


def verdicts(opened: Opened) -> list[str]:
    return [
        " ".join(item.locator(".verdict").all_inner_texts()) for item in opened.page.locator("#alarms button").all()
    ]


def notes(opened: Opened) -> list[str]:
    return opened.page.locator("#list .judged").all_inner_texts()
