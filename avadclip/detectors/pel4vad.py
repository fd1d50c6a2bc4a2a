"""PEL4VAD (Pu et al., TIP 2024): temporal context, and features near the embeddings of their class names.

From yujiangpu20/PEL4VAD at eeb31f4, settings for XD-Violence: one attention over the whole video and over a window of
neighbours, causal scores, and a term that brings the anomalous part of a video near the embedding of its class, and the
rest near that of `normal`. Names no classes when it scores.

Not as published: features of any width (theirs is 1024; the hidden width is that of CLIP's embeddings, 512, as there);
class embeddings are CLIP's of the class names (theirs are of sentences from a knowledge graph); padding influences
nothing (``mask_padding: false`` as released); the last block of smoothed scores is the mean of the snippets that there
are (theirs counts missing ones as 0). Of a video with several classes, the first in the data set's order counts.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts.labels import only_class
from avadclip.detectors.parts.layers import unit
from avadclip.detectors.parts.text import TextTower, token_template
from avadclip.detectors.parts.top_k import top_k
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Bag, Count, NotNegative, Optimizer, Positive, Recipe, Schedule, Settings, Share

SHARPNESS = 10.0  # of the weights that pool a video, and of the targets of `prompt`


class Pel4VadSettings(Settings):
    """Constants of the authors' `configs.py`."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual",)  # joined, if both
    attention_width: Count = 128
    window: Count = 9  # snippets, an odd number of them
    decay: Positive = 0.06  # of the distance term, learned from there
    offset: NotNegative = 0.02  # likewise
    power_norm: bool = False  # of what was attended to; the authors have it for UCF-Crime and ShanghaiTech
    score_width: Count = 300
    score_snippets: Count = 3  # that one score looks at: its own and those before
    temperature: Positive = 0.05  # initial value; learned
    dropout: Share = 0.1
    smoothing: Count = 8  # snippets of a block whose scores are averaged at the end; 1: none
    mask_padding: bool = True  # false: padded positions take part, as released
    recipe: Recipe = Recipe(
        rounds=50,
        batch_size=128,
        bag=Bag(kind="pick", length=200),
        optimizer=Optimizer(name="adam", learning_rate=5e-4, weight_decay=0.0),
        schedule=Schedule(kind="cosine", cosine_rounds=60),
        loss_weights={"binary": 1.0, "prompt": 1.0},
    )


class ContextAttention(nn.Module):
    """Attention with one head over everything and over a window, mixed by a learned share; [b, n, d] -> [b, n, d]."""

    def __init__(self, width: int, settings: Pel4VadSettings) -> None:
        super().__init__()
        inner = settings.attention_width
        self.reach = settings.window // 2
        self.power_norm = settings.power_norm
        self.query, self.key, self.value = (nn.Linear(width, inner) for _ in range(3))
        self.out = nn.Linear(inner, width)
        self.share = nn.Parameter(torch.zeros(()))  # sigmoid: of the attention over everything
        self.decay = nn.Parameter(torch.tensor([settings.decay]))
        self.offset = nn.Parameter(torch.tensor([settings.offset]))

    def forward(self, x: Tensor, attendable: Tensor | None) -> Tensor:
        """`attendable` [b, n]: positions that may be attended to; None for all."""
        position = torch.arange(x.shape[1], device=x.device)
        distance = (position[:, None] - position).abs()
        near = torch.exp(-(self.decay * distance.to(self.decay.dtype).square() - self.offset).abs())[None, None]
        window = near.masked_fill(distance > self.reach, -torch.inf)
        if attendable is not None:
            # A padded position also attends to itself: its result is not used, but must not be 0 / 0.
            seen = attendable[:, None, None, :] | (distance == 0)
            near, window = (bias.masked_fill(~seen, -torch.inf) for bias in (near, window))
        query, key, value = (part(x)[:, None] for part in (self.query, self.key, self.value))  # one head
        everywhere, nearby = (
            functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype)).squeeze(1)
            for bias in (near, window)
        )
        mixed = torch.lerp(nearby, everywhere, self.share.sigmoid().to(nearby.dtype))
        if self.power_norm:
            mixed = mixed.relu().sqrt() - (-mixed).relu().sqrt()
            mixed = functional.normalize(mixed, dim=1)  # over time, as released
        attended: Tensor = self.out(mixed)
        return attended


