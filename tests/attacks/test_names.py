"""Names that contain HTML, Markdown, or shell or terminal commands, wherever they are shown."""

import logging
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from avadclip import scripting
from avadclip.cli import app
from avadclip.datasets import ids
from avadclip.errors import DatasetError, MediaError, ReportError, printable
from avadclip.evaluation.markdown import plain
from avadclip.prediction.naming import safe_id
from avadclip.prediction.subtitles import to_vtt
from avadclip.report import tables
from avadclip.report.page import PageVideo, ResultsTables, write_page
from tests.support.report_factory import make_prediction

HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&amp;"
MARKDOWN = "a | b | `c` **d** [e](javascript:alert(1)) ![f](http://x/) <!-- \n\n# g\n\n| h |"
TERMINAL = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\x08\u202egpj.exe\x00"
SHELL = "$(touch harmed); `touch harmed` && touch harmed #"
NAMES = [HTML, MARKDOWN, TERMINAL, SHELL]


class Markup(HTMLParser):
    """Elements and attributes that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag, *(f"{name}={value}" for name, value in attrs)]


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_the_markup_and_the_files_that_it_has_with_plain_names(tmp_path: Path, name: str) -> None:
    def written(folder: Path, name: str) -> tuple[list[str], list[Path]]:
        prediction = make_prediction(name, path=f"videos/{name}", classes=("normal", name, "b"))
        results = ResultsTables(f"# Results\n\n| {plain(name)} |\n|---|\n| {plain(name)} |\n", [])
        video = tmp_path / (re.sub("[/\0]", "", name) + ".mp4")
        video.write_bytes(b"a video")
        write_page(folder, [PageVideo(prediction, video)], title=name, results=results)
        files = sorted(path.relative_to(folder) for path in folder.rglob("*"))
        return Markup((folder / "report.html").read_text(encoding="utf-8")).found, files

    assert written(tmp_path / "hostile", name) == written(tmp_path / "plain", "name")


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_of_the_summary_is_one_cell_of_text(name: str) -> None:
    html = tables.to_html(f"| a | {plain(name)} |\n|---|---|\n| b | c |\n")
    assert Markup(html).found == Markup(tables.to_html("| a | name |\n|---|---|\n| b | c |\n")).found
    assert "\n" not in plain(name)


@pytest.mark.parametrize(
    "markdown", [HTML, MARKDOWN, "[x](data:text/html,x)", "<https://x/>", "[x]: javascript:x\n[x]"]
)
def test_a_summary_that_somebody_else_wrote_loads_and_runs_nothing(markdown: str) -> None:
    found = Markup(tables.to_html(markdown)).found
    assert not {"img", "script", "iframe", "object", "style", "link"} & set(found)
    assert not [item for item in found if item.startswith(("on", "src=", "style=", "href=javascript", "href=data"))]


@pytest.mark.parametrize("name", NAMES)
def test_subtitles_keep_to_their_cue(name: str) -> None:
    prediction = make_prediction(classes=("normal", name, name), seed=1)
    text = to_vtt(prediction)
    assert text.count("-->") == len(prediction.segments) > 0
    assert "<" not in text


@pytest.mark.parametrize("name", [TERMINAL, "a/../../b", "..", ".ssh", "\udcff", "a" * 300])
def test_ids_are_names_of_files(name: str) -> None:
    with pytest.raises(DatasetError, match="rename the video"):
        ids.check(name)
    ids.check(safe_id(f"{name}.mp4"))


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\x07", "\r", "\x00", "\u202e", "\u2066", "\udcff"])
def test_a_terminal_gets_no_commands(
    character: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = f"videos/{character}[2J.mp4"
    assert printable(f"{hostile}\nä") == "videos/\N{REPLACEMENT CHARACTER}[2J.mp4\nä"
    monkeypatch.setattr(logging, "root", logging.RootLogger(logging.WARNING))

    def main() -> None:
        logging.root.warning("%s: odd", hostile)
        raise MediaError(f"{hostile}: damaged")

    with pytest.raises(SystemExit):
        scripting.run(main, [])
    written = capsys.readouterr().err
    assert character not in written
    assert written.count("[2J.mp4") == 2


def test_commands_print_no_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["features", "merge", "x\x1b[2J", "--params", "\x1b]0;owned\x07.yaml"])
    assert result.exit_code == 1
    assert "\x1b" not in result.output + result.stderr
    assert "no such file" in result.stderr


@pytest.mark.parametrize("size", [(60_000, 60_000), (0, 0)])
def test_a_figure_that_is_a_bomb(tmp_path: Path, size: tuple[int, int]) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ReportError, match=r"a\.png: not a picture"):
        write_page(tmp_path / "page", [], title="x", results=ResultsTables("", [tmp_path / "a.png"]))
