"""The two branches on top of snippet features: classification and alignment (paper, sec. III-D)."""

import torch
from torch import Tensor, nn

from avadclip.config.detector import Architecture
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.layers import Mlp, silence, unit
from avadclip.detectors.parts.text import ClassPrompts, TextTower
from avadclip.detectors.protocol import Batch, DetectorOutput, Dimensions, Targets

TEMPERATURE = 0.07


class Branches(nn.Module):
    """Snippet features X [b, n, d] -> anomaly logits, alignment map, and the loss terms that labels give."""

    def __init__(self, architecture: Architecture, dimensions: Dimensions, tower: TextTower | None) -> None:
        super().__init__()
        width = dimensions.embedding_width
        self.av_prompt = architecture.av_prompt
        self.prompts = ClassPrompts(dimensions, tower, architecture.prompt_prefix, architecture.prompt_suffix)
        self.classifier_mlp = Mlp(width)
        self.classifier = nn.Linear(width, 1)
        self.prompt_mlp = None if self.av_prompt == "none" else Mlp(width)
        self.focal_weights = nn.Parameter(torch.full((dimensions.n_classes,), 0.25))  # alpha of the focal loss, learned

    def forward(self, x: Tensor, seen: Tensor | None, log_variance: Tensor | None = None) -> DetectorOutput:
        """`seen` [b, n]: positions that may influence others, None for all. `log_variance` is passed through."""
        logits: Tensor = self.classifier(x + self.classifier_mlp(x))  # [b, n, 1]
        class_embeddings: Tensor = self.prompts()
        enriched = self._enrich(class_embeddings, x, silence(logits, seen))
        class_logits = unit(x) @ unit(enriched).transpose(-1, -2) / TEMPERATURE
        return DetectorOutput(logits.squeeze(-1), class_logits, x, class_embeddings, log_variance)

    def losses(self, output: DetectorOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Terms of sec. III-E: `binary`, `align`, `text`."""
        assert output.class_logits is not None
        assert output.class_embeddings is not None
        labels, n_snippets = targets.labels, batch.n_snippets
        return {
            "binary": losses.binary(output.anomaly_logits, labels, n_snippets),
            "align": losses.align(output.class_logits, labels, n_snippets, self.focal_weights),
            "text": losses.text(output.class_embeddings),
        }

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
