"""All that training and scoring know of a detector: a batch goes in, named outputs and named loss terms come out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avadclip.config.detector import Modality
from avadclip.detectors.parts.layers import silence
from avadclip.errors import CheckpointError


@dataclass(frozen=True)
class Batch:
    """Features of b videos (or 256-windows of videos), padded with zeros to n positions."""

    visual: Tensor | None  # float32 [b, n, visual width]; None where no detector in use looks at it
    audio: Tensor | None  # float32 [b, n, audio width]
    audio_valid: Tensor | None  # bool [b, n]; False: this snippet has no sound, or is padding
    n_snippets: Tensor  # int64 [b], 1 ... n

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device."""
        visual, audio, valid = (
            None if x is None else x.to(device) for x in (self.visual, self.audio, self.audio_valid)
        )
        return Batch(visual, audio, valid, self.n_snippets.to(device))

    @property
    def valid(self) -> Tensor:
        """Bool [b, n]: which positions are snippets and not padding."""
        features = self.visual if self.visual is not None else self.audio
        assert features is not None
        return torch.arange(features.shape[1], device=features.device) < self.n_snippets[:, None]


@dataclass(frozen=True)
class Targets:
    """What a batch should come out as."""

    labels: Tensor  # float32 [b, C], 1 for every class of the video; column 0 is `normal`
    teacher_features: Tensor | None = None  # float32 [b, n, d], of a trained detector on the same batch


@dataclass(frozen=True)
class DetectorOutput:
    """What a detector says about each position; positions beyond a video's length mean nothing."""

    anomaly_logits: Tensor  # [b, n], classification branch; confidence A = sigmoid
    class_logits: Tensor | None  # [b, n, C], alignment map M; class probabilities = softmax
    features: Tensor  # [b, n, d], what the branches saw; students are taught to reproduce it
    class_embeddings: Tensor | None  # [C, d], of the class prompts alone
    log_variance: Tensor | None  # [b, n, d], how unsure a student is of `features`


@dataclass(frozen=True)
class Dimensions:
    """Sizes that come from features, classes and CLIP, not from the architecture."""

    widths: dict[Modality, int]  # features per snippet
    n_classes: int
    max_snippets: int
    embedding_width: int  # of a class embedding, and so of the features that are compared with it
    text_width: int  # of a token in CLIP's text tower
    context_length: int  # tokens that the text tower can read


class Detector(nn.Module, ABC):
    """Base of every detector.

    Parameters
    ----------
    modalities : features that it looks at.
    mask_padding : whether padding is kept from influencing anything.
    """

    def __init__(self, modalities: tuple[Modality, ...], dimensions: Dimensions, mask_padding: bool) -> None:
        super().__init__()
        self.modalities = modalities
        self.dimensions = dimensions
        self.mask_padding = mask_padding

    @abstractmethod
    def forward(self, batch: Batch) -> DetectorOutput:
        """Scores of every position of every video of the batch."""

    @abstractmethod
    def losses(self, output: DetectorOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Named loss terms, not yet weighted: scalars in float32."""

    def n_positions(self, longest: int) -> int:
        """To how many positions a batch must be padded if its longest video has `longest` snippets."""
        # Where padding takes part in the computation, its amount has to be the one of training.
        return longest if self.mask_padding else self.dimensions.max_snippets

    def seen(self, batch: Batch) -> Tensor | None:
        """Bool [b, n]: positions that may influence others; None for all of them, padding included."""
        return batch.valid if self.mask_padding else None

    def heard(self, batch: Batch) -> Tensor:
        """Bool [b, n]: positions whose audio counts. Padding that takes part counts as silence, not as no sound."""
        assert batch.audio_valid is not None
        return batch.audio_valid if self.mask_padding else batch.audio_valid | ~batch.valid

    def snippets(self, batch: Batch, modality: Modality) -> Tensor:
        """Features [b, n, width] of one modality; zero where there is no sound.

        Raises
        ------
        CheckpointError : they are absent, of another width, too long, or not padded as :meth:`n_positions` says.
        """
        features = batch.visual if modality == "visual" else batch.audio
        if features is None:
            raise CheckpointError(f"this detector needs {modality} features and got none; it sees {self.modalities}")
        n, width = features.shape[1:]
        if width != self.dimensions.widths[modality]:
            expected = f"this detector was built for {modality} features of width {self.dimensions.widths[modality]}"
            raise CheckpointError(f"{expected}, found {width}; use the encoder that it was trained with")
        if not self.n_positions(1) <= n <= self.dimensions.max_snippets:
            expected = f"{self.n_positions(1)} to {self.dimensions.max_snippets} positions"
            raise CheckpointError(f"this detector takes {expected}, found {n}; cut and pad the videos to that")
        return silence(features, batch.audio_valid if modality == "audio" else None)

    def __call__(self, batch: Batch) -> DetectorOutput:
        """:meth:`forward`, with its type."""
        output: DetectorOutput = super().__call__(batch)
        return output
