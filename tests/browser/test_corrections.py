"""A person's judgements of alarms survive a reload, and are saved as ``corrections.csv`` and loaded again."""

from dataclasses import replace

import pytest

from tests.support.judging_factory import (
    HEADER,
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

pytestmark = pytest.mark.browser

HOSTILE = 'a "b", c\r\nd <img src=x onerror="window.harmed=1">\n=1+1 \N{SMILING FACE WITH SUNGLASSES}'


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
        (lambda text: text.replace("right", "fine"), 'row 1: "fine" is not a judgement'),
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