@dataclass(frozen=True)
class Pel4VadOutput:
    """Logits [b, n], and the features [b, n, embedding width] that are compared with class embeddings."""

    anomaly_logits: Tensor
    features: Tensor


class Pel4Vad(Detector):
    """Context, features near names, causal scores."""

    Settings = Pel4VadSettings
    settings: Pel4VadSettings
    class_embeddings: Tensor

    def __init__(self, settings: Pel4VadSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        width = sum(dimensions.widths[modality] for modality in settings.modalities)
        embedding = dimensions.embedding_width
        self.attention = ContextAttention(width, settings)
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, embedding), nn.Linear(embedding, settings.score_width)
        self.dropout = nn.Dropout(settings.dropout)
        self.score = nn.Conv1d(settings.score_width, 1, settings.score_snippets)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(settings.temperature)))
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.xavier_uniform_(module.weight)
        self.register_buffer("class_embeddings", torch.zeros(dimensions.n_classes, embedding), persistent=False)
        if tower is not None:
            template = token_template(tower, prefix=0, suffix=0)
            with torch.no_grad():
                self.class_embeddings.copy_(tower(template.fixed, template.ends))

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """The modalities of the settings, and CLIP's text tower."""
        return Needs(settings.modalities, text_tower=True)

    @property
    def padding_matters(self) -> bool:
        """Unless `mask_padding` is set."""
        return not self.settings.mask_padding

    def forward(self, batch: Batch) -> Pel4VadOutput:
        x = self.joined_snippets(batch)
        x = self.norm(x + self.attention(x, batch.valid if self.settings.mask_padding else None))
        features = self.dropout(functional.gelu(self.first(x)))
        hidden = self.dropout(functional.gelu(self.second(features)))
        past = functional.pad(hidden.transpose(1, 2), (self.settings.score_snippets - 1, 0))
        return Pel4VadOutput(self.score(past).squeeze(1), features)

    def losses(self, output: Pel4VadOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`, with only the highest snippet of a normal video, and `prompt`."""
        confidence = output.anomaly_logits.float().sigmoid()
        anomalous = targets.labels[:, 0] == 0
        k = torch.where(anomalous, batch.n_snippets // 16 + 1, 1)
        highest = (confidence * top_k(confidence, batch.n_snippets, k)).sum(dim=1) / k
        return {
            "binary": functional.binary_cross_entropy(highest, anomalous.float()),
            "prompt": self._prompt(confidence, output.features.float(), batch, targets.labels),
        }

    def scores(self, output: Pel4VadOutput, batch: Batch) -> Scores:
        confidence = output.anomaly_logits.float().sigmoid() * batch.valid
        n, block = confidence.shape[1], self.settings.smoothing
        sums, counts = (
            functional.pad(x, (0, -n % block)).reshape(len(x), -1, block).sum(dim=2)
            for x in (confidence, batch.valid.float())
        )
        means = sums / counts.clamp(min=1.0)
        return Scores(means.repeat_interleave(block, dim=1)[:, :n])

    def _prompt(self, confidence: Tensor, features: Tensor, batch: Batch, labels: Tensor) -> Tensor:
        """Divergence of the similarities of pooled features to names from "has the same name"."""
        counted = batch.valid if self.settings.mask_padding else torch.ones_like(batch.valid)
        classes = only_class(labels)
        anomalous = classes > 0
        foreground, background = (_pooled(features, weight, counted) for weight in (confidence, 1.0 - confidence))
        pooled = torch.cat([foreground, background[anomalous]])
        names = torch.cat([classes, torch.zeros_like(classes[anomalous])])
        similar = unit(pooled) @ unit(self.class_embeddings[names].float()).T * self.log_scale.float().exp()
        wanted = (SHARPNESS * (names[:, None] == names).float()).softmax(dim=1)
        return functional.kl_div(similar.log_softmax(dim=1), wanted, reduction="batchmean")


def _pooled(features: Tensor, weight: Tensor, counted: Tensor) -> Tensor:
    """Mean [b, d] of features [b, n, d] under weights exp(10 w) - 1, w [b, n] in 0..1, where `counted`."""
    share = functional.normalize(torch.expm1(SHARPNESS * weight) * counted, p=1.0, dim=1)
    return (share[:, None, :] @ features).squeeze(1)
