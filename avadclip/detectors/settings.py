"""The settings that all detectors share: the recipe of training. Without torch.

A detector's own file derives its settings from :class:`Settings`; the defaults there are the published architecture
*and* recipe of that system, so that ``kind: <name>`` alone trains it as its authors did.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from avadclip.config.base import Section
from avadclip.config.variants import merged

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

CalibrationMethod = Literal["none", "temperature", "platt", "isotonic"]

SEGMENTS = "segments"  # the loss term that every detector can have, see avadclip.training.segments


class Bag(Section):
    """How a video of any length becomes a training sample; see :mod:`avadclip.training.bags`."""

    kind: Literal["shorten", "resample", "pick", "blocks"] = "shorten"
    length: Count = 256  # snippets; of `blocks`: blocks
    block_snippets: Count = 1  # consecutive snippets of a block; used by `blocks` alone


class Optimizer(Section):
    """The optimiser of torch with this name."""

    name: Literal["adamw", "adam", "adagrad", "sgd"] = "adamw"
    learning_rate: Positive = 1e-5
    weight_decay: NotNegative = 0.01
    momentum: Share = 0.0  # used by `sgd` alone
    # Parameter group (defined by the detector) -> its own values of `learning_rate` and `weight_decay`.
    groups: dict[str, dict[Literal["learning_rate", "weight_decay"], NotNegative]] = {}


class Schedule(Section):
    """The factor of the learning rate in each round, counted from 1."""

    kind: Literal["constant", "milestones", "cosine"] = "constant"
    milestones: tuple[Count, ...] = ()  # rounds after which the rate falls; used by `milestones` alone
    gamma: Positive = 0.1  # by this factor
    cosine_rounds: Count | None = None  # rounds in which `cosine` falls to 0; null: all that are trained
    warm_up_rounds: Annotated[int, Field(ge=0)] = 0  # the rate rises linearly to its full value in the last of them

    @model_validator(mode="after")
    def _milestones_rise(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("`milestones` must rise")
        return self


class Augment(Section):
    """How a training batch is changed before the detector sees it; see :mod:`avadclip.training.augmentation`."""

    feature_noise: NotNegative = 0.0  # Gaussian; 1 is the root mean square of the features of that modality
    feature_dropout: Share = 0.0  # probability that a feature of a snippet is set to zero; the others are scaled up
    modality_dropout: Share = 0.0  # probability that a video with both modalities loses one of them
    mix_normal: Share = 0.0  # probability that a run of a normal video is overwritten by a run of another


class Recipe(Section):
    """How a detector is trained. A round is a pass over the samples, or `steps_per_round` steps."""

    rounds: Count = 10
    steps_per_round: Count | None = None  # null: every sample once, and again until there are `least_steps`
    # Of a round that is a pass, so that few videos are not trained for too short; not written into files if it is 1.
    least_steps: Annotated[Count, Field(exclude_if=lambda steps: steps == 1)] = 1
    phases: Count = 1  # how often `rounds` are trained; each phase is taught by the result of the one before
    batches: Literal["mixed", "pairs"] = "mixed"  # pairs: as many normal as anomalous samples in each batch
    batch_size: Count = 96  # samples; of `pairs`: of each sort
    bag: Bag = Bag()
    augment: Augment = Augment()
    views: Literal["separate", "together"] = "separate"  # each view of a video is a sample, or all of them are one
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    gradient_norm: Positive | None = None  # the gradients, taken together, are scaled down to this norm
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast
    loss_weights: dict[str, NotNegative] = {}
    average_rounds: Annotated[int, Field(ge=0)] = 0  # last rounds of a phase, whose mean weights it ends with; 0: none
    # How scores are calibrated, see avadclip.detectors.calibration; not written into files if they are not.
    calibrate: Annotated[CalibrationMethod, Field(exclude_if=lambda method: method == "none")] = "none"

    def n_steps(self, n_batches: int) -> int:
        """Steps of a round, where a pass over the samples is `n_batches`."""
        return self.steps_per_round or max(n_batches, self.least_steps)

    @property
    def learns_from_segments(self) -> bool:
        """Whether the segments of training videos may be read."""
        return self.loss_weights.get(SEGMENTS, 0.0) > 0


class Settings(Section):
    """Base class of the settings of all detectors. A partial `recipe` overrides only its own keys of the default."""

    recipe: Recipe = Recipe()

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Settings from the plain data of params.yaml; :class:`pydantic.ValidationError` if they are wrong."""
        default: Recipe = cls.model_fields["recipe"].get_default()
        whole = merged({"recipe": default.model_dump(mode="json")}, values)
        return cls.model_validate_json(json.dumps(whole))  # strict mode takes a list for a tuple only from JSON
