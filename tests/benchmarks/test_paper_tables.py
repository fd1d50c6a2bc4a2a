"""The demo world's tables in docs/tables.md agree with the records beside it."""

from avadclip.tables.records import read_records
from benchmarks.paper_tables import MARKS, NUMBERS, PAGE, RECORDS, page


def test_page_and_records_agree() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, read_records(RECORDS)) == text
    block = text.split(MARKS[0])[1].split(MARKS[1])[0]
    assert all(f"**Table {number}. " in block for number in NUMBERS)
    assert "missing" not in block


def test_what_lies_outside_the_marks_is_left_alone() -> None:
    records = read_records(RECORDS)
    text = f"before\n{MARKS[0]}old\n{MARKS[1]}after\n"
    new = page(text, records)
    assert new.startswith("before\n")
    assert new.endswith("after\n")
    assert "old" not in new
