"""The real graph in a folder of its own: a clone, the real ``dvc``, and the stages that it ran."""

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
THRESHOLD = EVALUATE | FIGURES | REPORT  # the stages that run after a change of the threshold
SEE = THRESHOLD | PLAYERS
LEARN = TRAIN | DISTILL | PACKAGE | SCORE | SEE
EVERYTHING = CODE | RENDER | PREPARE | EXTRACT_VISUAL | EXTRACT_AUDIO | LEARN


def clone(folder: Path) -> Path:
    """Make a clone without git, with code, graph and parameters. No stage has been run in it."""
    for name in ("avadclip", "pipeline"):
        # Compiled modules come along (DVC ignores them), but not those that are just being written.
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    dvc(folder, "init", "--no-scm", "--quiet")
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    return folder


def dvc(folder: Path, *words: str, code: int = 0) -> str:
    """Run ``dvc <words>`` and return what it prints."""
    return command(folder, "dvc", *words, code=code)


def avadclip(folder: Path, *words: str, code: int = 0) -> str:
    """Run ``avadclip <words>`` with the code in this folder and return what it prints."""
    return command(folder, "avadclip", *words, code=code)


def command(folder: Path, program: str, *words: str, code: int = 0) -> str:
    """Run a command, which has to end with this exit code, and return what it prints."""
    ended, output = run(folder, program, *words)
    assert ended == code, output
    return output


def run(folder: Path, program: str, *words: str, **environment: str) -> tuple[int, str]:
    """Run ``dvc``, ``avadclip`` or a module, and return its exit code and what it prints."""
    # The stages have to find this interpreter, however the tests were started, and the clone's code.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DVC_ROOT")}
    given = inherited | {"PATH": search, "COLUMNS": "200"} | environment
    with tempfile.TemporaryFile("w+") as out:
        ended = warm.run(warm.start(), program, words, str(folder), given, out.fileno())
        out.seek(0)
        return ended, out.read()


def repro(folder: Path, *words: str) -> set[str]:
    """Run ``dvc repro``, and return the stages that it ran."""
    return ran(dvc(folder, "repro", *words))


def ran(output: str) -> set[str]:
    """Return the stages that ``dvc repro`` says it ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def keep_the_pair(params: Any) -> None:
    """Keep only the paper's detector and its visual student, so that there are fewer stages to wait for."""
    params["train"] = {"audio_visual": params["train"]["audio_visual"]}
    params["distill"] = {"visual_student": params["distill"]["visual_student"]}
    params["score"] |= {"variants": list(PAIR), "detector": PAIR[0], "student": PAIR[1]}


def of_the_pair(stages: set[str]) -> set[str]:
    """Return those of the stages that run in a project after :func:`keep_the_pair`."""
    others = {f"-{variant}-" for variant in set(VARIANTS) - set(PAIR)}
    return {stage for stage in stages if not any(other in stage for other in others)}


def quicken(params: Any, dataset: str = "demo", **recipe: Any) -> None:
    """Let every variant train on a data set as on the demo world, except for these keys of the recipe."""
    for variant in (*params["train"].values(), *params["distill"].values()):
        own = variant.get("on", {}).get("demo", {})
        variant["on"] = {dataset: own | {"recipe": own.get("recipe", {}) | recipe}}


def read_params(folder: Path) -> Any:
    """Read ``params.yaml`` as plain data."""
    return YAML(typ="safe").load(folder / "params.yaml")


def write_params(folder: Path, params: Any) -> None:
    """Write ``params.yaml``."""
    write_yaml(folder / "params.yaml", params)


def write_yaml(path: Path, content: Any) -> None:
    """Write plain data as YAML."""
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
