"""The interface of a detector: a batch goes in, scores and named loss terms come out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from avadclip.config.features import Modality
from avadclip.detectors import settings as detector_settings
from avadclip.errors import CheckpointError

if TYPE_CHECKING:
    from avadclip.detectors.parts.text import TextTower


@dataclass(frozen=True)
class Batch:
    """Features of b videos (or windows of videos), padded with zeros to n positions.

    If the views of a video are one sample, its `n_views` rows are consecutive, and b counts rows.
    """

    visual: Tensor | None  # float32 [b, n, visual width]; None if no detector in use needs it
    audio: Tensor | None  # float32 [b, n, audio width]
    audio_valid: Tensor | None  # bool [b, n]; False: this snippet has no sound, or is padding
    n_snippets: Tensor  # int64 [b], 1 ... n
    n_views: int = 1

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device."""
        visual, audio, valid = (
            None if x is None else x.to(device) for x in (self.visual, self.audio, self.audio_valid)
        )
        return Batch(visual, audio, valid, self.n_snippets.to(device), self.n_views)

    @property
    def valid(self) -> Tensor:
        """Bool [b, n]: which positions are snippets and not padding."""
        features = self.visual if self.visual is not None else self.audio
        assert features is not None
        return torch.arange(features.shape[1], device=features.device) < self.n_snippets[:, None]


@dataclass(frozen=True)
class LabelledBatch:
    """Features with their labels."""

    batch: Batch
    labels: Tensor  # float32 [b, C], 1 for every class of the video; column 0 is `normal`
    # Float32 [b, n]: the share of a position that is in a segment; -1 in a video without segments. None: not used.
    anomalous_share: Tensor | None = None

    def to(self, device: torch.device | str) -> "LabelledBatch":
        """The same on a device."""
        share = None if self.anomalous_share is None else self.anomalous_share.to(device)
        return LabelledBatch(self.batch.to(device), self.labels.to(device), share)


@dataclass(frozen=True)
class Targets:
    """What a detector should learn from a batch.

    Attributes
    ----------
    labels : float32 [b, C], 1 for every class of the video; column 0 is `normal`.
    teacher : output of a frozen detector for the same batch: another variant (distillation), or this detector at the
        end of its last phase (pseudo labels). None without a teacher.
    """

    labels: Tensor
    teacher: Any = None


@dataclass(frozen=True)
class Scores:
    """Scores of each position in float32; those after the end of a video have no meaning."""

    anomaly: Tensor  # [b, n], 0..1
    class_probabilities: Tensor | None = None  # [b, n, C]; None if it names no classes
    uncertainty: Tensor | None = None  # [b, n], any number, higher is less certain; None if it has none


@dataclass(frozen=True)
class Dimensions:
    """Sizes that come from videos, features, classes and CLIP, not from the settings."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    widths: dict[Modality, int]  # features per snippet
    n_classes: int
    max_snippets: int  # positions of a training sample
    # Of CLIP's text tower; 0 if the detector does not need one.
    embedding_width: int = 0  # of a class embedding, and so of the features that are compared with it
    text_width: int = 0  # of a token
    context_length: int = 0  # tokens that it can read
    snippet_seconds: Annotated[float, Field(gt=0)] = 1.0  # from one snippet to the next, in the median training video


@dataclass(frozen=True)
class Needs:
    """What the training of a detector needs."""

    modalities: tuple[Modality, ...]
    text_tower: bool = False  # CLIP's, which is loaded only if needed
    teacher: bool = False  # a trained detector that gives features, see `Targets.teacher`
    privileged: tuple[Modality, ...] = ()  # used in training, but not afterwards


@dataclass(frozen=True)
class Testing:
    """How a trained detector is given a video."""

    window: int | None = None  # snippets; longer videos are cut into windows. None: the whole length at once
    views: Literal["first", "mean"] = "first"  # only the centre, or scores averaged over all views


class Detector(nn.Module, ABC):
    """Base class of all detectors. Each file of this package has one subclass, and its name is the `kind`.

    Parameters
    ----------
    settings : an instance of the class's own `Settings`.
    dimensions : of features, classes and text tower.
    tower : the text tower with the class names, if `needs` asks for it; None for a detector that only scores, with
        weights that are loaded.
    """

    Settings: ClassVar[type[detector_settings.Settings]]

    def __init__(
        self, settings: detector_settings.Settings, dimensions: Dimensions, tower: "TextTower | None" = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.dimensions = dimensions

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """What a detector with these settings needs; by default the modalities that they name, and nothing else."""
        return Needs(settings.modalities)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The features that it uses."""
        return self.needs(self.settings).modalities

    @property
    def testing(self) -> Testing:
        """How it is tested; by default on the whole length, averaged over the views, as is usual."""
        return Testing(views="mean")

    @abstractmethod
    def forward(self, batch: Batch) -> Any:
        """A frozen dataclass of the detector's own, which only the detector itself reads."""

    @abstractmethod
    def losses(self, output: Any, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Named loss terms, not yet weighted: scalars in float32."""

    @abstractmethod
    def scores(self, output: Any, batch: Batch) -> Scores:
        """The scores in `output`."""

    # The following methods may be overridden.

    def confidences(self, output: Any, batch: Batch) -> Tensor:
        """What learns from segments of training videos: [b, n, any], each 0..1; by default the anomaly score.

        Override it if alarms also depend on something else, or if the score is a mean over several.
        """
        return self.scores(output, batch).anomaly[..., None]

    def n_positions(self, longest: int) -> int:
        """The number of positions to which a batch must be padded if its longest video has `longest` snippets."""
        return longest

    @property
    def padding_matters(self) -> bool:
        """Whether the amount of padding changes scores, as it does in some released code."""
        return False

    def parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Trainable parameters by the name under which ``recipe.optimizer.groups`` sets their learning rate."""
        return {"all": [parameter for parameter in self.parameters() if parameter.requires_grad]}

    def observe(self, samples: Iterable[LabelledBatch]) -> None:
        """Called once with the training samples, before the first step of the first phase."""

    def after_round(self, finished: int) -> None:
        """Called after each round of training; `finished` is their number so far."""

    def inference_state(self) -> dict[str, Tensor]:
        """What a checkpoint contains: all that scoring needs, by name; a part of :meth:`state_dict`."""
        return self.state_dict()

    def joined_snippets(self, batch: Batch) -> Tensor:
        """Features [b, n, sum of widths] of all modalities that it uses, concatenated."""
        parts = [self.snippets(batch, modality) for modality in self.modalities]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def snippets(self, batch: Batch, modality: Modality) -> Tensor:
        """Features [b, n, width] of one modality; zero where there is no sound.

        Raises
        ------
        CheckpointError : they are absent, or of another width than the detector was built for.
        """
        features = batch.visual if modality == "visual" else batch.audio
        if features is None:
            raise CheckpointError(f"this detector needs {modality} features and got none; it uses {self.modalities}")
        width = features.shape[2]
        if width != self.dimensions.widths[modality]:
            expected = f"this detector was built for {modality} features of width {self.dimensions.widths[modality]}"
            raise CheckpointError(f"{expected}, found {width}; use the encoder that it was trained with")
        if modality == "audio" and batch.audio_valid is not None:
            features = features * batch.audio_valid[:, :, None]
        return features
