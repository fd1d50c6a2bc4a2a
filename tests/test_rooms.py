"""The subpackages, here called rooms: imports point downwards, and no module lies outside a room unless listed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "avadclip"

# Top-level files that every room may import. No room may import `cli` and `__init__`.
EVERYBODYS = {"errors", "io", "hdf5", "paths", "progress", "pulse", "workers", "device", "scripting"}

# Room -> the rooms, or modules of rooms, that it may import. All stand before it in this table, so there is no cycle.
ROOMS: dict[str, set[str]] = {
    "config": set(),
    "recipes": {"config"},
    "media": set(),
    "datasets": {"config"},
    "encoders": {"config"},
    "store": {"config", "datasets"},
    "cluster": {"config"},
    "extraction": {"config", "media", "datasets", "encoders", "store", "cluster"},
    "detectors": {"config", "encoders", "store"},
    "graph": {"config"},
    "training": {"config", "datasets", "store", "detectors", "graph"},
    "scoring": {"config", "datasets", "store", "cluster", "detectors"},
    "evaluation": {  # no torch
        *("config", "datasets", "detectors.alarm_score", "detectors.calibration"),
        *("scoring.scores", "scoring.stand_in"),
    },
    "tables": {"config", "detectors.alarm_score", "scoring.scores", "evaluation"},  # no torch
    "prediction": {
        *("config", "media", "datasets", "encoders", "store"),
        *("extraction", "detectors", "scoring", "evaluation"),
    },
    "report": {"config", "media", "datasets", "detectors.alarm_score", "scoring.scores", "evaluation", "prediction"},
    "interop": {"media", "config", "recipes", "datasets", "encoders", "store", "detectors", "prediction.naming"},
    "pretraining": {"config", "datasets", "encoders", "store", "extraction", "training"},
    "demo": {"config", "media", "encoders", "pretraining"},
    "commands": {
        *("config", "recipes", "media", "datasets", "encoders", "store", "cluster", "extraction", "detectors"),
        *("training", "scoring", "evaluation", "tables", "prediction", "report", "interop", "pretraining"),
    },
}


def imports(module: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that a module imports from this repository, also inside functions."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (
            (node.lineno, name)
            for name in names
            if name.split(".")[0] in ("avadclip", "pipeline", "tests", "benchmarks")
        )


def forbidden(modules: list[Path], allowed: set[str]) -> list[str]:
    """List where the modules import from this repository something that is in none of the `allowed` places."""
    return [
        f"{module.relative_to(PACKAGE.parent)}:{line}: {name}"
        for module in modules
        for line, name in imports(module)
        if not any(f"{name}.".startswith(f"avadclip.{place}.") for place in allowed)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_its_row_names(room: str) -> None:
    assert forbidden(sorted((PACKAGE / room).rglob("*.py")), ROOMS[room] | EVERYBODYS | {room}) == []


def test_what_everybody_uses_knows_no_room() -> None:
    assert forbidden([PACKAGE / f"{name}.py" for name in sorted(EVERYBODYS)], EVERYBODYS) == []


def test_the_command_line_imports_rooms() -> None:
    assert forbidden([PACKAGE / "cli.py"], ROOMS.keys() | EVERYBODYS) == []


def test_the_table_has_one_direction() -> None:
    names = list(ROOMS)
    for position, (room, allowed) in enumerate(ROOMS.items()):
        assert {place.split(".")[0] for place in allowed} <= set(names[:position]), (
            f"{room}: of what it may import, not everything stands above it"
        )


def test_every_module_is_in_a_room_or_everybodys() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == EVERYBODYS | {"cli", "__init__"}
    assert {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*/*.py")} == set(ROOMS)
