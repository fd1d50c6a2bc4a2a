"""MACIL-SD (Yu et al., ACM MM 2022): contrastive learning between vision and sound; names no classes.

From JustinYuu/MACIL_SD at c20943f: one transformer layer with attention from vision to sound and from sound to vision;
InfoNCE brings the anomalous snippets of both modalities together and away from normal and from unimportant ones. A
visual twin is trained beside it, and after every round the detector takes over a part of the twin's weights.

Not as published: features of any width (theirs are 1024 and 128); padding influences nothing (``mask_padding: false``
as released); each modality contrasts with its own features (``swapped_contrast: true`` as released, where they come in
the wrong order). With one modality, the detector is like the twin, and no weights are mixed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.asking import AskingLayer
from avadclip.detectors.parts.layers import unit
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.parts.top_k import chosen_mean, top_k
from avadclip.detectors.protocol import Batch, Detector, Dimensions, Scores, Targets
from avadclip.detectors.settings import Bag, Count, Optimizer, Positive, Recipe, Schedule, Settings, Share


class MacilSdSettings(Settings):
    """Constants of the authors' `option.py`."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual", "audio")
    width: Count = 128
    heads: Count = 4
    mlp_width: Count = 128
    dropout: Share = 0.1
    temperature: Positive = 0.1  # of InfoNCE
    contrast_rounds: Count = 15  # after this many rounds the contrast has its full weight; in the first it has none
    momentum: Share = 0.91  # share of its own weights that the detector keeps after the first round, 1 after the last
    mask_padding: bool = True  # false: padded positions take part, as released
    swapped_contrast: bool = False  # true: features of sound for vision and the other way round, as released
    recipe: Recipe = Recipe(
        rounds=50,
        batch_size=128,
        bag=Bag(kind="pick", length=200),
        optimizer=Optimizer(
            name="adam", learning_rate=4e-4, weight_decay=0.0, groups={"twin": {"learning_rate": 8e-5}}
        ),
        schedule=Schedule(kind="cosine", cosine_rounds=60),
        loss_weights={
            "binary": 1.0,
            "twin": 1.0,
            "audio_against_background": 1.5,
            "audio_against_normal": 1.5,
            "visual_against_background": 1.5,
            "visual_against_normal": 1.5,
        },
    )


class Stream(nn.Module):
    """What the detector and its twin have in common."""

    def __init__(self, settings: MacilSdSettings, width_in: int) -> None:
        super().__init__()
        self.project = nn.Linear(width_in, settings.width)
        self.layer = AskingLayer(settings.width, settings.heads, settings.mlp_width, settings.dropout)
        self.head = nn.Linear(settings.width, 1)

    def alone(self, snippets: Tensor, attendable: Tensor | None) -> Tensor:
        """Logits [b, n] of one modality with self-attention."""
        x = self.project(snippets)
        logits: Tensor = self.head(self.layer(x, x, attendable)).squeeze(-1)
        return logits


@dataclass(frozen=True)
class Seen:
    """One modality after attention to the other."""

    features: Tensor  # [b, n, d]
    logits: Tensor  # [b, n]


@dataclass(frozen=True)
class MacilSdOutput:
    """Logits [b, n]; with two modalities, also those of each and of the twin."""

    anomaly_logits: Tensor
    visual: Seen | None = None
    audio: Seen | None = None
    twin_logits: Tensor | None = None  # in training


class MacilSd(Detector):
    """Two modalities and a visual twin, or one modality alone."""

    Settings = MacilSdSettings
    settings: MacilSdSettings
    finished_rounds: Tensor

    def __init__(self, settings: MacilSdSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        self.both = len(settings.modalities) == 2
        self.seen: Modality = "visual" if self.both else settings.modalities[0]
        self.stream = Stream(settings, dimensions.widths[self.seen])
        self.project_audio = nn.Linear(dimensions.widths["audio"], settings.width) if self.both else None
        self.twin = Stream(settings, dimensions.widths["visual"]) if self.both else None
        self.register_buffer("finished_rounds", torch.zeros((), dtype=torch.int64))

    @property
    def padding_matters(self) -> bool:
        """Unless `mask_padding` is set."""
        return not self.settings.mask_padding

    def parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The detector's own, and those of the `twin`."""
        twin = [] if self.twin is None else [*self.twin.parameters()]
        own = [parameter for name, parameter in self.named_parameters() if not name.startswith("twin.")]
        return {"own": own, "twin": twin}

    def inference_state(self) -> dict[str, Tensor]:
        """All except the twin and the count of rounds."""
        return {name: x for name, x in self.state_dict().items() if not name.startswith(("twin.", "finished_"))}

    def after_round(self, finished: int) -> None:
        """Take over a part of the twin's weights, less and less: none after the last round."""
        self.finished_rounds.fill_(finished)
        if self.twin is None:
            return
        recipe = self.settings.recipe
        falling = 0.5 * (1 + math.cos(math.pi * (finished - 1) / (recipe.rounds * recipe.phases)))
        with torch.no_grad():
            for own, other in zip(self.stream.parameters(), self.twin.parameters(), strict=True):
                own.lerp_(other, (1 - self.settings.momentum) * falling)

    def forward(self, batch: Batch) -> MacilSdOutput:
        attendable = batch.valid if self.settings.mask_padding else None
        snippets = self.snippets(batch, self.seen)
        if self.project_audio is None:
            return MacilSdOutput(self.stream.alone(snippets, attendable))
        vision, sound = self.stream.project(snippets), self.project_audio(self.snippets(batch, "audio"))
        asked = self.stream.layer(vision, sound, attendable), self.stream.layer(sound, vision, attendable)
        visual, audio = (Seen(x, self.stream.head(x).squeeze(-1)) for x in asked)
        twin_logits = self.twin.alone(snippets, attendable) if self.twin is not None and self.training else None
        return MacilSdOutput(visual.logits + audio.logits, visual, audio, twin_logits)

    def losses(self, output: MacilSdOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """`binary`; with two modalities also the `twin`'s, and both modalities against background and normal."""
        terms = {"binary": _bag(output.anomaly_logits, batch, targets)}
        if output.twin_logits is not None:
            terms["twin"] = _bag(output.twin_logits, batch, targets)
        if output.visual is not None and output.audio is not None:
            weight = (self.finished_rounds / self.settings.contrast_rounds).clamp(max=1.0)
            contrast = self._contrast(output.visual, output.audio, output.anomaly_logits, batch)
            terms |= {name: weight * value for name, value in contrast.items()}
        return terms

    def scores(self, output: MacilSdOutput, batch: Batch) -> Scores:
        return Scores(output.anomaly_logits.float().sigmoid())

    def _contrast(self, visual: Seen, audio: Seen, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """InfoNCE from each modality to the other. The detector's own scores decide which snippets are anomalous."""
        anomalous = losses.top_k_mean(logits.float(), batch.n_snippets) > 0
        features = (audio, visual) if self.settings.swapped_contrast else (visual, audio)
        seen, heard = (
            _Chosen.of(ranked.logits.float(), source.features.float(), batch.n_snippets, anomalous)
            for ranked, source in zip((visual, audio), features, strict=True)
        )
        k = (batch.n_snippets // 16 + 1)[anomalous]  # each video is a query once for each of its snippets
        against: dict[str, tuple[Tensor, Tensor, Tensor]] = {
            "audio_against_background": (heard.anomalous, seen.anomalous, seen.background),
            "audio_against_normal": (heard.anomalous, seen.anomalous, seen.normal),
            "visual_against_background": (seen.anomalous, heard.anomalous, heard.background),
            "visual_against_normal": (seen.anomalous, heard.anomalous, heard.normal),
        }
        if anomalous.all() or not anomalous.any():
            return {name: torch.zeros((), device=logits.device) for name in against}
        return {name: _info_nce(*vectors, k, self.settings.temperature) for name, vectors in against.items()}


@dataclass(frozen=True)
class _Chosen:
    """Features of one modality."""

    anomalous: Tensor  # [anomalous videos, d], mean of the highest snippets
    normal: Tensor  # [any, d], the highest snippets of the other videos
    background: Tensor  # [any, d], the lowest snippets of all videos

    @classmethod
    def of(cls, ranking: Tensor, features: Tensor, n_snippets: Tensor, anomalous: Tensor) -> "_Chosen":
        highest, lowest = top_k(ranking, n_snippets), top_k(ranking, n_snippets, largest=False)
        mean = chosen_mean(features[anomalous], highest[anomalous])
        return cls(mean, features[highest & ~anomalous[:, None]], features[lowest])


def _info_nce(query: Tensor, positive: Tensor, negatives: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Query and positive [q, d], negatives [any, d] for all queries; weighted mean over the queries."""
    query = unit(query)
    hit = (query * unit(positive)).sum(dim=1, keepdim=True)
    logits = torch.cat([hit, query @ unit(negatives).T], dim=1) / temperature
    surprise = logits.logsumexp(dim=1) - logits[:, 0]
    return (surprise * weights).sum() / weights.sum()


def _bag(logits: Tensor, batch: Batch, targets: Targets) -> Tensor:
    """Cross entropy of the mean over the highest logits [b, n]."""
    highest = losses.top_k_mean(logits.float(), batch.n_snippets)
    return functional.binary_cross_entropy_with_logits(highest, 1.0 - targets.labels[:, 0])
