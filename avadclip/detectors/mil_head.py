"""A plain multiple-instance head over frozen features: two layers, top-k, dropout. A baseline for all others.

With more than one member it is an ensemble (Lakshminarayanan et al., NeurIPS 2017) of heads that share no weight and
are trained side by side. On a hundred videos, seeds differ more than networks do, and the mean of a few heads removes
most of that variation. See docs/quality.md.

With `taught_by` it learns with privileged information (Vapnik and Vashist, 2009): a teacher of the same architecture
with more modalities is trained beside it, and scores every snippet. The teacher is discarded afterwards.
"""

from collections.abc import Mapping, Sequence
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
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Bag, Count, NotNegative, Optimizer, Positive, Recipe, Settings, Share


class MilHeadSettings(Settings):
    """The defaults are one head of 64 units without context."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual", "audio")  # joined
    taught_by: Annotated[tuple[Modality, ...], Field(max_length=2)] = ()  # modalities of a teacher, only in training
    members: Count = 1  # heads whose confidences are averaged
    hidden: Count = 64  # units of each
    dropout: Share = 0.5
    # Features of each modality are scaled to this length, so that none dominates; null: they stay as extracted.
    feature_norm: Positive | None = 10.0
    context_seconds: NotNegative = 0.0  # of the moving mean that is joined to each snippet; 0: none
    recipe: Recipe = Recipe(
        rounds=60,
        batch_size=32,
        bag=Bag(kind="shorten", length=256),
        optimizer=Optimizer(
            name="adamw", learning_rate=1e-3, weight_decay=0.01, groups={"classes": {"learning_rate": 1e-2}}
        ),
        loss_weights={"binary": 1.0, "classes": 1.0, "teacher": 1.0, "taught": 16.0},
    )


@dataclass(frozen=True)
class MilHeadOutput:
    """Outputs of the m members, and of the layer that names classes."""

    confidences: Tensor  # [b, n, m], of each member, 0..1
    class_logits: Tensor  # [b, n, C - 1], of the anomaly classes, given that it is an anomaly
    teacher_confidences: Tensor | None = None  # [b, n, m]


class MilHead(Detector):
    """One hidden layer over each snippet, or over each snippet and the mean of its neighbourhood."""

    Settings = MilHeadSettings
    settings: MilHeadSettings

    def __init__(self, settings: MilHeadSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        # Snippets of the moving mean, with as many before as after; 1: none.
        self.context = 1 + 2 * round(max(0.0, settings.context_seconds / dimensions.snippet_seconds - 1) / 2)
        self.heads = _Heads(settings, self._width(settings.modalities))
        # Classes must not influence what is an anomaly, so they are predicted from the features themselves.
        self.classes = nn.Linear(self._width(settings.modalities), dimensions.n_classes - 1)
        # If the data set lacks the teacher's modalities, there is no teacher.
        is_taught = settings.taught_by and all(name in dimensions.widths for name in settings.taught_by)
        self.teacher = _Heads(settings, self._width(settings.taught_by)) if is_taught else None

    def _width(self, modalities: Sequence[Modality]) -> int:
        return sum(self.dimensions.widths[name] for name in modalities) * (1 if self.context == 1 else 2)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """The modalities of the settings; in training also those of the teacher."""
        return Needs(settings.modalities, privileged=settings.taught_by)

    def parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """`heads`; and `classes`, which is linear and needs a higher rate for the few steps of the heads."""
        heads = [parameter for name, parameter in self.named_parameters() if not name.startswith("classes.")]
        return {"heads": heads, "classes": list(self.classes.parameters())}

    def inference_state(self) -> dict[str, Tensor]:
        """All except the teacher."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("teacher.")}

    def forward(self, batch: Batch) -> MilHeadOutput:
        features = self._features(batch, self.settings.modalities)
        taught = None
        if self.teacher is not None and self.training:
            taught = self.teacher(self._features(batch, self.settings.taught_by))
        return MilHeadOutput(self.heads(features), self.classes(features), taught)

    def _features(self, batch: Batch, modalities: Sequence[Modality]) -> Tensor:
        return torch.cat([self._in_context(batch, modality) for modality in modalities], dim=-1)

    def _in_context(self, batch: Batch, modality: Modality) -> Tensor:
        """[b, n, width or 2 width]; zero where there is no sound."""
        features, norm = self.snippets(batch, modality), self.settings.feature_norm
        features = features if norm is None else norm * unit(features)
        if self.context == 1:
            return features
        counted = batch.valid if modality == "visual" or batch.audio_valid is None else batch.audio_valid & batch.valid
        return torch.cat([features, moving_mean(features, counted, self.context)], dim=-1) / 2**0.5

    def losses(self, output: MilHeadOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Summed over the members: `binary`; with a teacher also its own (`teacher`) and that of its scores (`taught`).

        `classes` is the cross entropy of the anomaly classes at the top k snippets of the anomalous videos.
        """
        anomalies = targets.labels[:, 1:]  # nothing of a normal video
        share = anomalies / anomalies.sum(dim=1, keepdim=True).clamp(min=1.0)
        named = _top_mean_by(output.confidences.detach().mean(dim=-1), output.class_logits.float(), batch)
        classes = -(share * named.log_softmax(dim=-1)).sum() / share.sum().clamp(min=1.0)
        terms = {"binary": _binary(output.confidences, batch, targets), "classes": classes}
        if output.teacher_confidences is not None:
            terms["teacher"] = _binary(output.teacher_confidences, batch, targets)
            said = output.teacher_confidences.detach().mean(dim=-1, keepdim=True).expand_as(output.confidences)
            errors = functional.binary_cross_entropy(output.confidences, said, reduction="none")[batch.valid]
            terms["taught"] = errors.mean(dim=0).sum()
        return terms

    def confidences(self, output: MilHeadOutput, batch: Batch) -> Tensor:
        """Confidences [b, n, m] of all members, also the teacher's: each learns on its own, as from video labels."""
        taught = [] if output.teacher_confidences is None else [output.teacher_confidences]
        return torch.cat([output.confidences, *taught], dim=-1)

    def scores(self, output: MilHeadOutput, batch: Batch) -> Scores:
        anomaly = output.confidences.mean(dim=-1, keepdim=True)
        named = anomaly * output.class_logits.float().softmax(dim=-1)
        return Scores(
            anomaly=anomaly.squeeze(-1),
            class_probabilities=torch.cat([1.0 - anomaly, named], dim=-1),
            uncertainty=output.confidences.std(dim=-1, correction=0) if self.settings.members > 1 else None,
        )


class _Heads(nn.Module):
    """Members side by side: features [b, n, width] -> confidences [b, n, m] in float32."""

    def __init__(self, settings: MilHeadSettings, width: int) -> None:
        super().__init__()
        self.shape = (settings.members, settings.hidden)
        self.hidden = nn.Linear(width, settings.members * settings.hidden)
        self.dropout = nn.Dropout(settings.dropout)
        bound = settings.hidden**-0.5  # as torch's own linear layer
        self.weight = nn.Parameter(torch.empty(self.shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(settings.members).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.dropout(functional.relu(self.hidden(features))).unflatten(-1, self.shape)
        logits: Tensor = (hidden * self.weight).sum(dim=-1) + self.bias
        return logits.float().sigmoid()


def moving_mean(features: Tensor, counted: Tensor, width: int) -> Tensor:
    """Mean of features [b, n, d] over the counted [b, n] of `width` snippets around each; zero where nothing counts."""
    kernel = torch.ones(1, 1, width, device=features.device, dtype=features.dtype)
    weights = counted.to(features.dtype)
    b, n, d = features.shape
    around = ((width - 1) // 2, width // 2)
    rows = (features * weights[..., None]).transpose(1, 2).reshape(b * d, 1, n)
    sums = functional.conv1d(functional.pad(rows, around), kernel).reshape(b, d, n).transpose(1, 2)
    counts = functional.conv1d(functional.pad(weights[:, None], around), kernel).transpose(1, 2)
    return counted[..., None] * sums / counts.clamp(min=1.0)


def _binary(confidences: Tensor, batch: Batch, targets: Targets) -> Tensor:
    """Each member's top-k mean [b, m] against "is any anomaly in this video", summed over the members."""
    found = losses.top_k_mean(confidences, batch.n_snippets)
    is_anomalous = (1.0 - targets.labels[:, :1]).expand_as(found)
    return functional.binary_cross_entropy(found, is_anomalous, reduction="none").mean(dim=0).sum()


def _top_mean_by(confidence: Tensor, values: Tensor, batch: Batch) -> Tensor:
    """Mean of values [b, n, C] over the k = floor(n / 16) + 1 snippets of highest confidence [b, n]: [b, C]."""
    k = batch.n_snippets // 16 + 1
    chosen = confidence.masked_fill(~batch.valid, -torch.inf).topk(int(k.max()), dim=1).indices
    taken = values.gather(1, chosen[..., None].expand(-1, -1, values.shape[-1]))
    counted = torch.arange(chosen.shape[1], device=k.device) < k[:, None]
    return (taken * counted[..., None]).sum(dim=1) / k[:, None]
