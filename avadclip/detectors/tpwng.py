"""TPWNG (Yang et al., CVPR 2024): CLIP's class prompts give pseudo labels for a transformer that sees the past.

- Paper (arXiv 2404.08531): 8 learned vectors before the names, a learned text projection, a normal prompt that normal
  videos guide, pseudo labels (shares 0.2 and 0.8, threshold 0.35), and attention whose reach is learned (R = 256).
- Reconstructed from what others say, because we could not read the formulas: hinges, min-max, 4 layers of 4 heads.
- Ours: optimiser, rounds, bags, MLPs; one normal prompt per batch; of a video's classes, the most similar one.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.layers import to_width, unit
from avadclip.detectors.parts.text import ClassPrompts, TextTower
from avadclip.detectors.parts.top_k import mean_or_zero
from avadclip.detectors.parts.transformer import TransformerLayer, head_attention
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Settings, Share

QUERIES = 512  # at a time: in a long video, each attends only to a short stretch


class TpwngSettings(Settings):
    """Constants for XD-Violence; with UCF-Crime the paper has ``threshold: 0.55``."""

    modality: Modality = "visual"
    prompt_vectors: Count = 8
    layers: Count = 4
    heads: Count = 4
    reach: Count = 256  # snippets: R
    normal_share: Share = 0.2  # alpha: of the likeness to the normal prompt in a pseudo label
    threshold: Share = 0.35  # theta: snippets that are less normal than this are anomalous
    recipe: Recipe = Recipe(
        rounds=30,
        batches="pairs",
        batch_size=32,
        bag=Bag(kind="shorten", length=256),
        optimizer=Optimizer(name="adamw", learning_rate=1e-4, weight_decay=0.01),
        loss_weights={
            "pseudo": 1.0,
            "rank_normal": 1.0,
            "rank_background": 1.0,
            "rank_own": 1.0,
            "opposite": 1.0,
            "smooth": 0.1,
            "sparse": 0.01,
        },
    )


class ReachingLayer(nn.Module):
    """A transformer layer over the past, in which each head of each snippet decides how far back it looks."""

    def __init__(self, width: int, heads: int, reach: int) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.layer = TransformerLayer(width)
        self.span = nn.Linear(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        spans = self.reach * self.span(x).float().sigmoid().transpose(1, 2)  # z [b, heads, n]
        refined: Tensor = self.layer(x, partial(self._attend, spans=spans))
        return refined

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, spans: Tensor) -> Tensor:
        n, found = query.shape[1], []
        for first in range(0, n, QUERIES):
            rows, start = slice(first, min(first + QUERIES, n)), max(0, first - 2 * self.reach)
            position = torch.arange(n, device=query.device)
            distance = position[rows, None] - position[start : rows.stop]
            weight = ((self.reach + spans[:, :, rows, None] - distance) / self.reach).clamp(max=1.0)
            seen = (distance >= 0) & (weight > 0)
            # Factors of a softmax are summands of its logits.
            bias = torch.where(seen, weight, 1.0).log().masked_fill(~seen, -torch.inf).to(query.dtype)
            keys = slice(start, rows.stop)
            found.append(head_attention(query[:, rows], key[:, keys], value[:, keys], self.heads, bias))
        return torch.cat(found, dim=1)


@dataclass(frozen=True)
class TpwngOutput:
    """Logits [b, n]; in training also what pseudo labels are made of."""

    anomaly_logits: Tensor
    snippets: Tensor  # [b, n, d] in CLIP's space
    class_embeddings: Tensor | None = None  # [C, d]


class Tpwng(Detector):
    """The transformer; prompts are used only in training."""

    Settings = TpwngSettings
    settings: TpwngSettings

    def __init__(self, settings: TpwngSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        width = dimensions.embedding_width
        self.align = to_width(dimensions.widths[settings.modality], width)
        self.layers = nn.ModuleList(
            ReachingLayer(width, settings.heads, settings.reach) for _ in range(settings.layers)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.prompts = ClassPrompts(dimensions, tower, settings.prompt_vectors, 0, own_projection=True)
        self.guide = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """One modality, and CLIP's text tower."""
        return Needs((settings.modality,), text_tower=True)

    def inference_state(self) -> dict[str, Tensor]:
        """All except the prompts."""
        return {name: x for name, x in self.state_dict().items() if not name.startswith(("prompts.", "guide."))}

    def forward(self, batch: Batch) -> TpwngOutput:
        snippets = x = self.align(self.snippets(batch, self.settings.modality))
        for layer in self.layers:
            x = layer(x)
        return TpwngOutput(self.head(x).squeeze(-1), snippets, self.prompts() if self.training else None)

    def losses(self, output: TpwngOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`pseudo`, three hinges between classes, and three terms of the similarities that give the pseudo labels."""
        assert output.class_embeddings is not None
        valid, is_own = batch.valid, targets.labels > 0
        normal = is_own[:, 0]
        alike = self._alike(output.snippets.float(), output.class_embeddings.float(), valid, normal)  # [b, n, C]
        own = alike.masked_fill(~is_own[:, None, :], -torch.inf).amax(dim=2)
        highest = alike.masked_fill(~valid[:, :, None], -torch.inf).amax(dim=1)  # [b, C]
        other = highest.masked_fill(is_own, -torch.inf)[:, 1:].amax(dim=1)
        to_own, to_normal = (
            functional.relu(1.0 - wanted.masked_fill(~valid, -torch.inf).amax(dim=1) + other)
            for wanted in (own, alike[..., 0])
        )
        inside = valid[~normal]
        own_share, normal_share = _stretched(own[~normal], inside), _stretched(alike[~normal, :, 0], inside)
        wanted = torch.zeros_like(own)
        wanted[~normal] = self._pseudo_labels(own_share.detach(), normal_share.detach(), inside)
        errors = functional.binary_cross_entropy_with_logits(output.anomaly_logits.float(), wanted, reduction="none")
        n_anomalous = max(1, len(inside))
        return {
            "pseudo": ((errors * valid).sum(dim=1) / batch.n_snippets).mean(),
            "rank_normal": mean_or_zero(to_own[normal]),
            "rank_background": mean_or_zero(to_normal[~normal]),
            "rank_own": mean_or_zero(to_own[~normal]),
            "opposite": mean_or_zero(functional.cosine_similarity(own_share, normal_share, dim=1)),
            "smooth": losses.smooth(own_share, inside) / n_anomalous,
            "sparse": losses.sparse(own_share, inside) / n_anomalous,
        }

    def scores(self, output: TpwngOutput, batch: Batch) -> Scores:
        return Scores(output.anomaly_logits.float().sigmoid())

    def _alike(self, snippets: Tensor, classes: Tensor, valid: Tensor, normal: Tensor) -> Tensor:
        """Cosines [b, n, C] of snippets and classes, after normal videos have guided the normal prompt."""
        directions = unit(snippets)
        if normal.any():
            to_normal = (directions[normal] @ unit(classes[0])).masked_fill(~valid[normal], -torch.inf)
            seen = to_normal.softmax(dim=1)[:, None, :] @ snippets[normal]  # Q [normal videos, 1, d]
            guided = classes[0] + self.guide(torch.cat([classes[0], seen.mean(dim=(0, 1))]))
            classes = torch.cat([guided[None], classes[1:]])
        return directions @ unit(classes).T

    def _pseudo_labels(self, own_share: Tensor, normal_share: Tensor, valid: Tensor) -> Tensor:
        """1 where a snippet [b, n] is similar to a class of its video but not to the normal prompt, otherwise 0."""
        alpha = self.settings.normal_share
        normality = _stretched(alpha * normal_share + (1.0 - alpha) * (1.0 - own_share), valid)
        return (valid & (normality < self.settings.threshold)).to(own_share.dtype)


def _stretched(values: Tensor, valid: Tensor) -> Tensor:
    """The valid values of each row [b, n] from 0, the lowest, to 1, the highest; 0 elsewhere."""
    lowest = values.masked_fill(~valid, torch.inf).amin(dim=1, keepdim=True)
    highest = values.masked_fill(~valid, -torch.inf).amax(dim=1, keepdim=True)
    return ((values - lowest) / (highest - lowest).clamp(min=1e-6)).masked_fill(~valid, 0.0)
