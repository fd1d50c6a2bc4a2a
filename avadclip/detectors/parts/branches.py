"""The two branches on top of snippet features: classification and alignment (paper, sec. III-D)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from avadclip.config.features import Modality
from avadclip.detectors.parts.layers import Mlp, masked, unit
from avadclip.detectors.parts.padding import PaddingDetector, PaddingSettings
from avadclip.detectors.parts.pretraining import pretrain
from avadclip.detectors.parts.temporal import TemporalModel
from avadclip.detectors.parts.text import ClassPrompts, TextTower
from avadclip.detectors.protocol import Batch, Dimensions, LabelledBatch, Scores
from avadclip.detectors.settings import Count, Optimizer, Positive, Recipe, Schedule, Share

# Of the authors' release, and of VadCLIP's before it.
RELEASED_RECIPE = Recipe(
    rounds=10,
    batch_size=96,
    optimizer=Optimizer(name="adamw", learning_rate=1e-5, weight_decay=0.01),
    schedule=Schedule(kind="milestones", milestones=(3, 6, 10), gamma=0.1),
    loss_weights={"binary": 1.0, "align": 1.0, "text": 1e-4},
)


class BranchSettings(PaddingSettings):
    """Settings of a detector with both branches on top of the temporal model."""

    local_layers: Count = 1
    local_window: Count = 4  # snippets
    av_prompt: Literal["released", "paper", "none"] = "released"
    prompt_prefix: Annotated[int, Field(ge=0)] = 10  # learned vectors before the class name
    prompt_suffix: Annotated[int, Field(ge=0)] = 10  # and after it
    temperature: Positive = 0.07  # by which the cosines of the alignment map are divided
    # Against memorising a few training videos. As released, all of them are off.
    feature_norm: Positive | None = None  # features of each modality are scaled to this length; null: as extracted
    feature_dropout: Share = 0.0  # of the features before both branches
    positions: bool = True  # a learned position embedding
    skip: bool = False  # a linear layer beside the temporal model, whose result then passes a gate that starts at 0
    freeze_prompts: bool = False  # the vectors around the class names are not learned
    # Rounds in which the temporal model first learns to restore hidden snippets; not written into files if 0.
    pretraining_rounds: Annotated[int, Field(ge=0, exclude_if=lambda rounds: rounds == 0)] = 0
    recipe: Recipe = RELEASED_RECIPE


class BranchDetector(PaddingDetector):
    """A detector with a temporal model and both branches."""

    settings: BranchSettings
    temporal: TemporalModel
    seen: Modality  # by the temporal model

    def observe(self, samples: Iterable[LabelledBatch]) -> None:
        """Pretrain the temporal model on the features of its modality, without labels."""
        if self.settings.pretraining_rounds > 0:
            videos = [
                self.snippets(sample.batch, self.seen)[view : view + 1, :n]
                for sample in samples
                for view, n in enumerate(sample.batch.n_snippets.tolist())
            ]
            pretrain(self.temporal, videos, self.settings.pretraining_rounds)

    def temporal_model(self, modality: Modality) -> TemporalModel:
        """A temporal model with fresh weights, by the settings."""
        settings, dimensions, self.seen = self.settings, self.dimensions, modality
        return TemporalModel(
            width_in=dimensions.widths[modality],
            width_out=dimensions.embedding_width,
            max_snippets=dimensions.max_snippets,
            n_layers=settings.local_layers,
            window=settings.local_window,
            positions=settings.positions,
            skip=settings.skip,
        )

    def snippets(self, batch: Batch, modality: Modality) -> Tensor:
        """As in the base class; of length `feature_norm` if that is set."""
        features, norm = super().snippets(batch, modality), self.settings.feature_norm
        return features if norm is None else norm * unit(features)

    def confidences(self, output: "BranchOutput", batch: Batch) -> Tensor:
        """Confidences of both branches [b, n, 2]."""
        return torch.stack([output.anomaly_logits.float().sigmoid(), 1.0 - output.class_probabilities[..., 0]], dim=-1)


@dataclass(frozen=True)
class BranchOutput:
    """The output of detectors with both branches for each position."""

    anomaly_logits: Tensor  # [b, n], classification branch; confidence A = sigmoid
    class_logits: Tensor  # [b, n, C], alignment map M; class probabilities = softmax
    features: Tensor  # [b, n, d], input of the branches, before dropout; students learn to reproduce it
    class_embeddings: Tensor  # [C, d], of the class prompts alone
    log_variance: Tensor | None = None  # [b, n, d], a student's uncertainty of `features`

    @property
    def class_probabilities(self) -> Tensor:
        """[b, n, C] in float32."""
        return self.class_logits.float().softmax(dim=-1)

    def scores(self) -> Scores:
        """Confidences, class probabilities, and the mean log variance of a student."""
        return Scores(
            anomaly=self.anomaly_logits.float().sigmoid(),
            class_probabilities=self.class_probabilities,
            uncertainty=None if self.log_variance is None else self.log_variance.float().mean(dim=-1),
        )


class Branches(nn.Module):
    """Snippet features X [b, n, d] -> anomaly logits and alignment map."""

    def __init__(
        self, settings: BranchSettings, dimensions: Dimensions, tower: TextTower | None, focal: bool = True
    ) -> None:
        super().__init__()
        width = dimensions.embedding_width
        self.av_prompt = settings.av_prompt
        self.temperature = settings.temperature
        prefix, suffix = settings.prompt_prefix, settings.prompt_suffix
        self.prompts = ClassPrompts(dimensions, tower, prefix, suffix, settings.freeze_prompts)
        self.dropout = nn.Dropout(settings.feature_dropout)
        self.classifier_mlp = Mlp(width)
        self.classifier = nn.Linear(width, 1)
        self.prompt_mlp = None if self.av_prompt == "none" else Mlp(width)
        # alpha of the focal loss, learned
        self.focal_weights = nn.Parameter(torch.full((dimensions.n_classes,), 0.25)) if focal else None

    def forward(self, features: Tensor, attendable: Tensor | None, log_variance: Tensor | None = None) -> BranchOutput:
        """`attendable` [b, n]: positions that may influence others, None for all. `log_variance` is passed through."""
        x: Tensor = self.dropout(features)
        logits: Tensor = self.classifier(x + self.classifier_mlp(x))  # [b, n, 1]
        class_embeddings: Tensor = self.prompts()
        enriched = self._enrich(class_embeddings, x, masked(logits, attendable))
        class_logits = unit(x) @ unit(enriched).transpose(-1, -2) / self.temperature
        return BranchOutput(logits.squeeze(-1), class_logits, features, class_embeddings, log_variance)

    def _enrich(self, class_embeddings: Tensor, x: Tensor, logits: Tensor) -> Tensor:
        """X_cp [b or 1, C, d]: class embeddings with the audio-visual prompt of each video (eq. 4-7)."""
        if self.prompt_mlp is None:
            return class_embeddings[None]
        video = unit(logits.transpose(1, 2) @ x)  # X_p [b, 1, d]
        if self.av_prompt == "released":
            # The released softmax runs over identical columns, so every class gets X_p itself.
            kept = summed = class_embeddings + video
        else:
            share = (video @ class_embeddings.T).softmax(dim=-1)  # S_p [b, 1, C]
            kept, summed = class_embeddings, class_embeddings + share.transpose(1, 2) * video
        enriched: Tensor = kept + self.prompt_mlp(summed)
        return enriched
