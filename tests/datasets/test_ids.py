"""Which id a file name gives, and which ids are refused."""

import pytest

from avadclip.datasets import ids
from avadclip.errors import DatasetError


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("clip.mp4", "clip"),
        ("clip.MP4", "clip"),
        ("v=S-7rRLrxnVQ__#1_label_B4-0-0.mp4", "v=S-7rRLrxnVQ__#1_label_B4-0-0"),
        ("A.Beautiful.Mind.2001__#00-25-20_00-29-20_label_A", "A.Beautiful.Mind.2001__#00-25-20_00-29-20_label_A"),
        ("Thelma...Louise.1991__#01-53-54_01-54-50_label_A.mp4", "Thelma...Louise.1991__#01-53-54_01-54-50_label_A"),
        ("twice.avi.mp4", "twice.avi"),
        ("notes.txt", "notes.txt"),
        ("mp4", "mp4"),
        ("caf\u0065\u0301.mp4", "caf\u00e9"),
        *((f"clip{ending}", "clip") for ending in (".dav", ".264", ".H264", ".265", ".mxf", ".mjpg", ".divx", ".DAT")),
    ],
)
def test_only_a_video_extension_is_cut_off(name: str, id_: str) -> None:
    assert ids.from_name(name) == id_


@pytest.mark.parametrize("id_", ["a b", "v=x#1'\"&", "Überfall 監視", "Thelma...Louise", "-x", "x" * 239, "é" * 119])
def test_unusual_names_are_ids(id_: str) -> None:
    ids.check(id_)


@pytest.mark.parametrize(
    ("id_", "problem"),
    [
        ("", "empty"),
        ("..", "dot"),
        (".hidden", "dot"),
        ("../x", "dot"),
        ("a/b", "separator"),
        ("a\\b", "separator"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\u2028b", "control"),
        ("a\udcffb", "UTF-8"),
        ("x" * 240, "239 bytes"),
        ("é" * 120, "239 bytes"),
    ],
)
def test_names_that_cannot_name_a_feature_file_are_refused(id_: str, problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        ids.check(id_)


@pytest.mark.parametrize(
    ("pair", "problem"),
    [(("a", "a"), "twice"), (("Clip", "clip"), "case"), (("caf\u00e9", "cafe\u0301"), "Unicode form")],
)
def test_ids_that_would_share_a_file_are_refused(pair: tuple[str, str], problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        ids.check_distinct(pair)
