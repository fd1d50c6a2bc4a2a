"""``params.yaml`` -> :class:`Params`, with errors that name the key."""

import json
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml.error import YAMLError

from avadclip.config.base import Section
from avadclip.config.datasets import Dataset
from avadclip.config.evaluation import Evaluate, Figures, Report, Score
from avadclip.config.execution import Execution
from avadclip.config.features import Extraction
from avadclip.config.training import Compute
from avadclip.config.variants import Released, TrainedOrReleased, Variant
from avadclip.config.worlds import World
from avadclip.config.yaml_text import UnquotedError, read_yaml
from avadclip.errors import ConfigError

TAKEN_BY_STAGES = {"code": "stage `code` writes to runs/code"}
TAKEN_BESIDE_VARIANTS = {
    "encoders": "a model folder has the encoders' weights there",
    "random": "the tables have a detector that guesses",
    "videos": "metrics.json has the number of videos there",
}


class Params(Section):
    """Every number that a result depends on."""

    worlds: dict[str, World] = {}  # data sets that are rendered here
    datasets: dict[str, Dataset]
    extraction: Extraction = Extraction()
    execution: Execution = Execution()
    # Every variant is trained, scored and evaluated once per seed.
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    train: dict[str, TrainedOrReleased] = {}  # variants that learn from labels, or are imported
    distill: dict[str, Variant] = {}  # variants that also learn from a teacher
    teacher: str = "audio_visual"  # the variant of `train` that they learn from
    compute: Compute = Compute()
    score: Score = Score()
    evaluate: Evaluate = Evaluate()
    figures: Figures = Figures()
    report: Report = Report()

    def dataset(self, name: str) -> Dataset:
        """The section of one data set; :class:`ConfigError` names the known ones if there is no such section."""
        if name not in self.datasets:
            known = ", ".join(self.datasets)
            raise ConfigError(f"params.yaml: no data set {name!r} under `datasets`; there are: {known}")
        return self.datasets[name]

    def world(self, name: str) -> World:
        """The section of one rendered data set; :class:`ConfigError` names the known ones if there is none."""
        if name not in self.worlds:
            known = ", ".join(self.worlds) or "none"
            raise ConfigError(f"params.yaml: no world {name!r} under `worlds`; there are: {known}")
        return self.worlds[name]

    def variant(self, name: str) -> Variant | Released:
        """One variant of `train` or `distill`; :class:`ConfigError` names the known ones if there is no such one."""
        known = {**self.train, **self.distill}
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ConfigError(f"params.yaml: no variant {name!r} under `train` or `distill`; there are: {listed}")
        return known[name]

    def seeds_of(self, variant: str) -> tuple[int, ...]:
        """The seeds that give different detectors: an imported checkpoint does not depend on them, so one is enough."""
        return self.seeds[:1] if isinstance(self.variant(variant), Released) else self.seeds

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: {list(self.seeds)} names a seed twice, for the same detectors; remove one")
        if both := sorted(self.train.keys() & self.distill.keys()):
            raise ValueError(f"`train` and `distill` both have a variant {both[0]!r}; their checkpoints would collide")
        if self.distill and self.teacher not in self.train:
            raise ValueError(f"teacher: {self.teacher!r} is not a variant under `train`")
        known = self.train.keys() | self.distill.keys()
        scored = {*self.score.variants, *(across.variant for across in self.score.across.values())}
        if unknown := sorted(scored - known):
            raise ValueError(f"score: {unknown[0]!r} is not a variant under `train` or `distill`")
        crossed = {name for across in self.score.across.values() for name in (across.dataset, across.trained_on)}
        if unknown := sorted(crossed - self.datasets.keys()):
            raise ValueError(f"score.across: {unknown[0]!r} is not a data set under `datasets`; remove the line")
        return self

    @model_validator(mode="after")
    def _names_suit_the_graph(self) -> Self:
        for section in ("worlds", "datasets", "train", "distill"):
            check_names(section, getattr(self, section))
        check_names("score.across", self.score.across)
        for section, names, taken in (
            ("datasets", self.datasets, TAKEN_BY_STAGES),
            ("train", self.train, TAKEN_BESIDE_VARIANTS),
            ("distill", self.distill, TAKEN_BESIDE_VARIANTS),
        ):
            for name in names.keys() & taken.keys():
                raise ValueError(f"{section}: the name `{name}` is taken: {taken[name]}; choose another name")
        joined: dict[str, tuple[str, str]] = {}
        for pair in product(self.datasets, [*self.train, *self.distill]):
            if (before := joined.setdefault("-".join(pair), pair)) != pair:
                (dataset, variant), (other, of_other) = before, pair
                raise ValueError(
                    f"variant {variant!r} on {dataset!r} and {of_other!r} on {other!r} would both be DVC's"
                    f" `train@{'-'.join(pair)}`, so one of them would never be trained; rename one"
                )
        return self

    @model_validator(mode="after")
    def _roles_are_known(self) -> Self:
        """Checked if anything is scored: a page needs a detector that decides, and a test video may have no sound."""
        roles = {"detector": self.score.detector, "student": self.score.student}
        for role, variant in roles.items() if self.score.variants or self.score.across else ():
            if variant not in self.train.keys() | self.distill.keys():
                raise ValueError(f"score.{role}: {variant!r} is not a variant under `train` or `distill`")
        if self.evaluate.budget is not None and self.score.variants and self.score.detector not in self.score.variants:
            raise ValueError(
                "evaluate.alarm_threshold: a budget chooses the threshold of the detector that decides, but"
                f" {self.score.detector!r} (score.detector) is not among score.variants; add it there"
            )
        return self

    @model_validator(mode="after")
    def _student_does_without_sound(self) -> Self:
        section = {**self.train, **self.distill}.get(self.score.student)
        stated = _stated_modalities(section) if isinstance(section, Variant) else []
        if "audio" in stated:
            found = " and ".join(stated)
            raise ValueError(f"score.student: {self.score.student!r} takes {found}; expected one that takes `visual`")
        return self


