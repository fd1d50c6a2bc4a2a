"""BN-WVAD (Zhou et al., 2023): the statistics of batch normalisation describe what is normal; names no classes.

From cool-xuan/BN-WVAD at 4fa3a5d: UR-DMU's transformer without dropout, two small layers with batch normalisation, and
a score that grows with the Mahalanobis distance of their inputs to the running mean. Their 1,000 steps are 10 rounds of
100. Not as published: features of any width (theirs is 1024), and the score s, which has no upper limit, becomes
s / (1 + s), which keeps the order of snippets.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts.distance_attention import DistanceEncoder, Encoder
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.parts.top_k import mean_or_zero, top_k
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Settings, Share

MARGIN = 1.0


class BnWvadSettings(Settings):
    """Constants of the authors' `options.py` and `model.py`."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual",)  # joined, if both
    width: Count = 512
    layers: Count = 2
    heads: Count = 4
    head_width: Count = 128
    mlp_width: Count = 512
    dropout: Share = 0.0
    head_widths: tuple[Count, Count] = (32, 16)
    video_share: Share = 0.2  # of the snippets of an anomalous video that count as anomalous
    batch_share: Share = 0.4  # and of the snippets of all of them together
    recipe: Recipe = Recipe(
        rounds=10,
        steps_per_round=100,
        batches="pairs",
        batch_size=64,
        bag=Bag(kind="resample", length=200),
        optimizer=Optimizer(name="adam", learning_rate=1e-4, weight_decay=5e-5),
        gradient_norm=1.0,
        loss_weights={"normal": 1.0, "first_triplet": 5.0, "second_triplet": 20.0},
    )


@dataclass(frozen=True)
class BnWvadOutput:
    """Values of each snippet; 0 for padding."""

    probabilities: Tensor  # [b, n], 0..1
    first_distances: Tensor  # [b, n], of the input of the first normalisation to its running mean
    second_distances: Tensor  # [b, n], of the second


class BnWvad(Detector):
    """Transformer and a head with two batch normalisations."""

    Settings = BnWvadSettings
    settings: BnWvadSettings

    def __init__(self, settings: BnWvadSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        s = settings
        sizes = Encoder(s.width, s.layers, s.heads, s.head_width, s.mlp_width, s.dropout)
        self.encoder = DistanceEncoder(sum(dimensions.widths[modality] for modality in s.modalities), sizes)
        first, second = s.head_widths
        self.first, self.first_norm = nn.Linear(s.width, first), nn.BatchNorm1d(first)
        self.second, self.second_norm = nn.Linear(first, second), nn.BatchNorm1d(second)
        self.last = nn.Linear(second, 1)

    def forward(self, batch: Batch) -> BnWvadOutput:
        snippets = self.joined_snippets(batch)
        valid = batch.valid
        x = self.encoder(snippets, valid)[valid].float()  # padding must not influence the statistics
        first = self.first(x).float()
        second = self.second(functional.relu(self.first_norm(first))).float()
        logits = self.last(functional.relu(self.second_norm(second))).float()
        found = (
            logits.sigmoid().squeeze(-1),
            _mahalanobis(first, self.first_norm),
            _mahalanobis(second, self.second_norm),
        )
        return BnWvadOutput(*(torch.zeros(valid.shape, device=x.device).masked_scatter(valid, part) for part in found))

    def losses(self, output: BnWvadOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`normal`, the norm of the scores of normal videos; and a triplet loss of the distances in each layer."""
        normal = targets.labels[:, 0] == 1
        return {
            "normal": mean_or_zero(output.probabilities[normal].norm(dim=1)),
            "first_triplet": self._triplet(output.first_distances, batch, normal),
            "second_triplet": self._triplet(output.second_distances, batch, normal),
        }

    def scores(self, output: BnWvadOutput, batch: Batch) -> Scores:
        unbounded = (output.first_distances + output.second_distances) * output.probabilities
        return Scores(unbounded / (1.0 + unbounded))

    def _triplet(self, distances: Tensor, batch: Batch, normal: Tensor) -> Tensor:
        """Triplet loss of the farthest snippets of normal and of anomalous videos; distances [b, n]."""
        anomalous = distances[~normal][self._unusual(distances[~normal], batch.n_snippets[~normal])]
        # As many snippets of normal videos: the farthest of each, then the second of each, and so on.
        farthest = distances[normal].masked_fill(~batch.valid[normal], -torch.inf).sort(dim=1, descending=True).values
        in_turns = farthest.T.flatten()
        usual = in_turns[in_turns.isfinite()][: len(anomalous)]
        return mean_or_zero(functional.relu(MARGIN + usual - anomalous[: len(usual)]))

    def _unusual(self, distances: Tensor, n_snippets: Tensor) -> Tensor:
        """Bool [b, n]: the farthest snippets of each anomalous video, and of all of them together."""
        if not len(distances):
            return torch.zeros_like(distances, dtype=torch.bool)
        settings = self.settings
        each = top_k(distances, n_snippets, (n_snippets * settings.video_share).long().clamp(min=1))
        together = (n_snippets.sum() * settings.batch_share).long()
        valid = torch.arange(distances.shape[1], device=distances.device) < n_snippets[:, None]
        ranked = distances.masked_fill(~valid, -torch.inf).flatten()
        return each | top_k(ranked[None], ranked.new_tensor([len(ranked)]).long(), together[None]).view_as(each)


def _mahalanobis(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Distance [m] of x [m, d] to the running mean, under the running variance."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # Copies: the next batch changes the statistics in place.
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    return ((x - mean).square() / variance).sum(dim=1).sqrt()
