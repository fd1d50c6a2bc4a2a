"""Files of other formats."""

import pytest

from avadclip.io import unknown_format


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
