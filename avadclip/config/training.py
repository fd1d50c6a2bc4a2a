"""Sections ``datasets.<name>.training`` (how detectors are trained) and ``compute`` (on what)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from avadclip.config.base import Section

Positive = Annotated[float, Field(gt=0)]
Selection = Literal["validation", "last", "released_test_selected"]


class Training(Section):
    """The recipe of method.md; defaults are the released values where there are any."""

    seed: Annotated[int, Field(ge=0)] = 0
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 96  # samples; every view of a video is one
    learning_rate: Positive = 1e-5
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = (3, 6, 10)  # epochs after which the rate falls
    gamma: Positive = 0.1  # by this factor
    max_snippets: Annotated[int, Field(ge=1)] = 256  # longer videos: averaged for training, cut for testing
    selection: Selection = "validation"
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1  # of the training videos; used by `validation` only
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast
    loss_weights: dict[str, Annotated[float, Field(ge=0)]] = {"binary": 1.0, "align": 1.0, "text": 1e-4, "ukd": 1e-8}

    @model_validator(mode="after")
    def _milestones_rise(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("`milestones` must rise")
        return self


class Compute(Section):
    """What training runs on. No key here is a parameter of a result."""

    device: str = "auto"  # auto | cpu | cuda | cuda:1 ...
    memory_gib: Positive = 16.0  # more features than this are memory-mapped from a temporary file
