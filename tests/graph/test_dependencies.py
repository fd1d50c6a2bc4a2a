"""DVC learns which code each stage runs: the lists are complete, and every stage depends on its list."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from avadclip import config
from avadclip.graph.code import code_files, hashes, kind_module
from avadclip.graph.imports import closure

ROOT = Path(__file__).parents[2]
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
FILES = code_files(config.load(ROOT / "params.yaml"))


def body(stage: str) -> dict[str, Any]:
    return STAGES[stage].get("do", STAGES[stage])


def script(stage: str) -> Path:
    """The script that a stage runs."""
    found = re.match(r"python -m pipeline\.(\w+)", body(stage)["cmd"])
    assert found is not None, stage
    return ROOT / "pipeline" / f"{found[1]}.py"


@pytest.mark.parametrize("stage", sorted(set(STAGES) - {"code"}))
def test_every_stage_depends_on_the_file_of_its_code(stage: str) -> None:
    (dependency,) = [dep for dep in body(stage)["deps"] if dep.startswith("runs/code/")]
    names = [name.partition(".")[0] for name in FILES]
    assert Path(dependency).name.partition(".")[0] in names
    assert Path(dependency).name.partition(".")[0] == script(stage).stem


def test_every_stage_has_a_script_and_every_script_a_stage() -> None:
    scripts = {path.stem for path in (ROOT / "pipeline").glob("*.py")} - {"__init__"}
    assert scripts == {script(stage).stem for stage in STAGES}


LOADED = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("avadclip", "pipeline")]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prepare", "extract_visual", "train.audio_visual", "score.visual_student", "report"])
def test_what_python_really_loads_is_among_it(name: str) -> None:
    """Compared with sys.modules after the import. The list has more: what functions import when they run."""
    stage, _, variant = name.partition(".")
    modules = [f"pipeline.{stage}"]
    if variant:
        section = config.load(ROOT / "params.yaml").variant(variant)
        modules.append(f"avadclip.detectors.{section.kind}")
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *modules], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {Path(file).relative_to(ROOT).as_posix() for file in json.loads(done.stdout) if file is not None}
    top = {"avadclip/__init__.py", "pipeline/__init__.py"}
    assert loaded - FILES[name].keys() - top == set()


@pytest.mark.parametrize(
    ("name", "has", "has_not"),
    [
        ("train.audio_visual", "avadclip/detectors/audio_visual.py", "avadclip/detectors/student.py"),
        ("train.audio_visual", "avadclip/training/loop.py", "avadclip/scoring/run.py"),
        ("distill.audio_student", "avadclip/detectors/student.py", "avadclip/detectors/vadclip.py"),
        ("distill.audio_student", "avadclip/detectors/audio_visual.py", "avadclip/detectors/deep_mil.py"),  # teacher
        ("score.visual_student", "avadclip/detectors/student.py", "avadclip/detectors/audio_visual.py"),
        ("report", "avadclip/report/assets/page.html", "avadclip/training/loop.py"),
        ("report", "avadclip/report/footage.py", "avadclip/media/__init__.py"),  # a changed threshold decodes nothing
        ("players", "avadclip/media/audio.py", "avadclip/report/assets/page.html"),
        ("players", "avadclip/evaluation/detectors.py", "avadclip/evaluation/metrics.py"),
        ("figures", "avadclip/evaluation/timeline.py", "avadclip/media/__init__.py"),
        ("evaluate", "avadclip/scoring/scores.py", "avadclip/detectors/registry.py"),
        ("prepare", "avadclip/media/probe.py", "avadclip/encoders/clip.py"),
    ],
)
def test_what_a_stage_runs_and_what_not(name: str, has: str, has_not: str) -> None:
    assert has in FILES[name]
    assert has_not not in FILES[name]


def test_closure_of_a_small_project(tmp_path: Path) -> None:
    files = {
        "pipeline/go.py": "from lib import a\n\ndef f():\n    import lib.late\n",
        "lib/__init__.py": "",
        "lib/a.py": "import numpy\nfrom .b import x\nif TYPE_CHECKING:\n    import lib.c",
        "lib/b.py": """from lib.deep import d as x
class C:
    try:
        import lib.body
    except* E:
        import lib.handler
    finally:
        import lib.last
for _ in x:
    with x:
        import lib.block
else:
    match x:
        case 1:
            import lib.case
""",
        **{f"lib/{name}.py": "" for name in ("body", "handler", "last", "block", "case")},
        "lib/c.py": "",
        "lib/late.py": "",
        "lib/unused.py": "",
        "lib/data.json": "{}",
        "lib/assets/page.html": "",
        "lib/deep/__init__.py": "",
        "lib/deep/d.py": "import lib.a",  # a circular import
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = closure([tmp_path / "pipeline/go.py"], tmp_path)
    assert {file.relative_to(tmp_path).as_posix() for file in found} == files.keys() - {"lib/c.py", "lib/unused.py"}


def test_kinds_of_ones_own_count_where_they_are_part_of_the_project() -> None:
    assert kind_module("deep_mil") == ROOT / "avadclip/detectors/deep_mil.py"
    assert kind_module("tests.support.toy_detectors") == ROOT / "tests/support/toy_detectors.py"
    assert kind_module("json.decoder") is None
    assert kind_module("nothing") is kind_module("nothing.at_all") is None
    assert "avadclip/detectors/parts/losses.py" in hashes(ROOT / "tests/support/toy_detectors.py")
