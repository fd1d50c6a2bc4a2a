"""The two branches on top of snippet features: classification and alignment (paper, sec. III-D)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from avadclip.detectors.parts.layers import Mlp, masked, unit
from avadclip.detectors.parts.padding import PaddingSettings
from avadclip.detectors.parts.text import ClassPrompts, TextTower
from avadclip.detectors.protocol import Dimensions, Scores
from avadclip.detectors.settings import Count, Optimizer, Recipe, Schedule

TEMPERATURE = 0.07

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

    local_window: Count = 4  # snippets
    av_prompt: Literal["released", "paper", "none"] = "released"
    prompt_prefix: Annotated[int, Field(ge=0)] = 10  # learned vectors before the class name
    prompt_suffix: Annotated[int, Field(ge=0)] = 10  # and after it
    recipe: Recipe = RELEASED_RECIPE


@dataclass(frozen=True)
class BranchOutput:
    """What detectors with both branches give for each position."""

    anomaly_logits: Tensor  # [b, n], classification branch; confidence A = sigmoid
    class_logits: Tensor  # [b, n, C], alignment map M; class probabilities = softmax
    features: Tensor  # [b, n, d], what the branches saw; students are taught to reproduce it
    class_embeddings: Tensor  # [C, d], of the class prompts alone
    log_variance: Tensor | None = None  # [b, n, d], how unsure a student is of `features`

    def scores(self) -> Scores:
        """Confidences, class probabilities, and the mean log variance of a student."""
        return Scores(
            anomaly=self.anomaly_logits.float().sigmoid(),
            class_probabilities=self.class_logits.float().softmax(dim=-1),
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
        self.prompts = ClassPrompts(dimensions, tower, settings.prompt_prefix, settings.prompt_suffix)
        self.classifier_mlp = Mlp(width)
        self.classifier = nn.Linear(width, 1)
        self.prompt_mlp = None if self.av_prompt == "none" else Mlp(width)
        if focal:  # alpha of the focal loss, learned
            self.focal_weights = nn.Parameter(torch.full((dimensions.n_classes,), 0.25))

    def forward(self, x: Tensor, attendable: Tensor | None, log_variance: Tensor | None = None) -> BranchOutput:
        """`attendable` [b, n]: positions that may influence others, None for all. `log_variance` is passed through."""
        logits: Tensor = self.classifier(x + self.classifier_mlp(x))  # [b, n, 1]
        class_embeddings: Tensor = self.prompts()
        enriched = self._enrich(class_embeddings, x, masked(logits, attendable))
        class_logits = unit(x) @ unit(enriched).transpose(-1, -2) / TEMPERATURE
        return BranchOutput(logits.squeeze(-1), class_logits, x, class_embeddings, log_variance)

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
