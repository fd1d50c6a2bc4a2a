"""The real ``dvc``, without what its tests would only wait for.

For every stage DVC reads and writes all of ``dvc.lock``, with a parser that remembers comments and an emitter in
Python: most of what a ``dvc repro`` of stubs takes. Here it writes JSON, which is YAML, too, and parses a text once.

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
from functools import cache
from typing import Any, TextIO

import dvc.stage.run as stage_run
from dvc.stage.exceptions import StageCmdFailedError
from dvc.utils.serialize import _yaml

STAGE = re.compile(r"python -m (pipeline\.\w+)((?: [\w.-]+)*)")

_run_in_a_shell = stage_run._run


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


_parse = _yaml.parse_yaml


@cache
def _parsed(text: str, path: str) -> bytes:
    try:
        content = json.loads(text)
    except ValueError:
        content = _parse(text, path)
    return pickle.dumps(content)


def _load(text: str, path: Any, typ: str = "safe") -> Any:
    return pickle.loads(_parsed(text, str(path)))


def _dump(content: Any, stream: TextIO) -> None:
    json.dump(content, stream, indent=1)


_yaml.parse_yaml = _yaml.parse_yaml_for_update = _load
_yaml._dump = _dump
stage_run._run = _run
