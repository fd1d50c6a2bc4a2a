"""A person judges alarms: what is kept, what is saved, and how far one is."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avadclip.prediction.document import Prediction
from avadclip.report.page import PageVideo, write_page
from tests.support.page_factory import Opened, middle_of, names
from tests.support.report_factory import make_prediction

pytestmark = pytest.mark.browser

HEADER = (
    "dataset,video,content_hash,judgement,start_seconds,end_seconds,class,"
    "alarm_start_seconds,alarm_end_seconds,alarm_class"
)
HOSTILE = 'a "b", c\r\nd <img src=x onerror="window.harmed=1">\n=1+1 \N{SMILING FACE WITH SUNGLASSES}'
OWN = {"color_scheme": "light"}  # a browser profile of its own, since judgements outlive a page


def predict(video_id: str, *alarms: tuple[int, int, float], seed: int = 0, base: float = 0.1, **options) -> Prediction:
    """Ten seconds in snippets of half a second; alarms as [first, end) of their snippets, and score."""
    scores = np.full(20, base, np.float32)
    for first, end, score in alarms:
        scores[first:end] = score
    made = make_prediction(video_id, seconds=10, frame_rate=10, stride=5, seed=seed, anomaly=scores, **options)
    return replace(made, content_hash=f"{seed:064x}")


@pytest.fixture(scope="module")
def three() -> list[Prediction]:
    """In the order of the list: three alarms, one, none."""
    return [
        predict("hall", (2, 4, 0.9), (8, 12, 0.8), (15, 16, 0.6), seed=1),
        predict("gate", (6, 10, 0.7), seed=2),
        predict("yard", seed=3, base=0.3),
    ]


def write(folder: Path, predictions: list[Prediction], dataset: str = "mine") -> Path:
    write_page(folder, [PageVideo(prediction, None) for prediction in predictions], title="t", dataset=dataset)
    return folder


def at_alarm(opened: Opened, video_id: str, alarm: int) -> None:
    """Wait until this alarm of this video is the one that is judged."""
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
    """What the file says of an alarm, but for what a person changed."""
    segment = prediction.segments[alarm]
    start, end = f"{segment.start_seconds:.3f}", f"{segment.end_seconds:.3f}"
    label = "" if judgement == "wrong" else segment.label
    cells = ["mine", prediction.id, prediction.content_hash, judgement, start, end, label, start, end, segment.label]
    return dict(zip(HEADER.split(","), cells, strict=True)) | changed


def others(prediction: Prediction, alarm: int) -> list[str]:
    return [name for name in prediction.classes[1:] if name != prediction.segments[alarm].label]


def notes(opened: Opened) -> list[str]:
    return opened.page.locator("#list .judged").all_inner_texts()


def progress(opened: Opened) -> str:
    return opened.page.inner_text("#progress")


def verdicts(opened: Opened) -> list[str]:
    return [
        " ".join(item.locator(".verdict").all_inner_texts()) for item in opened.page.locator("#alarms button").all()
    ]


def test_alarms_are_judged_with_the_keyboard_alone(tmp_path, open_page, three):
    hall, gate, _ = three
    opened = open_page(write(tmp_path, three), **OWN)
    at_alarm(opened, "hall", 0)
    assert progress(opened) == "0 of 4 judged"
    assert opened.page.locator("#corrections-save").is_disabled()
    press(opened, "r", "m")
    at_alarm(opened, "hall", 1)
    press(opened, "f", "w", "m")  # what is wrong has the edges of the alarm
    at_alarm(opened, "hall", 2)
    press(opened, "u", "A")
    assert opened.seconds() == pytest.approx(6.5, abs=0.051)  # one sees where it begins now
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
    press(opened, "r", "n")  # the same word once more takes it back
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
    press(opened, "ArrowRight", "w", "ArrowRight")  # who moves an edge says that there is an event
    assert rows_of(saved(opened)) == [row(hall, 0, "right", start_seconds="1.100")]
    for _ in range(4):
        press(opened, "i")
    shown = page.locator(".edges").bounding_box()
    assert shown["x"] >= surface["x"] - 1
    assert shown["x"] + shown["width"] <= surface["x"] + surface["width"] + 3


def test_judgements_survive_a_reload_and_belong_to_their_page(tmp_path, open_page, three):
    hall, gate, yard = three
    opened = open_page(write(tmp_path / "one", three), **OWN)
    at_alarm(opened, "hall", 0)
    press(opened, "r", "m", "w")
    before = saved(opened)
    opened.page.reload()
    at_alarm(opened, "hall", 2)  # the first one that is not judged
    assert saved(opened) == before
    assert progress(opened) == "2 of 4 judged"
    assert verdicts(opened) == ["right", "wrong", ""]
    assert notes(opened) == ["✓ 2/3", "", ""]
    write(tmp_path / "other", three, dataset="other")
    write(tmp_path / "changed", [replace(hall, content_hash="f" * 64), gate, yard])
    for folder in ("other", "changed"):
        opened.page.goto(f"file://{tmp_path}/{folder}/report.html")
        at_alarm(opened, "hall", 0)
        assert progress(opened) == "0 of 4 judged"
        assert opened.page.locator("#alarms .before").count() == 0
    opened.page.goto(f"file://{tmp_path}/one/report.html")
    at_alarm(opened, "hall", 2)


def test_where_nothing_is_kept_the_page_says_so(tmp_path, open_page, three):
    opened = open_page(write(tmp_path, three), **OWN)
    assert opened.page.locator("#not-kept").is_hidden()
    refused = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('', 'SecurityError') } })"
    opened.page.add_init_script(refused)
    opened.page.reload()
    at_alarm(opened, "hall", 0)
    assert opened.page.locator("#not-kept").is_visible()
    press(opened, "r")
    assert rows_of(saved(opened)) == [row(three[0], 0, "right")]


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


def test_a_file_of_hostile_names_is_read_back(tmp_path, open_page):
    classes = ("normal", HOSTILE, "\N{WATER WAVE}, flood", "riot")
    video = predict(HOSTILE, (2, 4, 0.9), (8, 9, 0.8), (12, 13, 0.7), (15, 16, 0.6), seed=1, classes=classes)
    folder = write(tmp_path / "page", [video, predict("b", seed=2, base=0.2)], dataset=HOSTILE)
    opened = open_page(folder, **OWN)
    opened.page.wait_for_selector("#alarms button")
    press(opened, "r", "m", "w", "m", "u", "m", "c", "s")
    content = saved(opened)
    expected = [row(video, 0, "right"), row(video, 1, "wrong"), row(video, 2, "unsure")]
    expected.append(row(video, 3, "other_class", start_seconds="7.600", **{"class": others(video, 3)[0]}))
    assert rows_of(content) == [line | {"dataset": HOSTILE} for line in expected]
    file = tmp_path / "corrections.csv"
    gone = content.split(b"\r\n", 1)[1].replace(b"0" * 63 + b"1", b"0" * 63 + b"9")  # the same videos, since changed
    file.write_bytes(b"\xef\xbb\xbf" + content + gone)
    elsewhere = open_page(folder, **OWN)
    elsewhere.page.set_input_files("#corrections-file", file)
    elsewhere.page.get_by_text("4 judgements loaded, 4 of videos that are not on this page left out.").wait_for()
    assert saved(elsewhere) == content
    assert progress(elsewhere) == "4 of 4 judged"
    assert verdicts(elsewhere)[:3] == ["right", "wrong", "unsure"]
    assert elsewhere.page.evaluate("window.harmed") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("mine", "yours"), 'row 1: it is of data set "yours", this page of "mine"'),
        (lambda text: text.replace("right", "fine"), 'row 1: "fine" is no judgement'),
        (lambda text: text.replace("1.000", "soon"), "row 1: a time is not a number"),
        (lambda text: text.replace(",right", ""), "row 1: 10 cells were expected, not 9"),
        (lambda text: text.replace("judgement", "verdict"), f"line 1 is not {HEADER}"),
        (lambda text: text + '"mine', "a quote does not end where it should, after row 2"),
    ],
)
def test_a_file_that_is_none_of_this_page_is_refused(tmp_path, open_page, three, change, message):
    line = ",".join(row(three[0], 0, "right").values())
    (tmp_path / "c.csv").write_text(change(f"{HEADER}\r\n{line}\r\n"), newline="")
    opened = open_page(write(tmp_path / "page", three), **OWN)
    opened.page.set_input_files("#corrections-file", tmp_path / "c.csv")
    opened.page.get_by_text(f"c.csv: {message}; nothing was loaded.").wait_for()
    assert progress(opened) == "0 of 4 judged"


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
    assert [line["alarm_end_seconds"] for line in rows_of(saved(opened))] == ["10.000"]  # the last word counts


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
    opened.page.locator("body").press("r")  # puts the focus out of the choice
    opened.choose(alarming[0].id)
    for _ in alarming[0].segments:
        press(opened, "u", "m")
    assert names(opened)[0] == alarming[0].id  # nothing moves while one judges
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
