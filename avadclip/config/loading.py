"""``params.yaml`` -> :class:`Params`, with errors that name the key."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import ValidationError, WrapValidator, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml.error import YAMLError

from avadclip.config.base import Section, validated_as
from avadclip.config.datasets import Dataset
from avadclip.config.detector import AudioVisual, Modality, Released, Student
from avadclip.config.evaluation import Evaluate, Figures, Report, Score
from avadclip.config.execution import Execution
from avadclip.config.features import Extraction
from avadclip.config.training import Compute
from avadclip.config.worlds import World
from avadclip.config.yaml_text import UnquotedError, read_yaml
from avadclip.errors import ConfigError

V = TypeVar("V")


def _trained_or_released(value: Any, _: Any) -> AudioVisual | Released:
    released = "released" in value if isinstance(value, dict) else isinstance(value, Released)
    return validated_as(Released, value) if released else validated_as(AudioVisual, value)


TrainedOrReleased = Annotated[AudioVisual | Released, WrapValidator(_trained_or_released)]


class Params(Section):
    """Every number that a result depends on."""

    worlds: dict[str, World] = {}  # data sets that are rendered here
    datasets: dict[str, Dataset]
    extraction: Extraction = Extraction()
    execution: Execution = Execution()
    train: dict[str, TrainedOrReleased] = {}  # variants of detectors that learn from labels, or are imported
    distill: dict[str, Student] = {}  # variants that learn from a teacher, too
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
        """What one rendered data set is made from; :class:`ConfigError` names the known ones if there is none."""
        if name not in self.worlds:
            known = ", ".join(self.worlds) or "none"
            raise ConfigError(f"params.yaml: no world {name!r} under `worlds`; there are: {known}")
        return self.worlds[name]

    def detector(self, variant: str) -> AudioVisual | Released:
        """One variant of `train`; :class:`ConfigError` names the known ones if there is no such variant."""
        return _variant(self.train, "train", variant)

    def student(self, variant: str) -> Student:
        """One variant of `distill`; :class:`ConfigError` as for :meth:`detector`."""
        return _variant(self.distill, "distill", variant)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if both := sorted(self.train.keys() & self.distill.keys()):
            raise ValueError(f"`train` and `distill` both have a variant {both[0]!r}; their checkpoints would collide")
        if self.distill and self.teacher not in self.train:
            raise ValueError(f"teacher: {self.teacher!r} is no variant under `train`")
        known = self.train.keys() | self.distill.keys()
        scored = {*self.score.variants, *(across.variant for across in self.score.across.values())}
        if unknown := sorted(scored - known):
            raise ValueError(f"score: {unknown[0]!r} is no variant under `train` or `distill`")
        crossed = {name for across in self.score.across.values() for name in (across.dataset, across.trained_on)}
        if unknown := sorted(crossed - self.datasets.keys()):
            raise ValueError(f"score.across: {unknown[0]!r} is no data set under `datasets`; remove the line")
        return self

    @model_validator(mode="after")
    def _names_suit_the_graph(self) -> Self:
        for section in ("worlds", "datasets", "train", "distill"):
            check_names(section, getattr(self, section))
        check_names("score.across", self.score.across)
        return self

    @model_validator(mode="after")
    def _student_is_known(self) -> Self:
        """As soon as anything is scored, since a test video may be without sound."""
        is_needed = self.score.variants or self.score.across
        if is_needed and self.score.student not in self.train.keys() | self.distill.keys():
            raise ValueError(f"score.student: {self.score.student!r} is no variant under `train` or `distill`")
        return self

    @model_validator(mode="after")
    def _student_does_without_sound(self) -> Self:
        section = {**self.train, **self.distill}.get(self.score.student)
        looked_at = None if section is None else _modalities(section)
        if looked_at not in (None, ("visual",)):
            found = " and ".join(looked_at or ())
            raise ValueError(f"score.student: {self.score.student!r} takes {found}; expected one that takes `visual`")
        return self


def _modalities(section: AudioVisual | Released | Student) -> tuple[Modality, ...] | None:
    """What a variant takes in; None where only the released checkpoint says it."""
    if isinstance(section, Released):
        return None
    return (section.modality,) if isinstance(section, Student) else section.modalities


def check_names(section: str, names: Iterable[str]) -> None:
    """Names become part of DVC's stages and of their commands, and keys of parameters, where a dot separates.

    Raises
    ------
    ValueError : a name with anything else than ASCII letters, digits, `_` and `-`.
    """
    for name in names:
        if re.fullmatch("[A-Za-z0-9_-]+", name) is None:
            raise ValueError(f"{section}: {name!r} is no name for DVC; use letters, digits, `_` and `-` only")


def _variant(variants: Mapping[str, V], section: str, variant: str) -> V:
    if variant not in variants:
        known = ", ".join(variants) or "none"
        raise ConfigError(f"params.yaml: no variant {variant!r} under `{section}`; there are: {known}")
    return variants[variant]


def load(path: str | Path = "params.yaml") -> Params:
    """Read and validate a parameter file.

    Raises
    ------
    ConfigError : no such file, no YAML, an unknown key, a wrong type or a value out of range; one line for each key.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; run from the folder that holds params.yaml") from None
    return parse(content, origin=str(path))


def parse(content: bytes | str, origin: str) -> Params:
    """The same for the text of a parameter file; `origin` is the file name that errors are to show."""
    try:
        data = read_yaml(content)
    except UnquotedError as error:
        raise ConfigError(f"{origin}: {error}") from None
    except YAMLError as error:
        raise ConfigError(f"{origin}: not valid YAML: {' '.join(str(error).split())}") from None
    return validate(data, origin)


def validate(data: Any, origin: str) -> Params:
    """Check parameters that are already in memory; `origin` is the file name that errors are to show."""
    try:
        # Through JSON, because pydantic's strict mode takes a list for a tuple only there.
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
    # A contradiction between keys is told by its message; the whole section would drown it.
    found = "" if isinstance(detail["input"], dict) else f", found {detail['input']!r}"
    return f"{key}: {message[0].lower()}{message[1:]}{found}"
