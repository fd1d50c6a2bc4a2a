"""Recipes of the published data sets: a block each for ``datasets:`` in params.yaml, pinned to the paper's numbers."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from avadclip import config
from avadclip.config.editing import replace
from avadclip.errors import ConfigError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """What :func:`read` and :func:`add` know, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str, margin: str = "  ") -> str:
    """The block of one recipe, to be pasted below ``datasets:``, where entries stand `margin` from the left.

    Raises
    ------
    ConfigError : no such recipe.
    """
    if name not in names():
        raise ConfigError(f"no recipe {name!r}; there are: {', '.join(names())}")
    return indent((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), margin)


def add(name: str, params: Path) -> None:
    """Paste a recipe into a parameter file, below ``datasets:``; nothing else in the file changes.

    Raises
    ------
    ConfigError : no such recipe, the file has that data set already, or its ``datasets:`` stands on no line of its own.
        The file is left as it was.
    """
    if name in config.load(params).datasets:
        raise ConfigError(f"{params}: datasets.{name} is there already")
    lines = params.read_bytes().decode("utf-8").splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.split("#")[0].rstrip() == "datasets:"]
    by_hand = f"paste the block of `avadclip recipe {name}` by hand"
    if not places:
        raise ConfigError(f"{params}: no line `datasets:`; {by_hand}")
    below = places[0] + 1
    lines.insert(below, read(name, _margin(lines[below:])) + "\n")
    try:
        replace(params, "".join(lines))
    except ConfigError as error:
        raise ConfigError(
            f"{params}: left as it was, since with the recipe it would not be valid ({error}); {by_hand}"
        ) from None


def _margin(lines: Sequence[str]) -> str:
    """What stands before the first entry of a section that holds some."""
    entry = next(line for line in lines if line.split("#")[0].strip())
    return entry[: len(entry) - len(entry.lstrip(" "))]
