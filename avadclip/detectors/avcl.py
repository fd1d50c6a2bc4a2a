"""AVCL (IEEE TMM 2025): sound decides what is hard to see, and each modality learns from both; names no classes.

- Paper (abstract): the variation of the sound separates visually ambiguous snippets of anomalous videos; branches of
  one modality and of both learn mutually.
- Reconstructed: the ambiguous snippets are those with a middle visual score; deep mutual learning.
- Ours: all constants, MACIL-SD's attention layer, bag losses, MACIL-SD's recipe.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts import losses
from avadclip.detectors.parts.asking import AskingLayer
from avadclip.detectors.parts.layers import unit
from avadclip.detectors.parts.mutual import mutual
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.parts.top_k import mean_or_zero, top_k
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Schedule, Settings, Share


class AvclSettings(Settings):
    """All of them are ours."""

    width: Count = 128
    heads: Count = 4
    mlp_width: Count = 128
    dropout: Share = 0.1
    recipe: Recipe = Recipe(
        rounds=50,
        batch_size=128,
        bag=Bag(kind="pick", length=200),
        optimizer=Optimizer(name="adam", learning_rate=4e-4, weight_decay=0.0),
        schedule=Schedule(kind="cosine", cosine_rounds=60),
        loss_weights={"binary": 1.0, "visual": 1.0, "audio": 1.0, "mutual": 1.0, "hard": 0.1},
    )


@dataclass(frozen=True)
class AvclOutput:
    """Logits [b, n] of both modalities together; in training also of each alone."""

    anomaly_logits: Tensor
    visual_logits: Tensor | None = None
    audio_logits: Tensor | None = None


class Branch(nn.Module):
    """Self-attention over one modality [b, n, d] -> logits [b, n]."""

    def __init__(self, layer: AskingLayer, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 1)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer(x, x, valid)).squeeze(-1)
        return logits


class Avcl(Detector):
    """A visual branch, an audio branch, and one of both modalities."""

    Settings = AvclSettings
    settings: AvclSettings

    def __init__(self, settings: AvclSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        width = settings.width
        self.project_visual, self.project_audio = (
            nn.Linear(dimensions.widths[modality], width) for modality in self.modalities
        )
        self.layer, self.head = self._layer(), nn.Linear(2 * width, 1)
        self.visual, self.audio = Branch(self._layer(), width), Branch(self._layer(), width)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """Both modalities, and nothing else."""
        return Needs(("visual", "audio"))

    def inference_state(self) -> dict[str, Tensor]:
        """All except the branches of one modality."""
        return {name: x for name, x in self.state_dict().items() if not name.startswith(("visual.", "audio."))}

    def forward(self, batch: Batch) -> AvclOutput:
        valid = batch.valid
        vision = functional.relu(self.project_visual(self.snippets(batch, "visual")))
        sound = functional.relu(self.project_audio(self.snippets(batch, "audio")))
        asked = self.layer(vision, sound, valid), self.layer(sound, vision, valid)
        logits: Tensor = self.head(torch.cat(asked, dim=-1)).squeeze(-1)
        if not self.training:
            return AvclOutput(logits)
        return AvclOutput(logits, self.visual(vision, valid), self.audio(sound, valid))

    def losses(self, output: AvclOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`; in training also that of each modality, the mutual term of all, and that of the `hard` snippets."""
        labels, n_snippets = targets.labels, batch.n_snippets
        both, seen, heard = output.anomaly_logits, output.visual_logits, output.audio_logits
        terms = {"binary": losses.binary_of_logits(both, labels, n_snippets)}
        if seen is not None and heard is not None:
            terms["visual"] = losses.binary_of_logits(seen, labels, n_snippets)
            terms["audio"] = losses.binary_of_logits(heard, labels, n_snippets)
            # Where there is no sound, the audio branch agrees with the others.
            heard = torch.where(_audible(batch), heard, both.detach())
            terms["mutual"] = mutual(both, seen, batch.valid) + mutual(both, heard, batch.valid)
            terms["hard"] = self._hard(both.float(), seen.detach().float().sigmoid(), batch, labels[:, 0] == 0)
        return terms

    def scores(self, output: AvclOutput, batch: Batch) -> Scores:
        return Scores(output.anomaly_logits.float().sigmoid())

    def _hard(self, logits: Tensor, seen: Tensor, batch: Batch, anomalous: Tensor) -> Tensor:
        """Of the 2k snippets in the middle of what is `seen` [b, n], those whose sound varies most are anomalous.

        k = floor(n / 16) + 1. A video counts where it is anomalous and the sound tells them apart.
        """
        valid, n_snippets = batch.valid, batch.n_snippets
        middle = (seen.masked_fill(~valid, -1.0).amax(dim=1) + seen.masked_fill(~valid, 2.0).amin(dim=1)) / 2
        k = torch.minimum(n_snippets // 16 + 1, n_snippets // 2)
        ambiguous = top_k(-(seen - middle[:, None]).abs(), n_snippets, 2 * k)
        variation = _variation(batch)
        varied = top_k(variation.masked_fill(~ambiguous, -1.0), n_snippets, k)
        steady = ambiguous & ~varied
        counted = anomalous & ((variation * varied).sum(dim=1) > (variation * steady).sum(dim=1))
        errors = functional.softplus(-logits) * varied + functional.softplus(logits) * steady
        return mean_or_zero((errors.sum(dim=1) / (2 * k).clamp(min=1))[counted])

    def _layer(self) -> AskingLayer:
        s = self.settings
        return AskingLayer(s.width, s.heads, s.mlp_width, s.dropout)


def _audible(batch: Batch) -> Tensor:
    assert batch.audio_valid is not None
    return batch.valid & batch.audio_valid


def _variation(batch: Batch) -> Tensor:
    """[b, n]: 1 - cosine between a snippet's sound and its neighbours', the larger of both; 0 without sound in both."""
    assert batch.audio is not None
    directions, audible = unit(batch.audio.float()), _audible(batch)
    steps = 1.0 - (directions[:, 1:] * directions[:, :-1]).sum(dim=2)
    steps = steps.clamp(min=0.0) * (audible[:, 1:] & audible[:, :-1])
    return torch.maximum(functional.pad(steps, (1, 0)), functional.pad(steps, (0, 1)))
