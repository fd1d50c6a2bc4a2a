"""The files of the page: what they say, that they need nothing else, and that they come out the same twice."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avadclip.errors import ReportError
from avadclip.report import payload, tables
from avadclip.report.levels import OUTCOMES, at_levels
from avadclip.report.page import PageVideo, ResultsTables, write_page
from avadclip.report.sound_strip import draw_sound
from tests.support import media_factory
from tests.support.report_factory import make_prediction, segments_of

HOSTILE = "</script><script>alert(1)</script>\"'&amp; {{script}} \u2028 \N{SMILING FACE WITH SUNGLASSES} \udcff"


class _Tags(HTMLParser):
    """A parser that keeps every start tag with its attributes, and the text of each script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data


def parse(folder: Path) -> _Tags:
    tags = _Tags()
    tags.feed((folder / "report.html").read_text(encoding="utf-8"))
    return tags


def index_of(folder: Path) -> dict:
    return json.loads(parse(folder).scripts[0])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return media_factory.write_video(path, n_frames=50, audio=media_factory.tone(2.0))


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> ResultsTables:
    figure = tmp_path_factory.mktemp("figures") / 'a "b" <i>.png'
    Image.new("RGB", (30, 20), "white").save(figure)
    markdown = (
        "# Results on x\n\n<script>alert(2)</script> ![p](http://example.org/p.png)\n\n"
        "| Detector | AP |\n| --- | ---: |\n| `a_b` | 1.5 |\n"
    )
    return ResultsTables(markdown, [figure])


def test_the_same_input_gives_the_same_bytes_whatever_lay_there_before(tmp_path, clip, results):
    videos = [PageVideo(make_prediction(name, seconds=2, seed=seed), clip) for seed, name in enumerate("abc")]
    write_page(tmp_path / "one", videos, title="t", results=results)
    write_page(tmp_path / "two", [*videos, *videos], title="other", results=results)
    (tmp_path / "two/media/0001.mp4").write_bytes(b"not ours")
    write_page(tmp_path / "two", videos[::-1], title="t", results=results)
    second = contents(tmp_path / "two")
    assert second.pop("media/0001.mp4") == b"not ours"
    assert contents(tmp_path / "one") == second


def test_every_file_that_the_page_names_is_there_and_relative(tmp_path, clip, results):
    videos = [
        PageVideo(make_prediction("a", seconds=2), clip, b"png"),
        PageVideo(make_prediction("b", seconds=2), None),
    ]
    write_page(tmp_path, videos, title="t", results=results)
    rows = index_of(tmp_path)["videos"]
    named = {f"data/page-{row['number']}.js" for row in rows} | {row[key] for row in rows for key in ("media", "sound")}
    named |= {attributes["src"] for _, attributes in parse(tmp_path).tags if attributes.get("src")}
    assert set(contents(tmp_path)) == (named - {None}) | {"report.html"}
    without = next(row for row in rows if row["id"] == "b")
    assert (without["media"], without["sound"]) == (None, None)
    assert (tmp_path / "media/page-0001.mp4").read_bytes() == clip.read_bytes()
    assert (tmp_path / "data/page-0001.png").read_bytes() == b"png"


def test_videos_can_be_played_from_where_they_lie_or_will_lie(tmp_path):
    away = tmp_path / "a b#1/gone.mp4"
    pages = [PageVideo(make_prediction("a"), away, b"png"), PageVideo(make_prediction("b", highest=0.1), None)]
    write_page(tmp_path / "results/report", pages, title="t", copy_media=False)
    rows = index_of(tmp_path / "results/report")["videos"]
    assert [row["media"] for row in rows] == ["../../a%20b%231/gone.mp4", None]
    assert not (tmp_path / "results/report/media").exists()


