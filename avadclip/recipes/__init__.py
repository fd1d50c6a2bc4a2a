"""Recipes of the published data sets: a block each for ``datasets:`` in params.yaml, pinned to the paper's numbers."""

from pathlib import Path
from textwrap import indent

from avadclip import config
from avadclip.errors import ConfigError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Of all recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> str:
    """The block of one recipe, indented so that it can be pasted below ``datasets:``.

    Raises
    ------
    ConfigError : no such recipe.
    """
    if name not in names():
        raise ConfigError(f"no recipe {name!r}; there are: {', '.join(names())}")
    return indent((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), "  ")


def add(name: str, params: Path) -> None:
    """Paste a recipe into a parameter file, below ``datasets:``; nothing else in the file changes.

    Raises
    ------
    ConfigError : no such recipe, the file has that data set already, or its ``datasets:`` stands on no line of its own.
    """
    if name in config.load(params).datasets:
        raise ConfigError(f"{params}: datasets.{name} is there already")
    lines = params.read_text(encoding="utf-8").splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.split("#")[0].rstrip() == "datasets:"]
    if not places:
        raise ConfigError(f"{params}: no line `datasets:`; paste the block of `avadclip recipe {name}` by hand")
    lines.insert(places[0] + 1, read(name) + "\n")
    params.write_text("".join(lines), encoding="utf-8")
    config.load(params)
