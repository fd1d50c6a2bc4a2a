"""Detectors in which padding takes part, as in the released code, or influences nothing (switch `mask_padding`)."""

import torch
from torch import Tensor

from avadclip.config.features import Modality
from avadclip.detectors.protocol import Batch, Detector, Testing
from avadclip.detectors.settings import Settings
from avadclip.errors import CheckpointError


class PaddingSettings(Settings):
    """Settings of a detector with a learned position embedding."""

    mask_padding: bool = False  # false: padded positions take part, as released; true: they influence nothing


class PaddingDetector(Detector):
    """A detector that takes at most as many positions as a training sample has; longer videos are cut into windows."""

    settings: PaddingSettings

    @property
    def testing(self) -> Testing:
        """In windows as long as training samples, in the centre view."""
        return Testing(window=self.dimensions.max_snippets)

    @property
    def padding_matters(self) -> bool:
        """Unless `mask_padding` is set."""
        return not self.settings.mask_padding

    def n_positions(self, longest: int) -> int:
        """If padding takes part in the computation, there must be as much of it as in training."""
        return longest if self.settings.mask_padding else self.dimensions.max_snippets

    def attendable(self, batch: Batch) -> Tensor | None:
        """Bool [b, n]: positions that may influence others; None for all of them, padding included."""
        return batch.valid if self.settings.mask_padding else None

    def audible(self, batch: Batch) -> Tensor:
        """Bool [b, n]: positions whose audio counts. Padding that takes part counts as silence, not as no sound."""
        assert batch.audio_valid is not None
        return batch.audio_valid if self.settings.mask_padding else batch.audio_valid | ~batch.valid

    def snippets(self, batch: Batch, modality: Modality) -> Tensor:
        """As in the base class.

        Raises
        ------
        CheckpointError : also if the batch is too long, or not padded as :meth:`n_positions` says.
        """
        features = super().snippets(batch, modality)
        n = features.shape[1]
        if not self.n_positions(1) <= n <= self.dimensions.max_snippets:
            expected = f"{self.n_positions(1)} to {self.dimensions.max_snippets} positions"
            raise CheckpointError(f"this detector takes {expected}, found {n}; cut and pad the videos to that")
        return features

    def counted(self, batch: Batch, modality: Modality) -> Tensor:
        """Bool [b, n]: positions at which features of one modality can be compared with a teacher's."""
        if modality == "audio":
            return self.audible(batch)
        return batch.valid if self.settings.mask_padding else torch.ones_like(batch.valid)
