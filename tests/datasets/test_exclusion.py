"""The lines for `exclude`: whatever an id and a reason hold, YAML reads them back."""

import pytest
from ruamel.yaml import YAML

from avadclip.datasets.exclusion import exclude_lines

TEXTS = [
    "plain",
    "v=S-7rRLrxnVQ__#1_label_B4-0-0",
    "a: b # c",
    "'single' and \"double\" and \\ and /",
    "- ? ! & * | > % @ ` { } [ ] ,",
    "no",
    "1e5",
    "~",
    " outer ",
    "Überfall 監視 🎬",
    "line\nbreak\ttab\r\x00\x07\x1b",
    "\x7f\x80\x85\x9f\u2028\u2029\ufeff\ufffe",
    "x" * 239,
]


@pytest.mark.parametrize("text", TEXTS)
def test_lines_come_back_through_yaml(text: str) -> None:
    lines = exclude_lines({text: text, "other": text})
    document = f"datasets:\n  demo:\n    exclude:\n{lines}\n"
    assert YAML(typ="safe").load(document)["datasets"]["demo"]["exclude"] == {text: text, "other": text}
    assert len(lines.split("\n")) == 2


def test_bytes_that_are_not_utf8_are_spelt_out() -> None:
    assert YAML(typ="safe").load(exclude_lines({"a": "bad name \udcff"})) == {"a": "bad name \\udcff"}


def test_lines_are_sorted_and_indented() -> None:
    assert exclude_lines({"b": "x", "a": "y"}, indent=2) == '  "a": "y"\n  "b": "x"'