def test_nothing_is_loaded_from_elsewhere(tmp_path, clip, results):
    write_page(tmp_path, [PageVideo(make_prediction("a", seconds=2), clip)], title="t", results=results)
    page = (tmp_path / "report.html").read_text()
    assert set(re.findall(r"[a-z]+://[^\s\"'<)]+", page)) <= {
        "http://www.w3.org/2000/svg",  # an XML namespace, which is never loaded
        "http://example.org/p.png",  # an image in the Markdown, which became a link
    }
    for tag, attributes in parse(tmp_path).tags:
        if tag == "a":
            continue  # only people follow links
        for key in ("src", "href", "srcset", "poster", "data", "action"):
            assert not re.match(r"(\w+:)?//", attributes.get(key) or ""), (tag, attributes)
    policy = next(a["content"] for t, a in parse(tmp_path).tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_hostile_names_are_text(tmp_path, clip):
    prediction = make_prediction(HOSTILE, seconds=2, path=f"/v/{HOSTILE}.mp4", classes=("normal", HOSTILE))
    write_page(tmp_path, [PageVideo(prediction, clip)], title=HOSTILE)
    parsed = parse(tmp_path)
    assert sum(tag == "script" for tag, _ in parsed.tags) == 2
    index = index_of(tmp_path)
    assert (index["title"], index["videos"][0]["id"]) == (HOSTILE, HOSTILE)
    assert list(index["classColors"]) == [HOSTILE]
    data = (tmp_path / "data/page-0001.js").read_text(encoding="ascii")
    assert "<" not in data
    assert json.loads(data.removeprefix('avadclipPage.receive("0001",').removesuffix(");\n"))["classes"][1] == HOSTILE


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.MP4", ".mp4"), ("x", ".bin"), ("x.m p4", ".bin"), ("x.<b>", ".bin"), ("x.webm", ".webm")],
)
def test_the_copy_of_a_video_keeps_nothing_of_its_name_but_the_kind(tmp_path, name, kind):
    source = tmp_path / name
    source.write_bytes(b"video")
    write_page(tmp_path / "page", [PageVideo(make_prediction(has_audio=False), source)], title="t")
    assert [path.name for path in (tmp_path / "page/media").iterdir()] == [f"page-0001{kind}"]


def test_videos_come_most_alarming_first(tmp_path):
    highest = {"calm": 0.2, "loud": 0.9, "also loud": 0.9, "middle": 0.6}
    videos = [PageVideo(make_prediction(name, highest=peak), None) for name, peak in highest.items()]
    write_page(tmp_path, videos, title="t")
    assert [row["id"] for row in index_of(tmp_path)["videos"]] == ["also loud", "loud", "middle", "calm"]


@pytest.mark.parametrize(
    ("peak", "events", "expected"),
    [
        (1.0, None, None),
        (1.0, [("fighting", 0.0, 6.0)], "caught"),
        (0.1, [("fighting", 0.0, 6.0)], "missed"),
        (1.0, [("fighting", 6.0, 6.5)], "missed"),  # the ends touch, but do not overlap
        (1.0, [], "false alarm"),
        (0.1, [], "quiet"),
    ],
)
def test_alarms_are_compared_with_the_ground_truth(peak, events, expected):
    assert at_levels(make_prediction(highest=peak, annotated=events), [0.5])[0].outcome == expected


def test_the_list_tells_the_loudest_alarm_and_the_label_that_lasts_longest_first():
    scores = np.array([0.9, 0.1, 0.6, 0.6, 0.6, 0.1], np.float32)
    prediction = make_prediction(seconds=6, frame_rate=25, stride=25, anomaly=scores)
    loud, long = prediction.segments
    (said,) = at_levels(prediction, [prediction.alarm_threshold])
    assert said.loudest == (loud.label, 0.0, 1.0)
    assert said.labels[0] == long.label
    assert (said.n_alarms, said.seconds) == (2, 4.0)
    facts = payload.facts(prediction)
    n_alarms, seconds, labels, loudest, outcome = facts["given"]
    assert [facts["names"][place] for place in labels] == said.labels
    assert [facts["names"][loudest[0]], *loudest[1:]] == [loud.label, 0.0, 1.0]
    assert (n_alarms, seconds, OUTCOMES[outcome]) == (2, 4.0, "false alarm")
    assert facts["spark"] == [90, 10, 60, 60, 60, 10]


