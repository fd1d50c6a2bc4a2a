"""FVAI (Pang et al., ICASSP 2021): vision and sound guide each other and are multiplied. Reconstructed: no code.

- Paper (abstract): attention by mutual guidance, bilinear pooling, mutual learning with another, visual network.
- Reconstructed: a sigmoid of each modality weighs the channels of the other; factorised pooling; deep mutual learning.
- Ours: all widths; the other network, which sees five snippets at once (this one: one); bag losses; HL-Net's recipe.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from avadclip.detectors.parts import losses
from avadclip.detectors.parts.bilinear import BilinearPooling
from avadclip.detectors.parts.layers import TemporalConv, masked
from avadclip.detectors.parts.mutual import mutual
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Schedule, Settings, Share

PEER_REACH = 5  # snippets


class FvaiSettings(Settings):
    """All of them are ours."""

    width: Count = 128
    factors: Count = 4  # products that are summed to an element of the fused feature
    dropout: Share = 0.5
    recipe: Recipe = Recipe(
        rounds=50,
        batch_size=128,
        bag=Bag(kind="pick", length=200),
        optimizer=Optimizer(name="adam", learning_rate=1e-4, weight_decay=0.0),
        schedule=Schedule(kind="milestones", milestones=(10,), gamma=0.1),
        loss_weights={"binary": 1.0, "peer": 1.0, "mutual": 1.0},
    )


class Peer(nn.Module):
    """The other network: visual features [b, n, width in] -> logits [b, n], each from the snippets around it."""

    def __init__(self, width_in: int, width: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(width_in, width)
        self.around = TemporalConv(width, width, PEER_REACH)
        self.head = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, snippets: Tensor, valid: Tensor) -> Tensor:
        x = self.dropout(functional.relu(self.project(snippets)))
        logits: Tensor = self.head(self.dropout(functional.relu(self.around(masked(x, valid))))).squeeze(-1)
        return logits


@dataclass(frozen=True)
class FvaiOutput:
    """Logits [b, n]; those of the other network only in training."""

    anomaly_logits: Tensor
    peer_logits: Tensor | None = None


class Fvai(Detector):
    """Each snippet alone, from both modalities."""

    Settings = FvaiSettings
    settings: FvaiSettings

    def __init__(self, settings: FvaiSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        width, widths = settings.width, dimensions.widths
        self.project_visual, self.project_audio = (nn.Linear(widths[name], width) for name in self.modalities)
        self.guide_visual, self.guide_audio = nn.Linear(width, width), nn.Linear(width, width)
        self.fusion = BilinearPooling(width, settings.factors)
        self.head = nn.Linear(width, 1)
        self.dropout = nn.Dropout(settings.dropout)
        self.peer = Peer(widths["visual"], width, settings.dropout)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """Both modalities, and nothing else."""
        return Needs(("visual", "audio"))

    def inference_state(self) -> dict[str, Tensor]:
        """All except the other network."""
        return {name: x for name, x in self.state_dict().items() if not name.startswith("peer.")}

    def forward(self, batch: Batch) -> FvaiOutput:
        snippets = self.snippets(batch, "visual")
        vision = self.dropout(functional.relu(self.project_visual(snippets)))
        sound = self.dropout(functional.relu(self.project_audio(self.snippets(batch, "audio"))))
        guided_vision = vision * torch.sigmoid(self.guide_visual(sound))
        guided_sound = sound * torch.sigmoid(self.guide_audio(vision))
        logits = self.head(self.dropout(self.fusion(guided_vision, guided_sound))).squeeze(-1)
        return FvaiOutput(logits, self.peer(snippets, batch.valid) if self.training else None)

    def losses(self, output: FvaiOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`; in training also the other network's own (`peer`), and what both learn mutually."""
        labels, n_snippets = targets.labels, batch.n_snippets
        terms = {"binary": losses.binary_of_logits(output.anomaly_logits, labels, n_snippets)}
        if output.peer_logits is not None:
            terms["peer"] = losses.binary_of_logits(output.peer_logits, labels, n_snippets)
            terms["mutual"] = mutual(output.anomaly_logits, output.peer_logits, batch.valid)
        return terms

    def scores(self, output: FvaiOutput, batch: Batch) -> Scores:
        return Scores(output.anomaly_logits.float().sigmoid())
