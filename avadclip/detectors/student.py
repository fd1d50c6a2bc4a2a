"""AVadCLIP's student: has one modality and learns the features of the audio-visual detector (sec. III-F).

After the temporal model come two heads on the same features: enhancement, which feeds the branches, and uncertainty.
Without a teacher (``distillation: none``) it is the same network, trained from labels alone. Defaults are the released
ones.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.branches import RELEASED_RECIPE, BranchDetector, Branches, BranchOutput, BranchSettings
from avadclip.detectors.parts.layers import TemporalConv, masked, unit
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Count, Recipe
from avadclip.errors import TrainingError


class StudentSettings(BranchSettings):
    """Switches, see docs/method.md."""

    modality: Modality = "visual"
    distillation: Literal["ukd", "mse", "none"] = "ukd"
    normalize_features: bool = False  # compare features of unit mean square, so that a weight near 1 has an effect
    local_window: Count = 64
    enhancement_layers: Annotated[int, Field(ge=0)] = 3  # released; the paper draws one
    recipe: Recipe = RELEASED_RECIPE.model_copy(
        update={"loss_weights": {**RELEASED_RECIPE.loss_weights, "ukd": 1e-8, "mse": 1e-8}}
    )


class StudentDetector(BranchDetector):
    """The visual or audio student."""

    Settings = StudentSettings
    settings: StudentSettings

    def __init__(self, settings: StudentSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        width = dimensions.embedding_width
        self.temporal = self.temporal_model(settings.modality)
        self.enhancement = nn.ModuleList(TemporalConv(width, width, 3) for _ in range(settings.enhancement_layers))
        # Without its loss the head would learn nothing, and its output would mean nothing.
        self.uncertainty = UncertaintyHead(width) if settings.distillation == "ukd" else None
        self.branches = Branches(settings, dimensions, tower)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """One modality, CLIP's text tower, and a teacher unless there is no distillation."""
        return Needs((settings.modality,), text_tower=True, teacher=settings.distillation != "none")

    def forward(self, batch: Batch) -> BranchOutput:
        attendable = self.attendable(batch)
        x = self.temporal(self.snippets(batch, self.settings.modality), batch.valid, attendable)
        log_variance = None if self.uncertainty is None else self.uncertainty(self._comparable(x), attendable)
        for convolution in self.enhancement:
            x = x + functional.relu(convolution(masked(x, attendable)))
        output: BranchOutput = self.branches(x, attendable, log_variance)
        return output

    def losses(self, output: BranchOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Terms of the labels and, if there is a teacher, `ukd` or `mse` and further terms that have a weight.

        As released, `teacher_scores`, `class_map` and `relations` (ours) have none.
        """
        terms = losses.of_branches(output, targets.labels, batch.n_snippets, self.branches.focal_weights)
        if targets.teacher is not None:
            teacher, student = self._comparable(_features(targets.teacher)), self._comparable(output.features)
            counted = self.counted(batch, self.settings.modality)
            if output.log_variance is not None:
                terms["ukd"] = losses.ukd(teacher, student, output.log_variance, counted)
            elif self.settings.distillation == "mse":
                terms["mse"] = losses.mse(teacher, student, counted)
            terms |= self._more_of(targets.teacher, output, counted)
        return terms

    def scores(self, output: BranchOutput, batch: Batch) -> Scores:
        return output.scores()

    def _more_of(self, teacher: BranchOutput, output: BranchOutput, counted: Tensor) -> dict[str, Tensor]:
        """The further terms of the teacher that have a weight."""
        weights, terms = self.settings.recipe.loss_weights, {}
        if weights.get("teacher_scores", 0.0) > 0:
            terms["teacher_scores"] = losses.teacher_scores(teacher, output, counted)
        if weights.get("class_map", 0.0) > 0:
            terms["class_map"] = losses.class_map(teacher, output, counted)
        if weights.get("relations", 0.0) > 0:
            terms["relations"] = losses.relations(teacher.features, output.features, counted)
        return terms

    def _comparable(self, features: Tensor) -> Tensor:
        """Features [b, n, d] as distillation compares them."""
        if not self.settings.normalize_features:
            return features
        # With raw features, a few outliers dominate the loss through the predicted variance.
        normalized: Tensor = features.shape[-1] ** 0.5 * unit(features)
        return normalized


class UncertaintyHead(nn.Module):
    """Log variance theta = -(x + u(x)) of each feature (paper, fig. 3); [b, n, d] -> [b, n, d]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.neighbours = TemporalConv(width, width, kernel_size=3)
        self.outer = nn.Linear(width, width)

    def forward(self, x: Tensor, attendable: Tensor | None) -> Tensor:
        hidden = self.neighbours(masked(functional.relu(self.inner(x)), attendable))
        return -(x + functional.relu(self.outer(hidden)))


def _features(teacher: Any) -> Tensor:
    features = getattr(teacher, "features", None)
    if not isinstance(features, Tensor):
        raise TrainingError(
            "the teacher gives no features [b, n, d] that a student could learn; in params.yaml, name a variant of"
            " kind audio_visual as `teacher`"
        )
    return features
