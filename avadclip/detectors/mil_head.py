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
    """What each of the m members says."""

    anomaly_logits: Tensor  # [b, n, m]
    class_logits: Tensor  # [b, n, m, C - 1], of the anomaly classes: which one, if it is one

    @property
    def confidence(self) -> Tensor:
        """[b, n], mean over the members."""
        return self.anomaly_logits.float().sigmoid().mean(dim=-1)

    @property
    def class_shares(self) -> Tensor:
        """[b, n, C - 1], mean over the members; sum to 1."""
        return self.class_logits.float().softmax(dim=-1).mean(dim=-2)


class MilHead(Detector):
    """One hidden layer over each snippet, or over each snippet and the mean of its neighbourhood."""

    Settings = MilHeadSettings
    settings: MilHeadSettings

    def __init__(self, settings: MilHeadSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        members, hidden = settings.members, settings.hidden
        width = sum(dimensions.widths[modality] for modality in settings.modalities)
        self.hidden = nn.Linear(width * (1 if settings.context == 1 else 2), members * hidden)
        self.dropout = nn.Dropout(settings.dropout)
        self.anomaly = _Heads(members, hidden, 1)
        self.classes = _Heads(members, hidden, dimensions.n_classes - 1)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """The modalities of the settings, and nothing else."""
        return Needs(settings.modalities)

    @property
    def testing(self) -> Testing:
        """On the whole length, averaged over the views."""
        return Testing(views="mean")

    def forward(self, batch: Batch) -> MilHeadOutput:
        features = [self._in_context(batch, modality) for modality in self.settings.modalities]
        hidden = self.dropout(functional.relu(self.hidden(torch.cat(features, dim=-1))))
        hidden = hidden.unflatten(-1, (self.settings.members, self.settings.hidden))
        # Which class it is must not decide what is an anomaly: classes are read off features that they do not shape.
        return MilHeadOutput(self.anomaly(hidden).squeeze(-1), self.classes(hidden.detach()))

    def _in_context(self, batch: Batch, modality: Modality) -> Tensor:
        """[b, n, width or 2 width]; zero where there is no sound."""
        features = self.settings.feature_norm * unit(self.snippets(batch, modality))
        if self.settings.context == 1:
            return features
        counted = batch.valid if modality == "visual" or batch.audio_valid is None else batch.audio_valid & batch.valid
        return torch.cat([features, moving_mean(features, counted, self.settings.context)], dim=-1) / 2**0.5

    def losses(self, output: MilHeadOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`, each member's own, summed; `classes`, which anomaly classes the highest snippets have."""
        confidences = losses.top_k_mean(output.anomaly_logits.float().sigmoid(), batch.n_snippets)  # [b, m]
        is_anomalous = (1.0 - targets.labels[:, :1]).expand_as(confidences)
        binary = functional.binary_cross_entropy(confidences, is_anomalous, reduction="none")
        return {"binary": binary.mean(dim=0).sum(), "classes": _class_loss(output, batch, targets.labels)}

    def scores(self, output: MilHeadOutput, batch: Batch) -> Scores:
        anomaly = output.confidence
        named = anomaly[..., None] * output.class_shares
        spread = output.anomaly_logits.float().sigmoid().std(dim=-1, correction=0)
        return Scores(
            anomaly=anomaly,
            class_probabilities=torch.cat([1.0 - anomaly[..., None], named], dim=-1),
            uncertainty=spread if self.settings.members > 1 else None,
        )


class _Heads(nn.Module):
    """A linear layer of each member's own: [..., m, width] -> [..., m, outputs]."""

    def __init__(self, members: int, width: int, outputs: int) -> None:
        super().__init__()
        bound = width**-0.5  # as torch's own linear layer
        self.weight = nn.Parameter(torch.empty(members, width, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("...mw,mwo->...mo", x, self.weight) + self.bias


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


def _class_loss(output: MilHeadOutput, batch: Batch, labels: Tensor) -> Tensor:
    """Cross entropy of the anomaly classes at the k highest snippets of anomalous videos; 0 where there are none."""
    highest = output.anomaly_logits.detach().masked_fill(~batch.valid[..., None], -torch.inf)
    k = batch.n_snippets // 16 + 1
    chosen = highest.topk(int(k.max()), dim=1).indices  # [b, k, m]
    counted = (torch.arange(chosen.shape[1], device=k.device) < k[:, None]).float()[..., None]  # [b, k, 1]
    shares = output.class_logits.float().log_softmax(dim=-1)
    taken = shares.gather(1, chosen[..., None].expand(-1, -1, -1, shares.shape[-1]))
    means = (taken * counted[..., None]).sum(dim=1) / k[:, None, None]  # [b, m, C - 1]
    anomalies = labels[:, 1:]
    share = anomalies / anomalies.sum(dim=1, keepdim=True).clamp(min=1.0)  # zero for a normal video
    total = -(share[:, None] * means).sum(dim=(0, 2)).sum()
    return total / (share.sum().clamp(min=1.0))