@pytest.mark.parametrize("seed", range(5))
def test_the_list_knows_what_every_level_would_say(seed: int) -> None:
    events = [[], [("fighting", 1.0, 2.5), ("explosion", 4.0, 4.4)], None][seed % 3]
    prediction = make_prediction(seed=seed, annotated=events, threshold=0.37)
    deciding, facts = prediction.curves[0], payload.facts(prediction)
    names, levels = facts["names"], facts["levels"]
    assert [step for step, *_ in levels] == sorted({step for step, *_ in levels})
    assert len(levels) <= len(set(deciding.anomaly.tolist())) + 1  # no more than there are distinct scores
    for step in range(101):
        alarms = segments_of(deciding, prediction.boundary_seconds, prediction.classes, step / 100)
        _, n_alarms, seconds, labels, loudest, outcome = next(row for row in levels[::-1] if row[0] <= step)
        assert n_alarms == len(alarms)
        assert seconds == pytest.approx(sum(a.end_seconds - a.start_seconds for a in alarms), abs=0.0051)  # rounded
        assert {names[label] for label in labels} == {alarm.label for alarm in alarms}
        if alarms:
            highest = max(alarms, key=lambda alarm: alarm.score)
            assert names[loudest[0]] == highest.label
            assert loudest[1:] == [round(highest.start_seconds, 2), round(highest.end_seconds, 2)]
        if events is None:
            assert outcome is None
        elif not events:
            assert OUTCOMES[outcome] == ("false alarm" if alarms else "quiet")
        else:
            met = [a for a in alarms for _, start, end in events if a.start_seconds < end and start < a.end_seconds]
            assert OUTCOMES[outcome] == ("caught" if met else "missed")


def test_the_page_knows_whose_videos_it_shows_and_from_which_scores(tmp_path):
    first, second = (replace(make_prediction(name, seed=3), content_hash=name * 64) for name in "ab")
    scores = second.curves[0].anomaly.copy()
    scores[-1] += 0.25
    changes = {
        "same": second,
        "scores": replace(second, curves=(replace(second.curves[0], anomaly=scores), *second.curves[1:])),
        "file": replace(second, content_hash="c" * 64),
        "level": replace(second, alarm_threshold=0.3),
    }
    identities = {}
    for name, other in changes.items():
        write_page(tmp_path / name, [PageVideo(first, None), PageVideo(other, None)], title=name, dataset="mine")
        index = index_of(tmp_path / name)
        assert index["dataset"] == "mine"
        assert {row["id"]: row["contentHash"] for row in index["videos"]} == {"a": "a" * 64, "b": other.content_hash}
        identities[name] = index["identity"]
    assert identities["same"] == identities["level"]
    assert len(set(identities.values())) == 3


def test_what_would_teach_most_is_told_where_the_score_is_highest():
    both = make_prediction(seed=4)
    deciding, student, _ = both.curves
    peak = max(range(len(deciding.anomaly)), key=lambda i: deciding.anomaly[i])
    doubt = payload.facts(both)["doubt"]
    assert doubt["uncertainty"] == ["visual_student", pytest.approx(float(student.uncertainty[peak]))]
    assert doubt["disagreement"] == pytest.approx(abs(max(deciding.anomaly) - max(student.anomaly)))
    alone = replace(both, curves=(deciding,))
    assert payload.facts(alone)["doubt"] == {"uncertainty": None, "disagreement": None}


def test_a_page_without_videos_is_a_page(tmp_path):
    write_page(tmp_path, [], title="nothing")
    assert index_of(tmp_path)["videos"] == []
    assert list(contents(tmp_path)) == ["report.html"]


