"""``kind`` of a variant -> its detector. A kind is a file of this package, or a module of your own by its dotted name.

There is no list of kinds: a new file is a new kind, and no other file changes, so nothing else is trained again.
"""

import difflib
import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from avadclip.config.datasets import Dataset
from avadclip.config.loading import told_by_key
from avadclip.detectors.protocol import Detector, Dimensions, Needs
from avadclip.detectors.settings import Settings
from avadclip.errors import ConfigError

if TYPE_CHECKING:
    from avadclip.detectors.parts.text import TextTower

PACKAGE = "avadclip.detectors"
_NO_KINDS = {
    *("__init__", "alarm_score", "calibration", "checkpoint", "description", "inference"),
    *("protocol", "registry", "settings"),
}


def kinds() -> list[str]:
    """The kinds of all detectors of this package."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _NO_KINDS)


def module_of(kind: str) -> str:
    """Dotted name of the module that defines a kind."""
    return kind if "." in kind else f"{PACKAGE}.{kind}"


def member(kind: str) -> type[Detector]:
    """The class of a kind.

    Raises
    ------
    ConfigError : there is no such kind, or its module does not define exactly one detector.
    """
    name = module_of(kind)
    if kind in _NO_KINDS or not _exists(name):
        close = difflib.get_close_matches(kind, kinds(), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"no detector of kind {kind!r}; there are: {', '.join(kinds())}{hint}")
    module = importlib.import_module(name)
    own = [x for x in vars(module).values() if isinstance(x, type) and issubclass(x, Detector)]
    own = [cls for cls in own if cls.__module__ == name and not getattr(cls, "__abstractmethods__", None)]
    if len(own) != 1:
        found = ", ".join(cls.__name__ for cls in own) or "none"
        raise ConfigError(f"kind {kind!r}: {name} must define exactly one subclass of Detector, found {found}")
    return own[0]


def settings_of(kind: str, values: Mapping[str, Any], where: str = "settings") -> Settings:
    """The checked settings of a kind.

    Parameters
    ----------
    where : their section in params.yaml, for messages.

    Raises
    ------
    ConfigError : no such kind; or an unknown key, a wrong type, a value out of range: one line for each key.
    """
    try:
        cls = member(kind)
    except ConfigError as error:
        raise ConfigError(f"params.yaml: {where}.kind: {error}") from None
    try:
        return cls.Settings.checked(values)
    except ValidationError as error:
        raise ConfigError(told_by_key(error, "params.yaml", where)) from None


def needs(kind: str, settings: Settings) -> Needs:
    """What a detector needs before it can be trained."""
    return member(kind).needs(settings)


def unmet(needs: Needs, dataset: str, section: Dataset) -> str | None:
    """What a detector needs but a data set of imported features lacks; None if it can be trained there."""
    absent = [modality for modality in needs.modalities if modality not in section.modalities]
    if absent:
        return f"it takes {' and '.join(absent)} features, but {dataset!r} has none"
    if needs.text_tower and section.visual.text_tower is None:
        return (
            "it compares snippets with the names of the classes, which the text tower of a CLIP reads; name one as"
            f" datasets.{dataset}.visual.text_tower"
        )
    return None


def build(kind: str, settings: Settings, dimensions: Dimensions, tower: "TextTower | None" = None) -> Detector:
    """A detector with fresh weights (from torch's global random state), on the CPU, in training mode.

    Parameters
    ----------
    tower : CLIP's text tower with the class names; None for a detector that needs none, or only scores, with weights
        that are loaded.

    Raises
    ------
    ConfigError : no such kind; a class name with its learned vectors is too long for the tower.
    """
    return member(kind)(settings, dimensions, tower)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
