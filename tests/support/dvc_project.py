"""The real graph in a folder of its own: a clone, the real ``dvc``, and which stages it ran."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support import warm

ROOT = Path(__file__).parents[2]

# The stages of the shipped graph, as DVC names them.
TRAINED = ("audio_visual", "visual_baseline", "ensemble", "visual_ensemble")
TAUGHT = ("visual_student", "audio_student")
VARIANTS = TRAINED + TAUGHT
PAIR = ("audio_visual", "visual_student")
RENDER, PREPARE = {"render@demo"}, {"prepare@demo"}
EXTRACT_VISUAL, EXTRACT_AUDIO = {"extract_visual@demo"}, {"extract_audio@demo"}
CODE = {"code"}
TRAIN = {f"train@demo-{variant}-0" for variant in TRAINED}
DISTILL = {f"distill@demo-{variant}-0" for variant in TAUGHT}
SCORE = {f"score@demo-{variant}-0" for variant in VARIANTS}
PACKAGE = {"package@demo"}
EVALUATE, FIGURES, PLAYERS, REPORT = {"evaluate@demo"}, {"figures@demo"}, {"players@demo"}, {"report@demo"}
THRESHOLD = EVALUATE | FIGURES | REPORT  # what a new threshold runs
SEE = THRESHOLD | PLAYERS
LEARN = TRAIN | DISTILL | PACKAGE | SCORE | SEE
EVERYTHING = CODE | RENDER | PREPARE | EXTRACT_VISUAL | EXTRACT_AUDIO | LEARN


def clone(folder: Path) -> Path:
    """What git would bring, without git: code, graph and parameters. Nothing has been run there."""
    for name in ("avadclip", "pipeline"):
        # With what is compiled already, which DVC ignores, but for what is just being compiled.
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    dvc(folder, "init", "--no-scm", "--quiet")
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    return folder


def dvc(folder: Path, *words: str, code: int = 0) -> str:
    """What ``dvc <words>`` prints."""
    return command(folder, "dvc", *words, code=code)


def avadclip(folder: Path, *words: str, code: int = 0) -> str:
    """What ``avadclip <words>`` of the code in this folder prints."""
    return command(folder, "avadclip", *words, code=code)


def command(folder: Path, program: str, *words: str, code: int = 0) -> str:
    """What a command prints that has to end with this code."""
    ended, output = run(folder, program, *words)
    assert ended == code, output
    return output


def run(folder: Path, program: str, *words: str, **environment: str) -> tuple[int, str]:
    """How ``dvc``, ``avadclip`` or a module ends, and what it prints."""
    # The stages have to find this interpreter, whichever way the tests were started, and the clone's code.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DVC_ROOT")}
    given = inherited | {"PATH": search, "COLUMNS": "200"} | environment
    with tempfile.TemporaryFile("w+") as out:
        ended = warm.run(warm.start(), program, words, str(folder), given, out.fileno())
        out.seek(0)
        return ended, out.read()


def repro(folder: Path, *words: str) -> set[str]:
    """Run what has to be run; the stages that did anything."""
    return ran(dvc(folder, "repro", *words))


def ran(output: str) -> set[str]:
    """The stages that ``dvc repro`` says it ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def keep_the_pair(params: Any) -> None:
    """Only the paper's detector and its visual student: fewer stages to wait for."""
    params["train"] = {"audio_visual": params["train"]["audio_visual"]}
    params["distill"] = {"visual_student": params["distill"]["visual_student"]}
    params["score"] |= {"variants": list(PAIR), "detector": PAIR[0], "student": PAIR[1]}


def of_the_pair(stages: set[str]) -> set[str]:
    """Those that run in a project after :func:`keep_the_pair`."""
    others = {f"-{variant}-" for variant in set(VARIANTS) - set(PAIR)}
    return {stage for stage in stages if not any(other in stage for other in others)}


def quicken(params: Any, dataset: str = "demo", **recipe: Any) -> None:
    """Train every variant on a data set as on the demo world, but for these keys of the recipe."""
    for variant in (*params["train"].values(), *params["distill"].values()):
        own = variant.get("on", {}).get("demo", {})
        variant["on"] = {dataset: own | {"recipe": own.get("recipe", {}) | recipe}}


def read_params(folder: Path) -> Any:
    """``params.yaml`` as plain data."""
    return YAML(typ="safe").load(folder / "params.yaml")


def write_params(folder: Path, params: Any) -> None:
    """Write ``params.yaml``."""
    write_yaml(folder / "params.yaml", params)


def write_yaml(path: Path, content: Any) -> None:
    """Write plain data."""
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(content, file)


def change(folder: Path, key: str, value: object) -> None:
    """Set one key of ``params.yaml``, with dots between the sections, to a value that it did not have."""
    params = read_params(folder)
    *sections, last = key.split(".")
    section = params
    for name in sections:
        section = section[name]
    assert section.get(last) != value, f"{key} is {value} already"
    section[last] = value
    write_params(folder, params)
