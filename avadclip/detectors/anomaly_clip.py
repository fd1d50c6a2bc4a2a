"""AnomalyCLIP (Zanella et al., CVIU 2024): classes are directions away from what is normal in CLIP's space.

From lucazanella/AnomalyCLIP at 6e58b6e, settings for XD-Violence: features relative to the mean of all normal ones in
training; the direction of a class is that of its prompt, with vectors learned for each class and a text projection that
is trained as well; an axial transformer over segments of consecutive snippets says how anomalous each snippet is.

Not as published: snippets stand for frames; features that are not as wide as CLIP's embeddings pass a linear layer; of
a video with several classes the first in the data set's order counts (the authors left such videos out); `smooth` ends
where a video ends; the mean is over the blocks of one draw; no learning rate of 0 in the first round.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.axial import AxialEncoder
from avadclip.detectors.parts.labels import only_class
from avadclip.detectors.parts.layers import to_width, unit
from avadclip.detectors.parts.text import TextTower, token_template
from avadclip.detectors.parts.top_k import mean_or_zero
from avadclip.detectors.protocol import Batch, Detector, Dimensions, LabelledBatch, Needs, Scores, Targets, Testing
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Schedule, Settings, Share
from avadclip.errors import CheckpointError

FULL_STOP = 269  # in CLIP's vocabulary


class AnomalyClipSettings(Settings):
    """Constants of the authors' `anomaly_clip_xdviolence.yaml`."""

    modality: Modality = "visual"  # ours; the published system is visual
    width: Count = 128
    heads: Count = 8
    layers: Count = 1
    segments: Count = 32
    segment_snippets: Count = 16
    selected: Count = 3  # segments
    masked_share: Share = 0.7  # of the segments, which cannot be selected in this step
    prompt_vectors: Count = 8
    recipe: Recipe = Recipe(
        rounds=50,
        batches="pairs",
        batch_size=32,
        bag=Bag(kind="blocks", length=32, block_snippets=16),
        optimizer=Optimizer(name="adamw", learning_rate=5e-6, weight_decay=0.2),
        schedule=Schedule(kind="cosine", warm_up_rounds=5),
        loss_weights={
            "direction_anomalous": 1.0,
            "direction_normal": 1.0,
            "highest_anomalous": 1.0,
            "lowest_anomalous": 1.0,
            "highest_normal": 1.0,
            "sparse": 8e-3,
            "smooth": 8e-4,
        },
    )


