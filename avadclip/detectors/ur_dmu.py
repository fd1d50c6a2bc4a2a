"""UR-DMU (Zhou et al., AAAI 2023): two memories, of normal and of anomalous segments; names no classes.

From henrryzh1/UR-DMU at 40cfdf5, settings for XD-Violence: a transformer over 200 segments, two memories of 60 vectors
that answer every segment, and a score from the segment with what the memories answered. In training, what the memory of
the normal answers to normal videos is drawn from a Gaussian. Their 3,000 steps are 30 rounds of 100.

Not as published: any width of the features (theirs is 1024), and the Kullback-Leibler term adds up over features; in
the authors' code it adds up over time, which ``kl_over: time`` gives.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.distance_attention import DistanceEncoder, Encoder
from avadclip.detectors.parts.layers import unit
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.parts.top_k import chosen_mean, mean_or_zero, top_k
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Settings, Share

MARGIN = 100.0  # between the lengths of the memories' answers to anomalous and to normal segments


class UrDmuSettings(Settings):
    """Constants of the authors' `xd_main.py` and `model.py`."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual",)  # joined, if both
    width: Count = 512
    layers: Count = 2
    heads: Count = 4
    head_width: Count = 128
    mlp_width: Count = 512
    dropout: Share = 0.5
    memory_size: Count = 60  # vectors in each memory
    head_hidden: Count = 128
    kl_over: Literal["features", "time"] = "features"  # time: as released
    recipe: Recipe = Recipe(
        rounds=30,
        steps_per_round=100,
        batches="pairs",
        batch_size=64,
        bag=Bag(kind="resample", length=200),
        optimizer=Optimizer(name="adam", learning_rate=1e-4, weight_decay=5e-5),
        loss_weights={
            "binary": 1.0,
            "anomaly_recalled": 0.1,
            "anomaly_not_normal": 0.1,
            "normal_recalled": 0.1,
            "normal_not_anomalous": 0.1,
            "triplet": 0.1,
            "kl": 1e-3,
            "distance": 1e-4,
        },
    )


