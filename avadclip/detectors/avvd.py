"""AVVD (Wu et al., TMM 2022): three graphs over the snippets that name the classes. Reconstructed: there is no code.

- Paper (abstract): branches by similarity, proximity and score; frames and events; (VadCLIP's paper) trains on classes.
- Reconstructed: HL-Net, by the same authors, with one logit per class, and VadCLIP's multi-label NCE.
- Ours: every constant and the recipe, which are HL-Net's; its approximator of "any anomaly"; the score 1 - p(normal).
"""

from dataclasses import dataclass

from torch import Tensor

from avadclip.detectors.parts import losses
from avadclip.detectors.parts.graph_detector import GraphDetector, GraphSettings, approximation, graph_recipe
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Dimensions, Scores, Targets
from avadclip.detectors.settings import Recipe


class AvvdSettings(GraphSettings):
    """Constants of HL-Net."""

    recipe: Recipe = graph_recipe({"nce": 1.0, "binary_online": 1.0, "approximation": 5.0})


@dataclass(frozen=True)
class AvvdOutput:
    """Logits of the classes [b, n, C], of which class 0 is normal; and of the approximator [b, n], which is online."""

    class_logits: Tensor
    online_logits: Tensor

    @property
    def class_probabilities(self) -> Tensor:
        """[b, n, C] in float32."""
        return self.class_logits.float().softmax(dim=-1)


class Avvd(GraphDetector):
    """One logit per class and snippet."""

    Settings = AvvdSettings
    settings: AvvdSettings

    def __init__(self, settings: AvvdSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, n_outputs=dimensions.n_classes)

    def forward(self, batch: Batch) -> AvvdOutput:
        return AvvdOutput(*self.logits(batch))

    def losses(self, output: AvvdOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`nce` of the classes; `binary_online` and `approximation` of the online score."""
        anomaly = 1.0 - output.class_probabilities[..., 0]
        return {
            "nce": losses.nce(output.class_logits, targets.labels, batch.n_snippets),
            "binary_online": losses.binary_of_logits(output.online_logits, targets.labels, batch.n_snippets),
            "approximation": approximation(anomaly, output.online_logits, batch),
        }

    def scores(self, output: AvvdOutput, batch: Batch) -> Scores:
        probabilities = output.class_probabilities
        return Scores(1.0 - probabilities[..., 0], probabilities)
