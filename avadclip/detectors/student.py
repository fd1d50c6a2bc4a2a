"""A detector that sees one modality and learns to have the features of the audio-visual one (paper, sec. III-F)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.detector import Student
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.branches import Branches
from avadclip.detectors.parts.layers import TemporalConv, silence, unit
from avadclip.detectors.parts.temporal import TemporalModel
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Detector, DetectorOutput, Dimensions, Targets


class StudentDetector(Detector):
    """Temporal model, then two heads on the same features: enhancement, which feeds the branches, and uncertainty."""

    def __init__(self, architecture: Student, dimensions: Dimensions, tower: TextTower | None) -> None:
        super().__init__((architecture.modality,), dimensions, architecture.mask_padding)
        width = dimensions.embedding_width
        self.architecture = architecture
        self.temporal = TemporalModel(
            width_in=dimensions.widths[architecture.modality],
            width_out=width,
            max_snippets=dimensions.max_snippets,
            n_layers=architecture.local_layers,
            window=architecture.local_window,
        )
        self.enhancement = nn.ModuleList(TemporalConv(width, width, 3) for _ in range(architecture.enhancement_layers))
        # Without its loss the head would learn nothing, and what it says would mean nothing.
        self.uncertainty = UncertaintyHead(width) if architecture.distillation == "ukd" else None
        self.branches = Branches(architecture, dimensions, tower)

    def forward(self, batch: Batch) -> DetectorOutput:
        seen = self.seen(batch)
        x = self.temporal(self.snippets(batch, self.architecture.modality), batch.valid, seen)
        log_variance = None if self.uncertainty is None else self.uncertainty(self._comparable(x), seen)
        for convolution in self.enhancement:
            x = x + functional.relu(convolution(silence(x, seen)))
        output: DetectorOutput = self.branches(x, seen, log_variance)
        return output

    def losses(self, output: DetectorOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Terms of the labels, and `ukd` or `mse` where there is a teacher."""
        terms = self.branches.losses(output, batch, targets)
        if targets.teacher_features is not None:
            teacher, student = self._comparable(targets.teacher_features), self._comparable(output.features)
            if output.log_variance is not None:
                terms["ukd"] = losses.ukd(teacher, student, output.log_variance, self._counted(batch))
            elif self.architecture.distillation == "mse":
                terms["mse"] = losses.mse(teacher, student, self._counted(batch))
        return terms

    def _comparable(self, features: Tensor) -> Tensor:
        """Features [b, n, d] as distillation looks at them."""
        if not self.architecture.normalize_features:
            return features
        # Raw features set the scale of the loss, and through the predicted variance a few outliers take all of it.
        normalized: Tensor = features.shape[-1] ** 0.5 * unit(features)
        return normalized

    def _counted(self, batch: Batch) -> Tensor:
        """Bool [b, n]: positions at which the student can be asked for the teacher's features."""
        if self.architecture.modality == "audio":
            return self.heard(batch)
        return batch.valid if self.mask_padding else torch.ones_like(batch.valid)


class UncertaintyHead(nn.Module):
    """Log variance theta = -(x + u(x)) of each feature (paper, fig. 3); [b, n, d] -> [b, n, d]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.neighbours = TemporalConv(width, width, kernel_size=3)
        self.outer = nn.Linear(width, width)

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        hidden = self.neighbours(silence(functional.relu(self.inner(x)), seen))
        return -(x + functional.relu(self.outer(hidden)))
