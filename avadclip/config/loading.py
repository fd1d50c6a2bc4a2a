"""``params.yaml`` -> :class:`Params`, with errors that name the key."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from avadclip.config.base import Section
from avadclip.config.datasets import Dataset
from avadclip.config.features import Extraction
from avadclip.errors import ConfigError


class Params(Section):
    """Every number that a result depends on."""

    datasets: dict[str, Dataset]
    extraction: Extraction = Extraction()

    def dataset(self, name: str) -> Dataset:
        """The section of one data set; :class:`ConfigError` names the known ones if there is no such section."""
        if name not in self.datasets:
            known = ", ".join(self.datasets)
            raise ConfigError(f"params.yaml: no data set {name!r} under `datasets`; there are: {known}")
        return self.datasets[name]


def load(path: str | Path = "params.yaml") -> Params:
    """Read and validate a parameter file.

    Raises
    ------
    ConfigError : no such file, no YAML, an unknown key, a wrong type or a value out of range; one line for each key.
    """
    path = Path(path)
    try:
        # YAML 1.2, as DVC reads it: `1e-5` is a number and `no` is a word.
        data = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; run from the folder that holds params.yaml") from None
    except YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return validate(data, origin=str(path))


def validate(data: Any, origin: str) -> Params:
    """Check parameters that are already in memory; `origin` is the file name that errors are to show."""
    try:
        # Through JSON, because pydantic's strict mode takes a list for a tuple only there.
        return Params.model_validate_json(json.dumps(data))
    except ValidationError as error:
        lines = [f"{origin}: {_describe(detail)}" for detail in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _describe(detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"]) or "the file"
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key; remove it or correct its spelling"
    if detail["type"] == "missing":
        return f"{key}: missing; add it"
    return f"{key}: {detail['msg'][0].lower()}{detail['msg'][1:]}, found {detail['input']!r}"
