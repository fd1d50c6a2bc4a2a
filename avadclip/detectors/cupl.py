"""CUPL (Zhang et al., CVPR 2023): heads that disagree give pseudo labels. Reconstructed: no code that trains is public.

- Paper (abstract): heads with a diversity loss, labels refined by uncertainty. Its classifier: ArielZc/CU-Net, 2f58bfe.
- Reconstructed: diversity, the cosine of two heads' softmax over time; uncertainty, the variance under drawn dropout.
- Ours: each head is that classifier and is trained through all phases; the labels are the heads' mean, stretched to
  0..1; every number.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.parts.top_k import mean_or_zero, top_k
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Settings, Share


class CuplSettings(Settings):
    """Widths, dropout and context of the authors' `stage2_net.py`; all others are ours."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual", "audio")  # joined
    heads: Count = 3
    hidden: tuple[Count, Count] = (512, 32)
    dropout: Share = 0.8
    before: Count = 5  # snippets whose mean is joined to each
    draws: Count = 20  # of dropout, whose variance is the uncertainty
    certain: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of an anomalous video's snippets whose labels are used
    recipe: Recipe = Recipe(
        rounds=20,
        phases=3,  # bags, then pseudo labels twice
        batch_size=128,
        bag=Bag(kind="pick", length=200),
        optimizer=Optimizer(name="adam", learning_rate=1e-4, weight_decay=5e-4),
        loss_weights={"binary": 1.0, "diversity": 0.1, "pseudo": 1.0},
    )


class Head(nn.Module):
    """Three layers, of which only the first has an activation.

    Its one logit is the difference of the two released ones. The draws of its dropout are fixed and the same for all
    snippets, so that scores do not vary.
    """

    kept_first: Tensor
    kept_second: Tensor

    def __init__(self, width: int, settings: CuplSettings, random: torch.Generator) -> None:
        super().__init__()
        first, second = settings.hidden
        self.first, self.second, self.last = nn.Linear(width, first), nn.Linear(first, second), nn.Linear(second, 1)
        self.dropout = nn.Dropout(settings.dropout)
        kept = 1.0 - settings.dropout
        for name, units in (("kept_first", first), ("kept_second", second)):
            self.register_buffer(name, torch.empty(settings.draws, units).bernoulli_(kept, generator=random) / kept)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [b, n] of features [b, n, width]."""
        logits: Tensor = self.last(self.dropout(self.second(self.dropout(functional.relu(self.first(x)))))).squeeze(-1)
        return logits

    def drawn(self, x: Tensor) -> Tensor:
        """Logits [b, n, draws] under dropout."""
        last = self.last.weight * self.kept_second  # the last two layers are one, with other weights in each draw
        weights = (last @ self.second.weight) * self.kept_first
        return functional.linear(functional.relu(self.first(x)), weights, last @ self.second.bias + self.last.bias)


@dataclass(frozen=True)
class CuplOutput:
    """Logits [b, n, heads]; variance under dropout [b, n], None in training."""

    logits: Tensor
    uncertainty: Tensor | None = None

    @property
    def confidences(self) -> Tensor:
        """Confidence of each head [b, n, heads] in float32."""
        return self.logits.float().sigmoid()


class Cupl(Detector):
    """Heads side by side over each snippet and those just before it."""

    Settings = CuplSettings
    settings: CuplSettings

    def __init__(self, settings: CuplSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        width = 2 * sum(dimensions.widths[modality] for modality in settings.modalities)
        random = torch.Generator().manual_seed(0)
        self.heads = nn.ModuleList(Head(width, settings, random) for _ in range(settings.heads))

    def forward(self, batch: Batch) -> CuplOutput:
        snippets = self.joined_snippets(batch)
        x = torch.cat([snippets, mean_before(snippets, self.settings.before)], dim=-1)
        logits = torch.stack([head(x) for head in self.heads], dim=-1)
        if self.training:
            return CuplOutput(logits)
        drawn = torch.stack([cast(Head, head).drawn(x) for head in self.heads]).float().sigmoid()
        return CuplOutput(logits, drawn.var(dim=-1, correction=0).mean(dim=0))

    def losses(self, output: CuplOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`, the mean over the heads; in the first phase `diversity`, in later ones `pseudo`."""
        is_anomalous = targets.labels[:, 0] == 0
        found = losses.top_k_mean(output.confidences, batch.n_snippets)
        wanted = is_anomalous[:, None].to(found.dtype).expand_as(found)
        terms = {"binary": functional.binary_cross_entropy(found, wanted)}
        if targets.teacher is None:
            terms["diversity"] = _alikeness(output.logits[is_anomalous].float(), batch.valid[is_anomalous])
        else:
            terms["pseudo"] = self._pseudo(output, batch, is_anomalous, targets.teacher)
        return terms

    def _pseudo(self, output: CuplOutput, batch: Batch, is_anomalous: Tensor, teacher: CuplOutput) -> Tensor:
        """Cross entropy of all heads at the certain snippets, averaged within each video first."""
        assert teacher.uncertainty is not None  # a teacher is in evaluation mode
        labels = pseudo_labels(teacher.confidences.mean(dim=-1), batch.valid) * is_anomalous[:, None]
        n_certain = (self.settings.certain * batch.n_snippets).ceil().long()
        k = torch.where(is_anomalous, n_certain, batch.n_snippets)
        certain = top_k(teacher.uncertainty, batch.n_snippets, k, largest=False)
        wanted = labels[..., None].expand_as(output.logits)
        errors = functional.binary_cross_entropy(output.confidences, wanted, reduction="none").mean(dim=-1)
        return ((errors * certain).sum(dim=1) / k).mean()

    def confidences(self, output: CuplOutput, batch: Batch) -> Tensor:
        """Confidences [b, n, heads]: each head learns on its own, as from video labels."""
        return output.confidences

    def scores(self, output: CuplOutput, batch: Batch) -> Scores:
        return Scores(output.confidences.mean(dim=-1), uncertainty=output.uncertainty)


def mean_before(x: Tensor, width: int) -> Tensor:
    """Mean of x [b, n, d] over the `width` snippets before each, or as many as there are; the first is its own."""
    before = functional.pad(x[:, :-1].transpose(1, 2), (width, 0))
    sums = width * functional.avg_pool1d(before, width, stride=1).transpose(1, 2)
    counts = torch.arange(x.shape[1], device=x.device).clamp(1, width)
    return torch.cat([x[:, :1], (sums / counts[:, None])[:, 1:]], dim=1)


def pseudo_labels(confidence: Tensor, valid: Tensor) -> Tensor:
    """Confidences [b, n] stretched, so that those of the valid snippets of each video go from 0 to 1."""
    low = confidence.masked_fill(~valid, torch.inf).amin(dim=1, keepdim=True)
    high = confidence.masked_fill(~valid, -torch.inf).amax(dim=1, keepdim=True)
    # A video with one snippet, or with equal confidences, keeps them.
    return torch.where(high > low, (confidence - low) / (high - low), confidence).clamp(0.0, 1.0)


def _alikeness(logits: Tensor, valid: Tensor) -> Tensor:
    """Mean cosine between two heads' distributions over the snippets, from logits [b, n, heads]; 0 of one head."""
    shares = logits.masked_fill(~valid[..., None], -torch.inf).softmax(dim=1)
    pairs = list(combinations(range(logits.shape[-1]), 2))
    cosines = [functional.cosine_similarity(shares[..., i], shares[..., j], dim=1) for i, j in pairs]
    return mean_or_zero(torch.cat(cosines)) if cosines else logits.new_zeros(())
