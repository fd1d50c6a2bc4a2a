"""The shared part of stage scripts: words of the command line become arguments, and errors one message."""

import logging

import pytest

from avadclip import scripting
from avadclip.errors import DatasetError


def stage(dataset: str, variant: str = "default") -> None:
    if dataset == "bad":
        raise DatasetError("videos: two problems\n  and more")
    logging.getLogger("stage").warning("%s %s", dataset, variant)


@pytest.mark.parametrize(("argv", "message"), [(["demo"], "demo default"), (["demo", "other"], "demo other")])
def test_words_become_arguments(argv: list[str], message: str, caplog: pytest.LogCaptureFixture) -> None:
    scripting.run(stage, argv)
    assert caplog.messages == [message]


@pytest.mark.parametrize("argv", [[], ["a", "b", "c"]])
def test_a_wrong_number_of_words_shows_the_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        scripting.run(stage, argv)
    assert capsys.readouterr().err == f"usage: python -m {stage.__module__} <dataset> [variant]\n"


def test_an_error_of_the_project_is_a_message_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        scripting.run(stage, ["bad"])
    assert capsys.readouterr().err == "error: videos: two problems\n  and more\n"


def test_any_other_error_keeps_its_traceback() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        scripting.run(broken, [])
