"""Judgements that cannot be used are refused with their line, and change nothing."""

import re
from pathlib import Path

import pytest

from avadclip import paths
from avadclip.interop.corrections.format import HEADER, UNNAMED
from avadclip.prediction import assembly
from tests.support.corrections_factory import (
    VIDEOS,
    F,
    row,
    run,
    save,
    spans,
    texts,
    write_params,
    write_tables,
)

FINE = row("gate", "wrong", 1, 2)
REFUSED: dict[str, tuple[list[str], str]] = {
    "another data set": ([FINE, row("gate", "wrong", 3, 4, dataset="yours")],
                         "line 3, column dataset: expected 'mine', found 'yours'"),
    "a video that changed": ([row("gate", "wrong", 1, 2, content="f" * 64)],
                             "column content_hash: expected 0000.* of 'gate', found ffff.*judge what it shows"),
    "no hash": ([row("gate", "wrong", 1, 2, content="abc")], "expected 64 hexadecimal digits, found 'abc'"),
    "an unknown video": ([row("gatte", "wrong", 1, 2)], "found 'gatte'; did you mean 'gate'"),
    "a path": ([row("../gate", "wrong", 1, 2)], "column video: expected a video of 'mine', found '../gate'"),
    "a formula": ([row('"=HYPERLINK(""http://x"")"', "wrong", 1, 2)], "found '=HYPERLINK"),
    "control characters": ([row("gate\x1b[2J", "wrong", 1, 2)], r"found 'gate\\x1b\[2J'"),
    "no video": ([row("", "wrong", 1, 2)], "line 2, column video: empty"),
    "the same alarm twice": ([FINE, FINE], "line 3, column video: the same alarm as in line 2"),
    "contrary judgements": ([FINE, row("gate", "right", 0, 5, F, (1, 2))], "the same alarm as in line 2"),
    "not a number": ([row("gate", "wrong", "nan", 2)], "column start_seconds: expected seconds >= 0.*found 'nan'"),
    "infinity": ([row("gate", "wrong", 1, "inf")], "column end_seconds: expected seconds >= 0"),
    "negative": ([row("gate", "wrong", 1, 2, alarm=("-1.000", 2))], "column alarm_start_seconds: expected seconds"),
    "other digits": ([row("gate", "wrong", "\u0661", 2)], "column start_seconds: expected seconds"),
    "no length": ([row("gate", "right", 2, 2, F)], "column end_seconds: expected an end after the start 2.000"),
    "backwards": ([row("gate", "wrong", 1, 2, alarm=(2, 1))], "column alarm_end_seconds: expected an end after"),
    "behind the end": ([row("gate", "right", 9, 10.1, F)], "ends at 10.000 s, found 10.100; was another version"),
    "after the end": ([row("gate", "wrong", 10, 10.02)], "column alarm_start_seconds: expected a time within 'gate'"),
    "an unknown judgement": ([row("gate", "maybe", 1, 2)], "'maybe' is not one of right, wrong, unsure, other_class"),
    "an unknown class": ([row("gate", "right", 1, 2, "fightin")],
                         "column class: expected one of fighting, riot, theft, found 'fightin'; did you mean 'fight"),
    "a normal event": ([row("gate", "right", 1, 2, "normal")], "column class: expected one of"),
    "no class": ([row("gate", "other_class", 1, 2)], "column class: empty"),
    "cut off": ([FINE, FINE[:20]], "line 3: expected 10 cells, found 3"),
    "nothing": ([], "found the header only"),
    "not in a folder": ([row("gate", "wrong", 1, 2, dataset="")], "column dataset: empty.* with --videos"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_told_with_its_line_and_changes_nothing(rows: list[str], message: str) -> None:
    before = texts()
    save(row("yard", "right", 2, 3, "theft"), *rows) if rows else save()
    shifted = re.sub(r"line (\d)", lambda found: f"line {int(found[1]) + 1}", message)
    result = run("--yes")
    assert result.exit_code == 1
    assert re.search(shifted, result.stderr), result.stderr
    assert texts() == before


def test_files_that_are_none() -> None:
    for content, message in (
        (b"", "line 1: expected the header dataset,video,"),
        (b"dataset,video\n", "line 1: expected the header dataset,video,content_hash"),
        (f"{','.join(HEADER)}\n{FINE}".encode(), "expected a last line that ends, found none: it is cut off"),
        (b"\xff\xfe\x00", "not readable as UTF-8 CSV"),
        (",".join(HEADER).encode() + b"\n" + b"x" * (1 << 20), "longer than 1048576 characters"),
    ):
        Path("corrections.csv").write_bytes(content)
        assert message in run("--yes").stderr
    with Path("corrections.csv").open("wb") as file:
        file.truncate(1 << 40)  # a sparse file takes no space
    assert "expected at most 67108864 bytes, found 1099511627776" in run("--yes").stderr
    Path("corrections.csv").unlink()
    assert "corrections.csv: no such file" in run("--yes").stderr


@pytest.mark.parametrize(("folder", "message"), [("nope", "no such file or folder"), ("empty", "no videos below")])
def test_a_folder_without_videos_is_refused_although_no_row_needs_it(folder: str, message: str) -> None:
    Path("empty").mkdir()
    save(FINE)
    before = texts()
    result = run("--yes", "--videos", folder)
    assert (result.exit_code, texts()) == (1, before)
    assert f"{folder}: {message}" in result.stderr


def test_an_alarm_without_a_class_is_of_the_only_one() -> None:
    save(row("yard", "right", 1, 2, UNNAMED, alarm_label=UNNAMED))
    assert (
        "column class: expected one of fighting, riot, theft, found 'anomaly'; choose one on the page" in run().stderr
    )
    write_params(classes=["normal", "fighting"])
    write_tables("video,labels,split\nyard,normal,train\ngate,fighting,train\n", None)
    assert run("--yes").exit_code == 0
    assert spans() == {("yard", "fighting", 1, 2)}
    assert UNNAMED == assembly.UNNAMED


def test_data_sets_that_cannot_be_edited() -> None:
    save(FINE)
    write_params("xd_violence")
    assert "expected kind table or features, whose tables are yours, found xd_violence" in run("--yes").stderr
    write_params(worlds=["mine"], annotations="data/mine/annotations")
    assert "its tables are rendered with the world 'mine', and `dvc repro` would write them anew" in run().stderr
    write_params()
    Path("annotations/videos.csv").chmod(0o444)  # as DVC's cache is
    assert "expected a file that can be edited, found it read-only; `dvc unprotect" in run("--yes").stderr
    paths.manifest("mine").unlink()
    assert "manifest.csv: no such file; run `dvc repro prepare@mine`" in run().stderr


def test_a_class_that_nobody_teaches_any_longer_is_told_before() -> None:
    save(row("door", "other_class", 1, 2, "theft", alarm_label="riot"), row("hall", "other_class", 1, 2, "theft"))
    write_tables(VIDEOS.replace("fighting|riot", "fighting"), None)
    assert "note: no training video is labelled riot any longer, so training would stop" in run().stdout
