"""Ju et al. (ECCV 2022, "Efficient-Prompt"): learned vectors around class names; as a detector of anomalies, ours.

- Paper and code (ju-chen/Efficient-Prompt at 1f69a18), which recognise actions in short clips: 16 + 16 vectors that all
  classes share, a transformer layer of 8 heads over the frames with positions, cosines / 0.07; AdamW, 1e-4.
- Reconstructed: nothing. How others made it find anomalies is not documented.
- Ours: cosines of each snippet instead of their mean feature, VadCLIP's `nce` over them, 1 - p(normal), rounds, bags.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.layers import to_width, unit
from avadclip.detectors.parts.text import ClassPrompts, TextTower
from avadclip.detectors.parts.transformer import TransformerLayer, head_attention
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Needs, Scores, Targets, Testing
from avadclip.detectors.settings import Count, Optimizer, Positive, Recipe, Settings


class EfficientPromptSettings(Settings):
    """Constants of the authors' code for action recognition."""

    modality: Modality = "visual"
    prompt_prefix: Annotated[int, Field(ge=0)] = 16  # learned vectors before the class name
    prompt_suffix: Annotated[int, Field(ge=0)] = 16  # and after it
    layers: Count = 1
    heads: Count = 8
    temperature: Positive = 0.07
    recipe: Recipe = Recipe(
        rounds=10,
        batch_size=64,
        optimizer=Optimizer(name="adamw", learning_rate=1e-4, weight_decay=0.01),
        loss_weights={"nce": 1.0},
    )


@dataclass(frozen=True)
class EfficientPromptOutput:
    """Similarity of each snippet and each class: logits [b, n, C]."""

    class_logits: Tensor


class EfficientPrompt(Detector):
    """A transformer over the snippets, and class prompts."""

    Settings = EfficientPromptSettings
    settings: EfficientPromptSettings

    def __init__(
        self, settings: EfficientPromptSettings, dimensions: Dimensions, tower: TextTower | None = None
    ) -> None:
        super().__init__(settings, dimensions, tower)
        width = dimensions.embedding_width
        self.align = to_width(dimensions.widths[settings.modality], width)
        self.positions = nn.Parameter(torch.empty(dimensions.max_snippets, width).normal_(std=0.01))
        self.layers = nn.ModuleList(TransformerLayer(width) for _ in range(settings.layers))
        self.prompts = ClassPrompts(dimensions, tower, settings.prompt_prefix, settings.prompt_suffix)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """One modality, and CLIP's text tower."""
        return Needs((settings.modality,), text_tower=True)

    @property
    def testing(self) -> Testing:
        """In windows as long as training samples, because there are no more positions."""
        return Testing(window=self.dimensions.max_snippets)

    def forward(self, batch: Batch) -> EfficientPromptOutput:
        snippets = self.snippets(batch, self.settings.modality)
        x = self.align(snippets) + self.positions[: snippets.shape[1]]
        attend = partial(head_attention, heads=self.settings.heads, mask=batch.valid[:, None, None, :])
        for layer in self.layers:
            x = layer(x, attend)
        return EfficientPromptOutput(unit(x) @ unit(self.prompts()).T / self.settings.temperature)

    def losses(self, output: EfficientPromptOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Only `nce`."""
        return {"nce": losses.nce(output.class_logits, targets.labels, batch.n_snippets)}

    def scores(self, output: EfficientPromptOutput, batch: Batch) -> Scores:
        probabilities = output.class_logits.float().softmax(dim=-1)
        return Scores(1.0 - probabilities[..., 0], probabilities)
