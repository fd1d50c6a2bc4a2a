"""Recipes to paste into params.yaml, pinned to published numbers.

A file here is a data set, for ``datasets:``; one in ``detectors/`` has variants, for ``train:``; one in ``tables/`` has
the variants of tables of the paper.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from ruamel.yaml import YAML

from avadclip import config
from avadclip.config.editing import edited, replace
from avadclip.errors import ConfigError
from avadclip.recipes import second_world

FOLDER = Path(__file__).parent
DETECTORS = FOLDER / "detectors"
# Table of the paper -> its file in ``tables/``; some tables differ only in the data set.
TABLES = {
    **dict.fromkeys(("table_i", "table_ii", "table_iii", "table_iv"), "members"),
    "table_v": "across",
    "table_vi": "modules",
    "table_vii": "fusion",
    **dict.fromkeys(("table_viii", "table_ix"), "distillation"),
}


def names() -> list[str]:
    """The data sets that :func:`read` and :func:`add` know, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def detector_names() -> list[str]:
    """The sets of variants that :func:`read` and :func:`add_detectors` know, sorted."""
    return sorted(path.stem for path in DETECTORS.glob("*.yaml"))


def read(name: str, margin: str = "  ") -> str:
    """The block of one recipe, to be pasted below ``datasets:`` or ``train:``; `margin` is put before its lines.

    Raises
    ------
    ConfigError : no such recipe.
    """
    known = dict.fromkeys(names(), FOLDER) | dict.fromkeys(detector_names(), DETECTORS)
    known |= dict.fromkeys(TABLES, FOLDER / "tables")
    if name not in known:
        raise ConfigError(f"no recipe {name!r}; there are: {', '.join(known)}")
    path = known[name] / f"{TABLES.get(name, name)}.yaml"
    return indent(path.read_text(encoding="utf-8"), margin)


def add(name: str, params: Path) -> None:
    """Paste a recipe into a parameter file, below ``datasets:``; nothing else in the file changes.

    Raises
    ------
    ConfigError : no such recipe, the file has that data set already, or its ``datasets:`` is not on a line of its own.
        The file is left as it was.
    """
    if name in config.load(params).datasets:
        raise ConfigError(f"{params}: datasets.{name} exists already; remove it first")
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
            f"{params}: left as it was, because with the recipe it would not be valid ({error}); {by_hand}"
        ) from None


def add_detectors(name: str, params: Path) -> list[str]:
    """Add the variants of a recipe to ``train:`` and ``score.variants``; return those that are new.

    A variant with the same name stays as it is.

    Raises
    ------
    ConfigError : no such recipe, or the parameter file cannot be used; it is left as it was.
    """
    blocks = YAML().load(read(name, margin=""))
    with edited(params) as content:
        train, scored = content.setdefault("train", {}), content.setdefault("score", {}).setdefault("variants", [])
        new = [variant for variant in blocks if variant not in train]
        for variant in new:
            train[variant] = blocks[variant]
        scored.extend(variant for variant in new if variant not in scored)
        second_world.share_settings(content)
    return new


def _margin(lines: Sequence[str]) -> str:
    """The indentation of the first entry of a section."""
    entry = next(line for line in lines if line.split("#")[0].strip())
    return entry[: len(entry) - len(entry.lstrip(" "))]
