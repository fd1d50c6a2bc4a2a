"""A plain multiple-instance head over frozen features: two layers, top-k, dropout. Others have to beat it.

With more than one member it is an ensemble (Lakshminarayanan et al., NeurIPS 2017) of heads that share no weight and
are trained side by side. On a hundred videos, seeds differ more than networks do, and the mean of a few heads is rid of
most of that. See docs/quality.md.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.layers import unit
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Needs, Scores, Targets, Testing
from avadclip.detectors.settings import Bag, Count, Optimizer, Positive, Recipe, Settings, Share


class MilHeadSettings(Settings):
    """The defaults are one head of 64 units without context."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual", "audio")  # joined
    members: Count = 1  # heads whose confidences are averaged
    hidden: Count = 64  # units of each
    dropout: Share = 0.5
    feature_norm: Positive = 10.0  # features of each modality are scaled to this length, so that none is drowned
    context: Count = 1  # snippets of the moving mean that is joined to each snippet; 1: none
    recipe: Recipe = Recipe(
        rounds=60,
        batch_size=32,
        bag=Bag(kind="shorten", length=256),
        optimizer=Optimizer(name="adamw", learning_rate=1e-3, weight_decay=0.01),
        loss_weights={"binary": 1.0, "classes": 1.0},
    )


@dataclass(frozen=True)
class MilHeadOutput:
    """What the m members say, and the reader of classes."""

    anomaly_logits: Tensor  # [b, n, m]
    class_logits: Tensor  # [b, n, C - 1], of the anomaly classes: which one, if it is one

    @property
    def confidences(self) -> Tensor:
        """[b, n, m], of each member."""
        return self.anomaly_logits.float().sigmoid()


class MilHead(Detector):
    """One hidden layer over each snippet, or over each snippet and the mean of its neighbourhood."""

    Settings = MilHeadSettings
    settings: MilHeadSettings

    def __init__(self, settings: MilHeadSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        members, hidden = settings.members, settings.hidden
        width = sum(dimensions.widths[modality] for modality in settings.modalities)
        width *= 1 if settings.context == 1 else 2
        self.hidden = nn.Linear(width, members * hidden)
        self.dropout = nn.Dropout(settings.dropout)
        bound = hidden**-0.5  # as torch's own linear layer
        self.weight = nn.Parameter(torch.empty(members, hidden).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members).uniform_(-bound, bound))
        # Which class it is must not decide what is an anomaly, so classes are read off the features themselves.
        self.classes = nn.Linear(width, dimensions.n_classes - 1)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """The modalities of the settings, and nothing else."""
        return Needs(settings.modalities)

    @property
    def testing(self) -> Testing:
        """On the whole length, averaged over the views."""
        return Testing(views="mean")

    def forward(self, batch: Batch) -> MilHeadOutput:
        features = torch.cat([self._in_context(batch, modality) for modality in self.settings.modalities], dim=-1)
        hidden = self.dropout(functional.relu(self.hidden(features)))
        hidden = hidden.unflatten(-1, (self.settings.members, self.settings.hidden))
        return MilHeadOutput((hidden * self.weight).sum(dim=-1) + self.bias, self.classes(features))

    def _in_context(self, batch: Batch, modality: Modality) -> Tensor:
        """[b, n, width or 2 width]; zero where there is no sound."""
        features = self.settings.feature_norm * unit(self.snippets(batch, modality))
        if self.settings.context == 1:
            return features
        counted = batch.valid if modality == "visual" or batch.audio_valid is None else batch.audio_valid & batch.valid
        return torch.cat([features, moving_mean(features, counted, self.settings.context)], dim=-1) / 2**0.5

    def losses(self, output: MilHeadOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`, each member's own, summed; `classes`, of the anomaly classes at an anomalous video's top k."""
        confidences = losses.top_k_mean(output.confidences, batch.n_snippets)  # [b, m]
        is_anomalous = (1.0 - targets.labels[:, :1]).expand_as(confidences)
        binary = functional.binary_cross_entropy(confidences, is_anomalous, reduction="none")
        anomalies = targets.labels[:, 1:]  # nothing of a normal video
        share = anomalies / anomalies.sum(dim=1, keepdim=True).clamp(min=1.0)
        named = _top_mean_by(output.confidences.detach().mean(dim=-1), output.class_logits.float(), batch)
        classes = -(share * named.log_softmax(dim=-1)).sum() / share.sum().clamp(min=1.0)
        return {"binary": binary.mean(dim=0).sum(), "classes": classes}

    def scores(self, output: MilHeadOutput, batch: Batch) -> Scores:
        confidences = output.confidences
        anomaly = confidences.mean(dim=-1, keepdim=True)
        named = anomaly * output.class_logits.float().softmax(dim=-1)
        return Scores(
            anomaly=anomaly.squeeze(-1),
            class_probabilities=torch.cat([1.0 - anomaly, named], dim=-1),
            uncertainty=confidences.std(dim=-1, correction=0) if self.settings.members > 1 else None,
        )


def moving_mean(features: Tensor, counted: Tensor, width: int) -> Tensor:
    """Mean of features [b, n, d] over the counted [b, n] of `width` snippets around each; zero where nothing counts."""
    kernel = torch.ones(1, 1, width, device=features.device, dtype=features.dtype)
    weights = counted.to(features.dtype)
    b, n, d = features.shape
    rows = (features * weights[..., None]).transpose(1, 2).reshape(b * d, 1, n)
    sums = functional.conv1d(functional.pad(rows, _around(width)), kernel).reshape(b, d, n).transpose(1, 2)
    counts = functional.conv1d(functional.pad(weights[:, None], _around(width)), kernel).transpose(1, 2)
    return counted[..., None] * sums / counts.clamp(min=1.0)


def _around(width: int) -> tuple[int, int]:
    return (width - 1) // 2, width // 2


def _top_mean_by(confidence: Tensor, values: Tensor, batch: Batch) -> Tensor:
    """Mean of values [b, n, C] over the k = floor(n / 16) + 1 snippets of highest confidence [b, n]: [b, C]."""
    k = batch.n_snippets // 16 + 1
    chosen = confidence.masked_fill(~batch.valid, -torch.inf).topk(int(k.max()), dim=1).indices
    taken = values.gather(1, chosen[..., None].expand(-1, -1, values.shape[-1]))
    counted = torch.arange(chosen.shape[1], device=k.device) < k[:, None]
    return (taken * counted[..., None]).sum(dim=1) / k[:, None]
