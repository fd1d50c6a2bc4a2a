"""Commands as forks of one process that has already imported their libraries.

torch, open_clip, librosa and DVC take seconds to import, and the tests start some hundred commands. Here the libraries
are imported once; each command is a fork of that process, with its own arguments, folder, environment and files, and
imports the project's code anew. The pytest processes that share the tests are such forks, too. Workers that any of
them starts, to decode or to render, are forks of a second process without torch (`tests.support.quick_workers`).

As a script, ``warm.py serve SOCKET`` is that process, and ``warm.py SOCKET PROGRAM [WORD ...]`` runs a command.
"""

import atexit
import json
import os
import runpy
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import context, forkserver, resource_tracker
from pathlib import Path
from types import ModuleType
from typing import NoReturn

LIBRARIES = (
    "av",
    "configobj",
    "dulwich.repo",
    "dvc._debug",
    "dvc.analytics",
    "dvc.cachemgr",
    "dvc.cli.parser",
    "dvc.data_cloud",
    "dvc.dirs",
    "dvc.repo.artifacts",
    "dvc.repo.datasets",
    "dvc.repo.graph",
    "dvc.repo.metrics",
    "dvc.repo.open_repo",
    "dvc.repo.params",
    "dvc.repo.plots",
    "dvc.repo.reproduce",
    "dvc.repo.stage",
    "dvc.repo.trie",
    "dvc.rwlock",
    "dvc.scm",
    "dvc.utils.strictyaml",
    "dvc_data.hashfile._progress",
    "dvc_data.hashfile.db.local",
    "dvc_data.hashfile.status",
    "dvclive",
    "fsspec.implementations.memory",
    "h5py",
    "librosa.feature",
    "markdown_it",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "networkx",
    "numpy",
    "open_clip",
    "pandas",
    "pydantic.root_model",
    "ruamel.yaml",
    "scipy.signal",
    "sklearn.metrics",
    "torch",
    "typer",
)

SOCKET = "WARM_PROCESS"  # variable with the server's socket, in the environment of pytest's processes


@cache
def start() -> str:
    """Return the socket of the process from which commands are forked; start it if needed. It ends with its parent."""
    if SOCKET in os.environ:
        return os.environ[SOCKET]
    folder = tempfile.mkdtemp(prefix="warm")  # short: the path of a socket may be 107 characters long
    where = f"{folder}/socket"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen([sys.executable, "-P", __file__, "serve", where], stdin=subprocess.PIPE, env=environment)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    while not Path(where).exists():
        assert server.poll() is None, "it ended before it listened"
        time.sleep(0.05)
    return where


def command(where: str) -> str:
    """Return what a shell puts before ``dvc``, ``avadclip``, or ``python`` with a script, ``-m`` or ``-c``."""
    return f"{sys.executable} -I -S {__file__} {where}"


PYTHON = """#!/bin/sh
case "$1" in
-m) exec {command} python "$@" ;;
*/ray/*/setup_worker.py)
    shift
    for word in "$@"; do # those that it would keep for itself
        shift
        case "$word" in --language=* | --serialized-runtime-env-context=*) ;; *) set -- "$@" "$word" ;; esac
    done
    exec {command} python "$@" ;;
*) exec {executable} "$@" ;;
esac
"""


@cache
def executable() -> str:
    """Return a program for ``sys.executable``: the modules (``-m``) and the workers of Ray that it starts are forks."""
    path = Path(f"{start()}.python")
    if not path.exists():
        path.write_text(PYTHON.format(command=command(start()), executable=sys.executable))
        path.chmod(0o755)
    return str(path)


def run(where: str, program: str, words: Sequence[str], folder: str, environment: Mapping[str, str], out: int) -> int:
    """Run ``dvc``, ``avadclip`` or a module, as ``python -m`` does, with its output going to the open file `out`.

    Returns the exit code, or the negative number of the signal that ended it.
    """
    with socket.socket(socket.AF_UNIX) as connection, Path(os.devnull).open() as nothing:
        connection.connect(where)
        return _ask(connection, program, words, folder, environment, (nothing.fileno(), out, out))


def _ask(
    connection: socket.socket,
    program: str,
    words: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    files: Sequence[int],
) -> int:
    message = json.dumps([program, list(words), folder, dict(environment)]).encode()
    socket.send_fds(connection, [len(message).to_bytes(4, "big")], files)
    connection.sendall(message)
    return int(connection.makefile().read())


def serve(where: str) -> None:
    """Answer requests until the process at the other end of standard input is gone."""
    import gc
    import importlib

    for name in LIBRARIES:
        importlib.import_module(name)
    _quicken_workers()
    import quick_dvc

    quick_dvc.load((Path(__file__).parents[2] / "dvc.yaml").read_text(), "dvc.yaml")  # every clone has it
    gc.freeze()  # or a fork's first garbage collection would copy all objects
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(where)
        listener.listen()
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            while _ended_child():
                pass
            if os.fork() == 0:
                listener.close()
                _answer(connection)
                os._exit(0)
            connection.close()


def _quicken_workers() -> None:
    """Fork the workers of this process and its forks from a process that has loaded the libraries for decoding."""
    forkserver.set_forkserver_preload(["quick_workers"])
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    forkserver.ensure_running()
    del os.environ["PYTHONPATH"]
    # A fork cannot ask whether the fork server is still running, because it is not its parent.
    forkserver._forkserver.ensure_running = resource_tracker.ensure_running
    context._concrete_contexts["spawn"] = context._concrete_contexts["forkserver"]


def _ended_child() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _answer(connection: socket.socket) -> None:
    size, files, _, _ = socket.recv_fds(connection, 4, 3)
    request = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    child = os.fork()
    if child == 0:
        connection.close()
        _become(*request, files)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(str(code).encode())


def _become(program: str, words: list[str], folder: str, environment: dict[str, str], files: list[int]) -> NoReturn:
    """Become that command until the interpreter ends."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [program, *words]
    if program == "dvc":
        import quick_dvc
        from dvc.cli import main

        quick_dvc.install()
        sys.exit(main(words))
    sys.path[:0] = [folder, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    if program == "avadclip":
        from avadclip.cli import app

        sys.exit(app())
    if program == "python":
        _python(words[words[0] == "-u" :])
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    sys.exit()


def _python(words: list[str]) -> None:
    kind, *rest = words
    if kind == "-c":
        sys.modules["__main__"] = ModuleType("__main__")
        exec(rest[0], vars(sys.modules["__main__"]))
        return
    sys.argv = rest if kind == "-m" else words
    if kind == "-m":
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(kind).parent))
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.path.insert(0, str(Path(__file__).parent))  # for quick_dvc
        serve(sys.argv[2])
    else:
        where, program, *words = sys.argv[1:]
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(where)
            sys.exit(_ask(connection, program, words, str(Path.cwd()), os.environ, (0, 1, 2)) % 256)
