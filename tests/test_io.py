"""Files of other formats, and files that are not wholly written."""

import errno
import os
from pathlib import Path

import pytest

from avadclip.io import replacing, unknown_format, write_bytes


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("x-files/3", "format x-files/3 is newer than this version understands (x-files/2): update avadclip"),
        ("x-files/10", "format x-files/10 is newer than this version understands (x-files/2): update avadclip"),
        ("x-files/1", "expected format x-files/2, found x-files/1; do it again"),
        ("y-files/3", "expected format x-files/2, found y-files/3; do it again"),
        ("x-files/", "expected format x-files/2, found x-files/; do it again"),
        (3, "expected format x-files/2, found 3; do it again"),
        (None, "expected format x-files/2, found None; do it again"),
    ],
)
def test_only_a_newer_file_asks_for_an_update(found: object, expected: str) -> None:
    assert unknown_format(found, "x-files/2", "do it again") == expected


def test_what_a_killed_process_left_long_ago_goes_away_with_the_next_write(tmp_path: Path) -> None:
    for name in (old := ".host-1-0.tmp", young := ".host-2-0.tmp", other := "notes.tmp"):
        (tmp_path / name).write_bytes(b"half of it")
    for name in (old, other):
        os.utime(tmp_path / name, (0, 0))
    write_bytes(tmp_path / "whole", b"all of it")
    assert {path.name for path in tmp_path.iterdir()} == {young, other, "whole"}


def test_who_writes_is_told_the_name_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "whole"
    with pytest.raises(OSError, match=str(path)), replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []
