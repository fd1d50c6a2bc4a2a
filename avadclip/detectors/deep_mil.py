"""DeepMIL (Sultani et al., CVPR 2018): a ranking network over single segments; names no classes.

From WaqasSultani/AnomalyDetectionCVPR2018 at 8aa957c: segments of unit length, 512 - 32 - 1 units with dropout 0.6,
*no* activation after the second layer, a hinge between the highest segments of every normal and every anomalous video,
sparsity and smoothness of the anomalous ones, L2 on the weights, Adagrad. Their 20,000 steps are 20 rounds of 1,000.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Settings, Share

SHORTEST = 1e-12  # minimal length to divide by, because padding has length 0


class DeepMilSettings(Settings):
    """Constants of the authors' training script."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual",)  # joined, if both
    hidden: tuple[Count, Count] = (512, 32)
    dropout: Share = 0.6
    recipe: Recipe = Recipe(
        rounds=20,
        steps_per_round=1000,
        batches="pairs",
        batch_size=30,
        bag=Bag(kind="resample", length=32),
        optimizer=Optimizer(name="adagrad", learning_rate=0.01, weight_decay=0.0),
        loss_weights={"rank": 1.0, "sparse": 8e-5, "smooth": 8e-5, "weights": 1e-3},
    )


@dataclass(frozen=True)
class DeepMilOutput:
    """Logits [b, n] of each segment."""

    anomaly_logits: Tensor


class DeepMil(Detector):
    """Three linear layers over each segment alone, so neighbours and padding have no influence."""

    Settings = DeepMilSettings
    settings: DeepMilSettings

    def __init__(self, settings: DeepMilSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        first, second = settings.hidden
        width = sum(dimensions.widths[modality] for modality in settings.modalities)
        self.first, self.second, self.last = nn.Linear(width, first), nn.Linear(first, second), nn.Linear(second, 1)
        self.dropout = nn.Dropout(settings.dropout)
        for layer in self._layers:
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def _layers(self) -> tuple[nn.Linear, ...]:
        return self.first, self.second, self.last

    def forward(self, batch: Batch) -> DeepMilOutput:
        x = self.joined_snippets(batch)
        # Segments have unit length; scaling the output of the first layer is cheaper than scaling its many inputs.
        length = x.float().norm(dim=-1, keepdim=True).clamp(min=SHORTEST)
        first = functional.linear(x, self.first.weight) / length + self.first.bias
        hidden = self.dropout(self.second(self.dropout(functional.relu(first))))
        return DeepMilOutput(self.last(hidden).squeeze(-1))

    def losses(self, output: DeepMilOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`rank`, `sparse`, `smooth`, and `weights`, the squares of all weights."""
        confidence = output.anomaly_logits.float().sigmoid()
        is_anomalous = targets.labels[:, 0] == 0
        return {
            "rank": losses.rank(confidence, is_anomalous, batch.valid),
            "sparse": losses.sparse(confidence[is_anomalous], batch.valid[is_anomalous]),
            "smooth": losses.smooth(confidence[is_anomalous], batch.valid[is_anomalous]),
            "weights": torch.stack([layer.weight.norm().square() for layer in self._layers]).sum(),
        }

    def scores(self, output: DeepMilOutput, batch: Batch) -> Scores:
        return Scores(output.anomaly_logits.float().sigmoid())
