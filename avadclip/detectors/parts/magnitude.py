"""Detectors that score a video by its snippets of the largest feature magnitude: RTFM and CLIP-TSA."""

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.multi_scale import MultiScaleNetwork
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Positive, Recipe, Settings, Share

LOSS_WEIGHTS = {"binary": 1.0, "magnitude": 1e-4, "smooth": 8e-4, "sparse": 8e-3}


def magnitude_recipe(rounds: int, steps_per_round: int, batch_size: int) -> Recipe:
    """What the recipes of these systems have in common."""
    return Recipe(
        rounds=rounds,
        steps_per_round=steps_per_round,
        batches="pairs",
        batch_size=batch_size,
        bag=Bag(kind="resample", length=32),
        views="together",
        optimizer=Optimizer(name="adam", learning_rate=1e-3, weight_decay=5e-3),
        loss_weights=LOSS_WEIGHTS,
    )


class MagnitudeSettings(Settings):
    """Constants of RTFM's `model.py` and `train.py`."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual",)  # joined, if both
    # Units of the head; null: a quarter and a sixteenth of the width of the features, as in CLIP-TSA.
    hidden: tuple[Count, Count] | None = None
    dropout: Share = 0.7
    n_chosen: Count = 3  # snippets that represent a video
    ignored: Share = 0.7  # of the snippets, which are excluded at random in each step
    margin: Positive = 100.0
    smooth_across_videos: bool = False  # true: as released, also from the end of one video to the next of the batch


@dataclass(frozen=True)
class MagnitudeOutput:
    """Features [b, n, d] whose length is compared, and logits [b, n] of each snippet."""

    features: Tensor
    anomaly_logits: Tensor


class MagnitudeDetector(Detector):
    """Multi-scale temporal network and a head of three layers; views of a video are judged together."""

    settings: MagnitudeSettings

    def __init__(self, settings: MagnitudeSettings, dimensions: Dimensions, width: int | None = None) -> None:
        super().__init__(settings, dimensions)
        self.width = width = width or self.width_in
        first, second = settings.hidden or (max(1, width // 4), max(1, width // 16))
        self.temporal = MultiScaleNetwork(width)
        self.first, self.second, self.last = nn.Linear(width, first), nn.Linear(first, second), nn.Linear(second, 1)
        self.dropout = nn.Dropout(settings.dropout)

    @property
    def width_in(self) -> int:
        """Width of the joined features."""
        return sum(self.dimensions.widths[modality] for modality in self.settings.modalities)

    def attended(self, x: Tensor, batch: Batch) -> Tensor:
        """The input of the temporal network, from features [b, n, width]; unchanged unless overridden."""
        return x

    def forward(self, batch: Batch) -> MagnitudeOutput:
        x = self.joined_snippets(batch)
        valid = None if bool(batch.valid.all()) else batch.valid
        features = self.dropout(self.temporal(self.attended(x, batch), valid))
        hidden = self.dropout(functional.relu(self.first(features)))
        hidden = self.dropout(functional.relu(self.second(hidden)))
        return MagnitudeOutput(features, self.last(hidden).squeeze(-1))

    def losses(self, output: MagnitudeOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`, `magnitude`, `smooth` and `sparse`; the last two of the anomalous videos."""
        settings, views = self.settings, batch.n_views
        b, n, d = output.features.shape
        features = output.features.float().view(b // views, views, n, d)
        confidence = output.anomaly_logits.float().sigmoid().view(b // views, views, n).mean(dim=1)
        valid, is_anomalous = batch.valid[::views], targets.labels[::views, 0] == 0
        with torch.no_grad():
            magnitudes = features.norm(dim=-1).mean(dim=1)
            considered = functional.dropout(torch.ones_like(magnitudes), settings.ignored, self.training)
            chosen = chosen_of(magnitudes * considered, valid, settings.n_chosen)
        n_chosen = chosen.sum(dim=1)
        means = torch.einsum("bvnd,bn->bvd", features, chosen) / n_chosen[:, None, None]
        shown, shown_valid = confidence[is_anomalous], valid[is_anomalous]
        if settings.smooth_across_videos:
            shown, shown_valid = shown.reshape(1, -1), shown_valid.reshape(1, -1)
        return {
            "binary": functional.binary_cross_entropy(
                (confidence * chosen).sum(dim=1) / n_chosen, is_anomalous.float()
            ),
            "magnitude": losses.magnitude(means.norm(dim=-1), is_anomalous, settings.margin),
            "smooth": losses.smooth(shown, shown_valid),
            "sparse": losses.sparse_norm(shown, shown_valid),
        }

    def scores(self, output: MagnitudeOutput, batch: Batch) -> Scores:
        return Scores(output.anomaly_logits.float().sigmoid())


def chosen_of(magnitudes: Tensor, valid: Tensor, k: int) -> Tensor:
    """1 at the k largest magnitudes [b, n] of the valid snippets of each video (all, if it has fewer), else 0."""
    k = min(k, magnitudes.shape[1])
    order = magnitudes.masked_fill(~valid, -torch.inf).topk(k, dim=1).indices
    return torch.zeros_like(magnitudes).scatter_(1, order, 1.0) * valid


def initialise(module: nn.Module) -> None:
    """Xavier weights and zero biases in every layer and convolution, as in the authors' code."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
