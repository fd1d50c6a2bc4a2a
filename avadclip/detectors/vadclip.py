"""VadCLIP (Wu et al., AAAI 2024): the visual branch that AVadCLIP grew from, trained from video labels.

The network is the visual student's without enhancement and uncertainty: local transformer, two graph branches,
classification and alignment with the visual prompt of the *raw logits*. Loss: `binary`, `nce` (no focal term), `text`.
Defaults are those of the authors' code for XD-Violence (nwpu-zxr/VadCLIP at f643c91); their paper says learning rate
2e-5, 20 epochs and batches of 64, and their settings for UCF-Crime are ``local_window: 8`` and a weight of 0.1.
"""

from typing import Any

from torch import Tensor

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.branches import RELEASED_RECIPE, BranchDetector, Branches, BranchOutput, BranchSettings
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Count, Recipe, Schedule


class VadClipSettings(BranchSettings):
    """Constants of the authors' `xd_option.py`."""

    modality: Modality = "visual"  # ours; the published system is visual
    local_window: Count = 64
    recipe: Recipe = RELEASED_RECIPE.model_copy(
        update={
            "schedule": Schedule(kind="milestones", milestones=(3, 6), gamma=0.1),
            "loss_weights": {"binary": 1.0, "nce": 1.0, "text": 1e-4},
        }
    )


class VadClip(BranchDetector):
    """One modality, two branches."""

    Settings = VadClipSettings
    settings: VadClipSettings

    def __init__(self, settings: VadClipSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        self.temporal = self.temporal_model(settings.modality)
        self.branches = Branches(settings, dimensions, tower, focal=False)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """One modality, and CLIP's text tower."""
        return Needs((settings.modality,), text_tower=True)

    def forward(self, batch: Batch) -> BranchOutput:
        attendable = self.attendable(batch)
        x = self.temporal(self.snippets(batch, self.settings.modality), batch.valid, attendable)
        output: BranchOutput = self.branches(x, attendable)
        return output

    def losses(self, output: BranchOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`, `nce` and `text`."""
        labels, n_snippets = targets.labels, batch.n_snippets
        return {
            "binary": losses.binary(output.anomaly_logits, labels, n_snippets),
            "nce": losses.nce(output.class_logits, labels, n_snippets),
            "text": losses.text(output.class_embeddings),
        }

    def scores(self, output: BranchOutput, batch: Batch) -> Scores:
        return output.scores()
