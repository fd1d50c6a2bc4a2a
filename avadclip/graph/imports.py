"""Which files of this project a module imports, at any depth, read from the source without running it."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path


def closure(modules: Iterable[Path], root: Path) -> set[Path]:
    """`modules` and every file of the project that they import, also inside functions.

    Parameters
    ----------
    root : folder of the project; files elsewhere are pinned by the lock file and do not count.

    Returns
    -------
    set[Path] : absolute. Files that are not modules (weights, pages, schemas) belong to the package in whose folder, or
        data folder below it, they are.
    """
    found: set[Path] = set()
    waiting = [module.resolve() for module in modules]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imported(module, root.resolve())
    return found | {data for package in {module.parent for module in found} for data in _data_of(package)}


@cache
def _imported(module: Path, root: Path) -> tuple[Path, ...]:
    names: list[str] = []
    for node in _statements(ast.parse(module.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{_absolute(node, module, root)}.{alias.name}" for alias in node.names]
    return tuple(file for name in names for file in _files_of(name, root))


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement at any depth, except what only a type checker reads."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                waiting += getattr(node, block, ())


def _absolute(node: ast.ImportFrom, module: Path, root: Path) -> str:
    if node.level == 0:
        return node.module or ""
    package = module.relative_to(root).parent.parts
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


@cache
def _files_of(name: str, root: Path) -> tuple[Path, ...]:
    """The file of a module, and the `__init__.py` of every package on the way."""
    parts = name.split(".")
    places = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return tuple(file for file in files if file.is_file())


def _data_of(package: Path) -> Iterator[Path]:
    for entry in package.iterdir():
        if entry.is_dir() and entry.name != "__pycache__" and not any(entry.glob("**/*.py")):
            yield from (file for file in entry.rglob("*") if file.is_file())
        elif entry.is_file() and entry.suffix not in (".py", ".pyc"):
            yield entry