def _stated_modalities(section: Variant) -> list[str]:
    """The modalities in a variant's settings; if none are given, its kind decides, see `scoring.stand_in`."""
    settings = section.model_extra or {}
    stated = settings.get("modalities", [settings["modality"]] if "modality" in settings else [])
    return stated if isinstance(stated, list) else []


def check_names(section: str, names: Iterable[str]) -> None:
    """Refuse names that cannot be part of DVC's stages and commands, or of parameter keys, which dots separate.

    Raises
    ------
    ValueError : a name with characters other than ASCII letters, digits, `_` and `-`.
    """
    for name in names:
        if re.fullmatch("[A-Za-z0-9_-]+", name) is None:
            raise ValueError(f"{section}: {name!r} is not a name for DVC; use letters, digits, `_` and `-` only")


def load(path: str | Path = "params.yaml") -> Params:
    """Read and validate a parameter file.

    Raises
    ------
    ConfigError : no such file, not YAML, an unknown key, a wrong type or a value out of range; one line for each key.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; run from the folder that holds params.yaml") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return parse(content, origin=str(path))


def parse(content: bytes | str, origin: str) -> Params:
    """The same for the text of a parameter file; `origin` is the file name for errors."""
    try:
        data = read_yaml(content)
    except UnquotedError as error:
        raise ConfigError(f"{origin}: {error}") from None
    except YAMLError as error:
        raise ConfigError(f"{origin}: not valid YAML: {' '.join(str(error).split())}") from None
    return validate(data, origin)


def validate(data: Any, origin: str) -> Params:
    """Check parameters that are already in memory; `origin` is the file name for errors."""
    try:
        # Through JSON, because only there pydantic's strict mode accepts a list as a tuple.
        return Params.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise ConfigError(told_by_key(error, origin)) from None


def told_by_key(error: ValidationError, origin: str, section: str = "") -> str:
    """One line for each key that is wrong: the file, the key (below `section`), what is expected and what was found."""
    return "\n".join(f"{origin}: {_describe(detail, section)}" for detail in error.errors())


def _describe(detail: ErrorDetails, section: str) -> str:
    key = ".".join(str(part) for part in (*filter(None, [section]), *detail["loc"])) or "the file"
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key; remove it or correct its spelling"
    if detail["type"] == "missing":
        return f"{key}: missing; add it"
    message = detail["msg"].removeprefix("Value error, ")
    # An error about several keys is clear without what was found, which would be the whole section.
    found = "" if isinstance(detail["input"], dict) else f", found {detail['input']!r}"
    return f"{key}: {message[0].lower()}{message[1:]}{found}"
