"""The graph tells DVC the truth: what a stage imports is among its dependencies, what it reads among its parameters."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


def body(stage: str) -> dict[str, Any]:
    return STAGES[stage].get("do", STAGES[stage])


def script(stage: str) -> Path:
    """What the stage runs."""
    found = re.match(r"python -m pipeline\.(\w+) ", body(stage)["cmd"])
    assert found is not None, stage
    return ROOT / "pipeline" / f"{found[1]}.py"


def imported_files(module: Path, seen: set[Path] | None = None) -> set[Path]:
    """Every file of this project that `module` imports, at any depth, inside of functions too."""
    seen = set() if seen is None else seen
    for file in _direct_imports(module):
        if file not in seen:
            seen.add(file)
            imported_files(file, seen)
    return seen


def _direct_imports(module: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            yield from _files_of(name.split("."))


def _files_of(parts: list[str]) -> Iterator[Path]:
    """The file of a module, and the `__init__.py` of every package on the way below the top."""
    for depth in range(2, len(parts) + 1):
        place = ROOT.joinpath(*parts[:depth])
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def is_declared(file: Path, dependencies: list[Path]) -> bool:
    return any(file == dependency or dependency in file.parents for dependency in dependencies)


@pytest.mark.parametrize("stage", STAGES)
def test_every_imported_module_is_a_dependency(stage: str) -> None:
    dependencies = [ROOT / dep for dep in body(stage)["deps"] if isinstance(dep, str) and "$" not in dep]
    assert script(stage) in dependencies
    undeclared = {
        str(file.relative_to(ROOT)) for file in imported_files(script(stage)) if not is_declared(file, dependencies)
    }
    assert undeclared == set()


@pytest.mark.parametrize("stage", STAGES)
def test_no_dependency_on_code_that_is_not_imported(stage: str) -> None:
    imported = imported_files(script(stage))
    for dependency in body(stage)["deps"]:
        if dependency.startswith("avadclip/"):
            place = ROOT / dependency
            assert any(file == place or place in file.parents for file in imported), f"{stage}: {dependency}"


def test_every_stage_has_a_script_and_every_script_a_stage() -> None:
    scripts = {path.stem for path in (ROOT / "pipeline").glob("*.py")} - {"__init__"}
    assert scripts == {script(stage).stem for stage in STAGES}
