"""Every write of every command fails once: files are old or new, the message helps, and the next run succeeds."""

import errno
import fcntl
import logging
import os
import re
import resource
import shutil
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from avadclip import scripting, store
from avadclip.cli import app
from avadclip.errors import refused_write
from avadclip.io import is_unfinished, write_bytes
from avadclip.store import Features, Source
from tests.faults.commands import COMMANDS, STAGES, Command
from tests.faults.shim import failing

ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
OLD = b"the result of an earlier run\n"
# Curves hold throughput, which is never the same twice; the cache of SQLite repairs itself (test_prepare.py).
NO_RESULT = re.compile(r"/curves\b|\btmp/|/probes\.sqlite$")
NOT_FINISHED = re.compile(
    r"/curves\b|\btmp/|/probes\.sqlite$|/resume\.safetensors$|\.sums$"
)  # these grow from step to step and are whole after each
REPLACING = [name for name, command in COMMANDS.items() if command.replaces]


def contents(without: re.Pattern[str]) -> dict[str, bytes]:
    """Path -> bytes of every file in the project; it is an error if one is unfinished."""
    found = {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert [path for path in found if is_unfinished(Path(path))] == []
    return {path: content for path, content in found.items() if not without.search(path)}


def run(command: Command, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and messages as a user sees them; an exception that would give a traceback is raised."""
    name, *words = command.words
    if name in STAGES:
        try:
            scripting.run(STAGES[name], words)
        except SystemExit as error:
            return int(error.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err
    result = CliRunner().invoke(app, command.words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stderr


def stand_in(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, instead in command.stand_ins.items():
        monkeypatch.setattr(name, instead)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which also holds the folder for temporary files."""
    folder = tmp_path / "project"
    (folder / "tmp").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    monkeypatch.setattr(logging, "basicConfig", lambda **_options: None)  # log lines are no error messages
    return folder


def renew(project: Path) -> None:
    """Restore the project to its state before any command, without leaving the folder."""
    for path in project.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.copytree(project.parent / "pristine", project, symlinks=True, dirs_exist_ok=True)


def check_every_fault(command: Command, project: Path, capsys: pytest.CaptureFixture[str], old: bytes | None) -> None:
    """Fail each operation in turn.

    Parameters
    ----------
    old : content of the files that the command replaces; None: there are none.
    """
    shutil.copytree(project, "../pristine", symlinks=True)
    before = contents(NO_RESULT)
    with failing(project) as undisturbed:
        status, told = run(command, capsys)
    assert status == 0, told
    after = contents(NO_RESULT)
    made = {path for path, content in after.items() if before.get(path) != content}
    assert len(made) > 0
    assert {project / path for path in made} <= undisturbed.touched, "written past the shim"
    if old is not None:
        for path in filter(re.compile(command.replaces).fullmatch, made):
            (project.parent / "pristine" / path).parent.mkdir(parents=True, exist_ok=True)
            (project.parent / "pristine" / path).write_bytes(old)
        renew(project)
        before = contents(NO_RESULT)
        assert old in before.values()
        with failing(project) as undisturbed:
            assert run(command, capsys)[0] == 0
        assert contents(NO_RESULT) == after
    for number, operation in enumerate(undisturbed.done):
        if old is not None and NO_RESULT.search(operation):
            continue  # nothing to replace: covered by the test without older results
        if re.search(command.elsewhere, operation):
            continue
        error = ERRORS[number % len(ERRORS)]
        where = f"{number}: {operation}: {os.strerror(error)}"
        renew(project)
        with failing(project, error, number) as faults:
            status, told = run(command, capsys)
        assert len(faults.done) > number, f"{where}: was not reached"
        if status == 0:  # it had no effect: the folder exists, or the file was copied in another way
            assert contents(NO_RESULT) == after, f"{where}: went unnoticed"
            continue
        advice = rf"error: (?!a file)[^\n]+: {os.strerror(error)}; (free|check)[^\n]+then run the same command again"
        assert re.search(advice, told), f"{where}: {told}"
        assert ".tmp" not in told, f"{where}: {told}"
        left = contents(NOT_FINISHED)
        assert [path for path in left if left[path] not in (before.get(path), after.get(path))] == [], where
        if not command.clears:
            assert before.keys() <= contents(NO_RESULT).keys(), where
        status, told = run(command, capsys)
        assert status == 0, f"{where}: {told}"
        assert contents(NO_RESULT) == after, where


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_write_fails_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    command = COMMANDS[name]
    command.build()
    stand_in(command, monkeypatch)
    check_every_fault(command, project, capsys, old=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", REPLACING)
def test_every_write_over_an_older_result_fails_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    command = COMMANDS[name]
    command.build()
    stand_in(command, monkeypatch)
    check_every_fault(command, project, capsys, old=OLD)


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gets_one_line(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    error: int,
) -> None:
    def flock(*_args: object) -> None:
        raise OSError(error, os.strerror(error))

    command = COMMANDS["extract"]
    command.build()
    stand_in(command, monkeypatch)
    monkeypatch.setattr(fcntl, "flock", flock)
    assert run(command, capsys)[0] == 0
    assert len(list(Path("features/toy/visual").iterdir())) == 2
    (line,) = [record.message for record in caplog.records if "locks" in record.message]
    assert re.search(r"toy\.visual\.lock: this file system has no locks .* nobody else fills features/toy/visual", line)


@pytest.mark.parametrize("n_bytes", [0, 100, 3_000, 20_000, 100_000])
def test_what_the_system_itself_refuses(tmp_path: Path, n_bytes: int) -> None:
    """Not every library writes through Python, so here the kernel refuses to write beyond a limit."""
    features = Features(
        Source("v", "0" * 64, 400, 25.0), {}, np.ones((1, 100, 512), "f2"), np.ones(100, bool), np.arange(101.0), ""
    )
    path = tmp_path / "a.h5"
    write_bytes(path, OLD)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as refused:
            store.write(path, features)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert f"{path}: File too large; use a file system that allows larger files" in str(refused_write(refused.value))
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]
    store.write(path, features)
    assert store.read(path).n_snippets == 100