class ClassDirections(nn.Module):
    """Embeddings of the anomaly classes [C - 1, d]: learned vectors for each, its name and a full stop.

    In evaluation they are constant: they are computed once, when training mode is left, and saved with the detector.
    """

    embeddings: Tensor
    fixed: Tensor
    ends: Tensor

    def __init__(self, dimensions: Dimensions, tower: TextTower | None, n_vectors: int) -> None:
        super().__init__()
        n_classes, width = dimensions.n_classes - 1, dimensions.text_width
        self.context = nn.Parameter(torch.empty(n_classes, n_vectors, width).normal_(std=0.02))
        self.projection = nn.Parameter(torch.zeros(width, dimensions.embedding_width))
        self.register_buffer("embeddings", torch.zeros(n_classes, dimensions.embedding_width))
        self._tower = tower
        if tower is not None:
            self.projection.data.copy_(tower.projection)
            template = token_template(tower, n_vectors, 0, _with_full_stop(tower.token_ids[1:]))
            self.register_buffer("fixed", template.fixed, persistent=False)
            self.register_buffer("ends", template.ends, persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training (or evaluation, and then compute the embeddings once)."""
        if self.training and not mode and self._tower is not None:
            with torch.no_grad():
                self.embeddings.copy_(self._compute(self._tower))
        return super().train(mode)

    def forward(self) -> Tensor:
        if not self.training:
            return self.embeddings
        if self._tower is None:
            raise CheckpointError(
                "a detector from a checkpoint has no text tower and cannot be trained; train a new one"
            )
        return self._compute(self._tower)

    def _compute(self, tower: TextTower) -> Tensor:
        after = 1 + self.context.shape[1]
        tokens = torch.cat([self.fixed[:, :1], self.context, self.fixed[:, after:]], dim=1)
        return tower.at_end(tokens, self.ends) @ self.projection


@dataclass(frozen=True)
class AnomalyClipOutput:
    """Logits of each position of each pass, see :meth:`AnomalyClip._places`."""

    logits: Tensor  # [passes, segments, snippets]
    class_logits: Tensor  # [passes, segments, snippets, C - 1]
    n_passes: Tensor  # int64 [b], number of passes of each video; they are consecutive


class AnomalyClip(Detector):
    """Directions of classes, and an axial transformer."""

    Settings = AnomalyClipSettings
    settings: AnomalyClipSettings
    normal_mean: Tensor

    def __init__(self, settings: AnomalyClipSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        s = settings
        width, embedding = dimensions.widths[s.modality], dimensions.embedding_width
        self.align = to_width(width, embedding)
        self.directions = ClassDirections(dimensions, tower, s.prompt_vectors)
        self.normalise = nn.BatchNorm1d(dimensions.n_classes - 1, affine=False)
        self.project = nn.Linear(embedding, s.width)
        self.encoder = AxialEncoder(s.width, s.heads, s.layers, s.segments, s.segment_snippets)
        self.head = nn.Sequential(nn.LayerNorm(s.width), nn.Linear(s.width, 1))
        self.register_buffer("normal_mean", torch.zeros(width))

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """One modality, and CLIP's text tower."""
        return Needs((settings.modality,), text_tower=True)

    @property
    def testing(self) -> Testing:
        """On the whole length, in the centre view."""
        return Testing()

    def observe(self, samples: Iterable[LabelledBatch]) -> None:
        """Take the mean over all normal snippets."""
        total, count = torch.zeros_like(self.normal_mean, dtype=torch.float64), 0
        for sample in samples:
            normal = sample.batch.valid & (sample.labels[:, :1] == 1)
            chosen = self.snippets(sample.batch, self.settings.modality)[normal]
            total, count = total + chosen.double().sum(dim=0), count + len(chosen)
        self.normal_mean.copy_(total / max(1, count))

    def forward(self, batch: Batch) -> AnomalyClipOutput:
        s = self.settings
        places, n_passes = self._places(batch)
        flat = self.snippets(batch, s.modality).flatten(0, 1)
        mean = self.align(self.normal_mean)
        x = self.align(flat[places]) - mean  # [passes, segments, snippets, d]
        similar = x @ unit(self.directions() - mean).T
        class_logits = self.normalise(similar.flatten(0, -2)).view_as(similar)
        logits: Tensor = self.head(self.encoder(self.project(x))).squeeze(-1)
        return AnomalyClipOutput(logits, class_logits, n_passes)

    def losses(self, output: AnomalyClipOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Terms of directions, of the probabilities of selected segments, and of the scores of anomalous videos."""
        b = len(targets.labels)
        # Passes of a video side by side: there are as many of each, and in training one.
        logits, class_logits = (
            x.float().reshape(b, -1, *x.shape[1:]).transpose(1, 2).flatten(2, 3)
            for x in (output.logits, output.class_logits)
        )
        classes = only_class(targets.labels)
        normal = classes == 0
        own = (classes[~normal] - 1)[:, None, None, None].expand(-1, *class_logits.shape[1:3], 1)
        own_logits = class_logits[~normal].gather(3, own).squeeze(3)  # [anomalous, segments, snippets]
        log_own = class_logits[~normal].log_softmax(dim=3).gather(3, own).squeeze(3)
        log_anomalous, log_normal = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        mask = torch.rand(logits.shape[:2], device=logits.device) < self.settings.masked_share
        highest, lowest = (self._selected(sign * own_logits.sum(dim=2), mask[~normal]) for sign in (1, -1))
        highest_normal = self._selected(class_logits[normal].sum(dim=(2, 3)), mask[normal])
        confidence = logits[~normal].sigmoid()
        in_order = confidence.flatten(1)
        return {
            "direction_anomalous": -mean_or_zero(own_logits[highest]),
            "direction_normal": mean_or_zero(class_logits[normal].amax(dim=3)),
            "highest_anomalous": -mean_or_zero((log_anomalous[~normal] + log_own)[highest]),
            "lowest_anomalous": -mean_or_zero(log_normal[~normal][lowest]),
            "highest_normal": -mean_or_zero(log_normal[normal][highest_normal]),
            "sparse": mean_or_zero(confidence),
            "smooth": losses.smooth(in_order, torch.ones_like(in_order, dtype=torch.bool)),
        }

    def scores(self, output: AnomalyClipOutput, batch: Batch) -> Scores:
        confidence, shares = output.logits.float().sigmoid(), output.class_logits.float().softmax(dim=-1)
        probabilities = torch.cat([1.0 - confidence[..., None], confidence[..., None] * shares], dim=-1)
        n = batch.valid.shape[1]
        rows = []
        for video in torch.split(probabilities, output.n_passes.tolist()):
            in_order = video.transpose(0, 1).flatten(0, 2)[:n]  # segment by segment, pass by pass
            rows.append(functional.pad(in_order, (0, 0, 0, n - len(in_order))))
        stacked = torch.stack(rows)
        # Positions after the last pass have no meaning, but probabilities add up to 1 there as well.
        stacked[..., 0] += (1.0 - stacked.sum(dim=-1)).clamp(min=0.0)
        return Scores(1.0 - stacked[..., 0], stacked)

    def _places(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Rows of the flattened batch for each pass [passes, segments, snippets], and how many passes each video has.

        A video is cut into as many blocks as there are segments, and a block into as many stretches as there are
        passes; a pass takes one stretch of each block. Positions after the end start again at the first one.
        """
        s = self.settings
        grid = s.segments * s.segment_snippets
        n_passes = [-(-n // grid) for n in batch.n_snippets.tolist()]
        if self.training:
            n_passes = [max(n_passes)] * len(n_passes)
        places = []
        for video, (n, passes) in enumerate(zip(batch.n_snippets.tolist(), n_passes, strict=True)):
            rows = torch.arange(passes * grid) % n + video * batch.valid.shape[1]
            places.append(rows.view(s.segments, passes, s.segment_snippets).transpose(0, 1))
        device = batch.n_snippets.device
        return torch.cat(places).to(device), torch.tensor(n_passes, device=device)

    def _selected(self, ranking: Tensor, mask: Tensor) -> Tensor:
        """Bool [videos, segments]: the highest that are not masked; masked ones only where there are too few others."""
        indices = ranking.masked_fill(mask, -math.inf).topk(self.settings.selected, dim=1).indices
        return torch.zeros_like(mask).scatter(1, indices, True)


def _with_full_stop(token_ids: Tensor) -> Tensor:
    """Names [C, any] as tokens with a full stop before the end token, which has the highest number."""
    ends = token_ids.argmax(dim=1)
    longer = functional.pad(token_ids, (0, 1))
    rows = torch.arange(len(longer))
    longer[rows, ends + 1] = longer[rows, ends]
    longer[rows, ends] = FULL_STOP
    return longer
