"""Detectors with three graphs over the snippets of a video, by similarity, distance and score: HL-Net and AVVD."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avadclip.config.features import Modality
from avadclip.detectors.parts.graphs import (
    GraphBranch,
    cosine_edges,
    distance_edges,
    held_or_by_rows,
    score_edges,
)
from avadclip.detectors.parts.layers import unit
from avadclip.detectors.protocol import Batch, Detector, Dimensions
from avadclip.detectors.settings import Bag, Count, Optimizer, Recipe, Schedule, Settings, Share

APPROXIMATOR_REACH = 5  # snippets: the one that is scored and those before it


def graph_recipe(loss_weights: dict[str, float]) -> Recipe:
    """The recipe of HL-Net's `option.py` and `main.py`."""
    return Recipe(
        rounds=50,
        batches="mixed",
        batch_size=128,
        bag=Bag(kind="pick", length=200),
        optimizer=Optimizer(
            name="adam", learning_rate=1e-4, weight_decay=0.0, groups={"approximator": {"learning_rate": 5e-5}}
        ),
        schedule=Schedule(kind="milestones", milestones=(10,), gamma=0.1),
        loss_weights=loss_weights,
    )


class GraphSettings(Settings):
    """Constants of HL-Net's `model.py`."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual", "audio")  # joined
    hidden: tuple[Count, Count] = (512, 128)  # units of the two layers before the graphs
    approximator_hidden: tuple[Count, Count] = (64, 32)
    graph_width: Count = 32
    dropout: Share = 0.6
    # false: padded positions of a batch are part of the distance graph and of convolutions, as in the authors' training
    mask_padding: bool = True


class Approximator(nn.Module):
    """Hidden features [b, n, d] -> logits [b, n], each from its snippet and the four before it."""

    def __init__(self, width: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        first, second = hidden
        self.first, self.second = nn.Linear(width, first), nn.Linear(first, second)
        self.last = nn.Conv1d(second, 1, APPROXIMATOR_REACH)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.second(functional.relu(self.first(x)))).transpose(1, 2)
        logits: Tensor = self.last(functional.pad(hidden, (APPROXIMATOR_REACH - 1, 0))).squeeze(1)
        return logits


class GraphDetector(Detector):
    """Similarity, distance and score graph over one video, of any length; `n_outputs` logits per snippet."""

    settings: GraphSettings

    def __init__(self, settings: GraphSettings, dimensions: Dimensions, n_outputs: int) -> None:
        super().__init__(settings, dimensions)
        first, second = settings.hidden
        self.first = nn.Linear(sum(dimensions.widths[modality] for modality in settings.modalities), first)
        self.second = nn.Linear(first, second)
        self.dropout = nn.Dropout(settings.dropout)
        self.approximator = Approximator(second, settings.approximator_hidden)
        self.similarity_graph = self._graph()
        self.distance_graph = self._graph()
        self.score_graph = self._graph()
        self.classifier = nn.Linear(3 * settings.graph_width, n_outputs)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d):
                nn.init.xavier_uniform_(layer.weight)

    @property
    def padding_matters(self) -> bool:
        """Unless `mask_padding` is set."""
        return not self.settings.mask_padding

    def parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """The approximator, which learns half as fast, and the rest."""
        slow = [*self.approximator.parameters()]
        ids = {id(parameter) for parameter in slow}
        return {"graphs": [p for p in self.parameters() if id(p) not in ids], "approximator": slow}

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits of the graphs [b, n, outputs], and of the approximator [b, n], which is online."""
        raw = self.joined_snippets(batch)
        attendable, valid = (batch.valid if self.settings.mask_padding else None), batch.valid
        x = self.dropout(functional.relu(self.first(raw)))
        x = self.dropout(functional.relu(self.second(x)))
        online_logits = self.approximator(x)
        edges: dict[nn.Module, Callable[[slice], Tensor]] = {
            self.similarity_graph: partial(cosine_edges, unit(raw), valid),
            self.distance_graph: partial(distance_edges, x),
            self.score_graph: partial(score_edges, online_logits.detach().sigmoid(), valid),
        }
        in_context = [graph(x, held_or_by_rows(rows, x.shape[1]), attendable) for graph, rows in edges.items()]
        return self.classifier(torch.cat(in_context, dim=-1)), online_logits

    def _graph(self) -> GraphBranch:
        width = self.settings.hidden[1]
        return GraphBranch(width, self.settings.graph_width, functional.relu, self.settings.dropout)


def approximation(confidence: Tensor, online_logits: Tensor, batch: Batch) -> Tensor:
    """The online score should be high where the confidence [b, n] of the graphs is; no term asks for low scores."""
    distances = -confidence.detach() * functional.logsigmoid(online_logits.float()) * batch.valid
    return (distances.sum(dim=1) / batch.n_snippets).mean()
