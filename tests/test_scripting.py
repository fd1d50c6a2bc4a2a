"""The shared part of stage scripts: words of the command line become arguments, and errors one message."""

import logging
import subprocess
import sys

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


def test_garbage_is_collected_in_a_stage_but_neither_in_its_imports_nor_at_its_end() -> None:
    process = """
import atexit, gc, sys

def stage():
    print("stage", gc.isenabled())

atexit.register(lambda: print("end", gc.get_freeze_count() > 0))
sys.argv[0] = "-m"  # as in `python -m pipeline.<stage>`
import pipeline
print("imports", gc.isenabled())
from avadclip import scripting
scripting.run(stage, [])
"""
    done = subprocess.run([sys.executable, "-c", process], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["imports False", "stage True", "end True"]
    done = subprocess.run([sys.executable, "-c", "import gc, pipeline.train; assert gc.isenabled()"], check=False)
    assert done.returncode == 0  # for anybody else