def test_two_hours_take_less_than_five_megabytes(tmp_path):
    # A stride of 4 at 30 frames a second is the finest that is shipped, and 7 classes are the most.
    classes = ("normal", "fighting", "shooting", "riot", "abuse", "car accident", "explosion")
    prediction = make_prediction(seconds=7200, frame_rate=30, stride=4, classes=classes)
    write_page(tmp_path, [PageVideo(prediction, None)], title="t")
    assert len(prediction.curves[0].anomaly) == 54_000
    assert sum(map(len, contents(tmp_path).values())) < 5_000_000


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(ReportError, match=r"gone\.mp4: no such file"):
        write_page(tmp_path, [PageVideo(make_prediction(), tmp_path / "gone.mp4")], title="t")
    assert not (tmp_path / "report.html").exists()


def test_a_video_in_the_place_of_its_own_copy_is_not_destroyed(tmp_path):
    (tmp_path / "media").mkdir()
    source = tmp_path / "media/page-0001.mp4"
    source.write_bytes(b"the only copy")
    with pytest.raises(ReportError, match="write to another folder"):
        write_page(tmp_path, [PageVideo(make_prediction(has_audio=False), source)], title="t")
    assert source.read_bytes() == b"the only copy"
    source = source.rename(tmp_path / "media/gate.mp4")
    write_page(tmp_path, [PageVideo(make_prediction(has_audio=False), source)], title="t")
    assert source.read_bytes() == (tmp_path / "media/page-0001.mp4").read_bytes() == b"the only copy"


def test_results_become_tables_without_markup_of_their_own(results):
    html = tables.to_html(results.markdown)
    assert "<h2>Results on x</h2>" in html
    assert '<td class="number">1.5</td>' in html
    assert "<script" not in html
    assert "<img" not in html
    assert "style=" not in html


def test_figures_are_shown_with_their_size(tmp_path, results):
    write_page(tmp_path, [PageVideo(make_prediction(), None)], title="t", results=results)
    (picture,) = [attributes for tag, attributes in parse(tmp_path).tags if tag == "img"]
    assert (picture["src"], picture["width"], picture["height"]) == ("figures/page-0001.png", "30", "20")
    assert picture["alt"] == 'a "b" <i>'


def opacity(png: bytes, tmp_path: Path) -> np.ndarray:
    (tmp_path / "strip.png").write_bytes(png)
    with Image.open(tmp_path / "strip.png") as image:
        return np.asarray(image.convert("RGBA"))[..., 3]


@pytest.mark.slow
def test_the_strip_shows_a_tone_where_and_as_high_as_it_sounds(tmp_path):
    sound = np.concatenate(
        [np.zeros(16_000, np.float32), media_factory.tone(1.0, 1000.0), np.zeros(16_000, np.float32)]
    )
    path = media_factory.write_video(tmp_path / "v.mp4", n_frames=75, audio=sound)
    strip = opacity(draw_sound(path, 0.0, 3.0), tmp_path)
    assert strip.shape == (64, 150)  # a column is 20 ms
    assert strip[:, 60:90].max() == 255
    assert strip[:, :40].max() < 40  # silence is blank
    assert strip[:, 110:].max() < 40
    # On Slaney's scale 1000 Hz is 15 mel and 8 kHz is 45.25 mel: the tone is a third of the way up.
    assert abs((63 - strip[:, 75].argmax()) / 64 - 15 / 45.25) < 0.03


def test_the_strip_of_silence_is_blank_and_of_a_long_video_no_wider_than_a_screen(tmp_path):
    silence = np.zeros(40 * 16_000, np.float32)
    path = media_factory.write_video(tmp_path / "v.mp4", n_frames=5, audio=silence)
    png = draw_sound(path, 0.0, 40.0)
    strip = opacity(png, tmp_path)
    assert strip.shape == (64, 1200)
    assert strip.max() == 0
    assert len(png) < 1000


@pytest.mark.slow
def test_the_page_needs_neither_torch_nor_matplotlib_nor_a_decoder():
    heavy = "{'torch', 'matplotlib', 'av', 'librosa'}"
    script = f"import sys, avadclip.report.page; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
