"""The real ``dvc``, without the work that tests would only wait for.

For every stage DVC reads and writes all of ``dvc.lock``, with a parser that remembers comments and an emitter in
Python. This takes most of the time of a ``dvc repro`` of stubs. Here it writes JSON, which is also YAML, and parses
each text once. Four times for each stage, DVC notes in a file what the stage reads and writes, in case other commands
run in the same project; here none do. DVC compares each key of ``params.yaml`` that a stage follows with all keys of
the file, because the key may be a pattern; here a key that is no pattern is looked up directly.

Every stage is a Python process that spends seconds on importing torch and other libraries. Here it is a fork of this
process, in which `tests.support.warm` has imported them. It gets the same arguments, environment and folder as
``python -m pipeline.<stage>``, and imports the project's own code anew.
"""

import json
import multiprocessing
import os
import pickle
import re
import runpy
import sys
from contextlib import nullcontext
from functools import reduce
from operator import getitem
from typing import Any, TextIO

import dpath
import dvc.rwlock
import dvc.stage.run as stage_run
from dvc.stage.exceptions import StageCmdFailedError
from dvc.utils import strictyaml
from dvc.utils.serialize import _yaml

STAGE = re.compile(r"python -m (pipeline\.\w+)((?: [\w.-]+)*)")

_run_in_a_shell = stage_run._run
_parse = _yaml.parse_yaml
_search = dpath.get
_parsed: dict[str, bytes] = {}


def install() -> None:
    """Change DVC, in this process and its forks."""
    _yaml.parse_yaml = _yaml.parse_yaml_for_update = strictyaml.parse_yaml = load
    _yaml._dump = _dump
    dvc.rwlock.rwlock = lambda *_: nullcontext()
    dpath.get = _get
    stage_run._run = _run


def load(text: str, path: Any, typ: str = "safe") -> Any:
    """Return the content of a YAML text as new objects; each text is parsed only once in this process and its forks."""
    if text not in _parsed:
        try:
            content = json.loads(text)
        except ValueError:
            content = _parse(text, path)
        _parsed[text] = pickle.dumps(content)
    return pickle.loads(_parsed[text])


def _dump(content: Any, stream: TextIO) -> None:
    # One item a line, because git compares lines; with an indent, json would not use its encoder in C.
    stream.write(json.dumps(content, separators=(",\n", ": ")))


def _get(content: Any, key: str, separator: str) -> Any:
    try:
        return reduce(getitem, key.split(separator), content)
    except (LookupError, TypeError):
        return _search(content, key, separator=separator)


def _run(executable: str, cmd: str, **options: Any) -> None:
    stage = STAGE.fullmatch(cmd)
    if stage is None:
        return _run_in_a_shell(executable, cmd, **options)
    sys.stdout.flush()
    process = multiprocessing.get_context("fork").Process(
        target=_stage, args=(stage[1], stage[2].split(), options["cwd"], options["env"])
    )
    process.start()
    process.join()
    if process.exitcode:
        raise StageCmdFailedError(cmd, process.exitcode)
    return None


def _stage(module: str, words: list[str], folder: str, environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