class Memory(nn.Module):
    """Vectors of one sort, their match with a segment, and their joint answer."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.empty(size, width).uniform_(-(width**-0.5), width**-0.5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [b, n, d] -> the mean match of the best vectors [b, n], 0..1, and the answers [b, n, d]."""
        matches = (x @ self.vectors.T * x.shape[-1] ** -0.5).sigmoid()
        best = matches.topk(len(self.vectors) // 16 + 1, dim=-1).values
        return best.float().mean(dim=-1), matches @ self.vectors


@dataclass(frozen=True)
class UrDmuOutput:
    """Everything before the head, which treats normal videos differently in training."""

    features: Tensor  # [b, n, d]
    normal_match: Tensor  # [b, n], 0..1, with the memory of the normal
    anomaly_match: Tensor  # [b, n]
    normal_answer: Tensor  # [b, n, d], of the memory itself
    normal_mean: Tensor  # [b, n, d], of the Gaussian around it
    anomaly_mean: Tensor  # [b, n, d]


class UrDmu(Detector):
    """Transformer, two memories, and a head on top of both."""

    Settings = UrDmuSettings
    settings: UrDmuSettings

    def __init__(self, settings: UrDmuSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        s = settings
        sizes = Encoder(s.width, s.layers, s.heads, s.head_width, s.mlp_width, s.dropout)
        self.encoder = DistanceEncoder(sum(dimensions.widths[modality] for modality in s.modalities), sizes)
        self.normal_memory = Memory(s.memory_size, s.width)
        self.anomaly_memory = Memory(s.memory_size, s.width)
        self.mean = nn.Linear(s.width, s.width)
        self.log_variance = nn.Linear(s.width, s.width)
        self.head = nn.Sequential(nn.Linear(2 * s.width, s.head_hidden), nn.ReLU(), nn.Linear(s.head_hidden, 1))

    def forward(self, batch: Batch) -> UrDmuOutput:
        snippets = self.joined_snippets(batch)
        x = self.encoder(snippets, batch.valid)
        normal_match, normal_answer = self.normal_memory(x)
        anomaly_match, anomaly_answer = self.anomaly_memory(x)
        means = self.mean(normal_answer), self.mean(anomaly_answer)
        return UrDmuOutput(x, normal_match, anomaly_match, normal_answer, *means)

    def losses(self, output: UrDmuOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`; what each memory should recall of each sort; `triplet`, `kl` and `distance`."""
        normal = targets.labels[:, 0] == 1
        log_variance = self.log_variance(output.normal_answer[normal].float())
        mean = output.normal_mean[normal].float()
        drawn = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        normal_part = output.normal_mean.float().masked_scatter(normal[:, None, None], drawn)
        logits = self._logits(output, normal_part)
        return {
            "binary": losses.binary(logits, targets.labels, batch.n_snippets),
            **_recall(output, batch, normal),
            **_apart(output, normal_part, batch.n_snippets, normal),
            "kl": self._divergence(mean, log_variance, batch.valid[normal]),
        }

    def scores(self, output: UrDmuOutput, batch: Batch) -> Scores:
        return Scores(self._logits(output, output.normal_mean.float()).sigmoid())

    def _logits(self, output: UrDmuOutput, normal_part: Tensor) -> Tensor:
        """[b, n]."""
        remembered = normal_part + output.anomaly_mean.float()
        logits: Tensor = self.head(torch.cat([output.features.float(), remembered], dim=-1)).squeeze(-1)
        return logits

    def _divergence(self, mean: Tensor, log_variance: Tensor, valid: Tensor) -> Tensor:
        """From N(mean, variance) [b, n, d] to the standard normal distribution."""
        each = (mean.square() + log_variance.exp() - 1.0 - log_variance) / 2 * valid[:, :, None]
        count = valid.sum() if self.settings.kl_over == "features" else len(mean) * mean.shape[-1]
        return each.sum() / max(1, int(count))


def _recall(output: UrDmuOutput, batch: Batch, normal: Tensor) -> dict[str, Tensor]:
    """Cross entropies of the matches: an anomalous video has segments that match its memory and miss the other one."""
    recalled = losses.top_k_mean(output.anomaly_match, batch.n_snippets)[~normal]
    missed = losses.top_k_mean(1.0 - output.normal_match, batch.n_snippets)[~normal]
    everywhere = batch.valid & normal[:, None]
    return {
        "anomaly_recalled": mean_or_zero(_surprise(recalled)),
        "anomaly_not_normal": mean_or_zero(_surprise(missed)),
        "normal_recalled": mean_or_zero(_surprise(output.normal_match[everywhere])),
        "normal_not_anomalous": mean_or_zero(_surprise(1.0 - output.anomaly_match[everywhere])),
    }


def _surprise(probability: Tensor) -> Tensor:
    return functional.binary_cross_entropy(probability, torch.ones_like(probability), reduction="none")


def _apart(output: UrDmuOutput, normal_part: Tensor, n_snippets: Tensor, normal: Tensor) -> dict[str, Tensor]:
    """The i-th normal beside the i-th anomalous video: what stands for each in the encoder, and in the memories."""
    by_normal, by_anomaly = top_k(output.normal_match, n_snippets), top_k(output.anomaly_match, n_snippets)
    x, anomaly_part = output.features.float(), output.anomaly_mean.float()
    anchor, recalled_normal = (chosen_mean(part[normal], by_normal[normal]) for part in (x, normal_part))
    like_normal = chosen_mean(x[~normal], by_normal[~normal])
    negative, recalled = (chosen_mean(part[~normal], by_anomaly[~normal]) for part in (x, anomaly_part))
    n = min(len(anchor), len(negative))
    triplet = functional.triplet_margin_loss(
        unit(anchor[:n]), unit(like_normal[:n]), unit(negative[:n]), margin=1.0, reduction="none"
    )
    distance = functional.relu(MARGIN - recalled[:n].norm(dim=-1) + recalled_normal[:n].norm(dim=-1))
    return {"triplet": mean_or_zero(triplet), "distance": mean_or_zero(distance)}
