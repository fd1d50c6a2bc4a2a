"""HL-Net (Wu et al., ECCV 2020, "Not only Look, but also Listen"): three graphs over the snippets; names no classes.

From Roc-Ng/XDVioDet at f846d8c: features of both modalities joined, two linear layers, graphs by similarity, distance
and score, and an *approximator* that sees only the past and learns from the graphs. Their optimiser's rate falls after
10 of 50 epochs. Layers that they do not use are left out.
"""

from dataclasses import dataclass

from torch import Tensor

from avadclip.detectors.parts import losses
from avadclip.detectors.parts.graph_detector import GraphDetector, GraphSettings, approximation, graph_recipe
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Dimensions, Scores, Targets
from avadclip.detectors.settings import Recipe


class HlNetSettings(GraphSettings):
    """Constants of the authors' `model.py`, `option.py` and `main.py`."""

    recipe: Recipe = graph_recipe({"binary": 1.0, "binary_online": 1.0, "approximation": 5.0})


@dataclass(frozen=True)
class HlNetOutput:
    """Logits [b, n] of the graphs, and of the approximator, which is online."""

    anomaly_logits: Tensor
    online_logits: Tensor


class HlNet(GraphDetector):
    """One logit per snippet."""

    Settings = HlNetSettings
    settings: HlNetSettings

    def __init__(self, settings: HlNetSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, n_outputs=1)

    def forward(self, batch: Batch) -> HlNetOutput:
        logits, online_logits = self.logits(batch)
        return HlNetOutput(logits.squeeze(-1), online_logits)

    def losses(self, output: HlNetOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`, `binary_online`, and `approximation`: the online score should be high where the other is."""
        return {
            "binary": losses.binary_of_logits(output.anomaly_logits, targets.labels, batch.n_snippets),
            "binary_online": losses.binary_of_logits(output.online_logits, targets.labels, batch.n_snippets),
            "approximation": approximation(output.anomaly_logits.float().sigmoid(), output.online_logits, batch),
        }

    def scores(self, output: HlNetOutput, batch: Batch) -> Scores:
        return Scores(output.anomaly_logits.float().sigmoid())
