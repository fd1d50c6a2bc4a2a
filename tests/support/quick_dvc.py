"""The real ``dvc``, without what its tests would only wait for.

For every stage DVC reads and writes all of ``dvc.lock``, with a parser that remembers comments and an emitter in
Python: most of what a ``dvc repro`` of stubs takes. Here it writes JSON, which is YAML, too, and parses a text once.
Four times a stage it notes in a file what the stage reads and writes, for commands that run in the same project at the
same time, of which there are none here. It compares each key of ``params.yaml`` that a stage follows, which may be a
pattern, with all keys of the file; here it looks up those that are none.

Every stage is a Python process that imports torch and others, for seconds. Here it is a fork of this process, which
`tests.support.warm` has let import them: with the same words, environment and folder as ``python -m pipeline.<stage>``,
and the project's own code imported anew.
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
    """What a text in YAML says, anew each time; parsed once in this process and its forks."""
    if text not in _parsed:
        try:
            content = json.loads(text)
        except ValueError:
            content = _parse(text, path)
        _parsed[text] = pickle.dumps(content)
    return pickle.loads(_parsed[text])


def _dump(content: Any, stream: TextIO) -> None:
    # In lines, which git compares; with an indent it would not be written in C.
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
