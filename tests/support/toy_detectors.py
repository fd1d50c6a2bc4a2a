"""A detector that uses what no shipped one uses yet: parameter groups, observation, hooks, phases, joint views."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avadclip.detectors.parts import losses
from avadclip.detectors.protocol import Batch, Detector, Dimensions, LabelledBatch, Needs, Scores, Targets, Testing
from avadclip.detectors.settings import Bag, Optimizer, Recipe, Schedule, Settings


class ToySettings(Settings):
    """Settings whose recipe uses every hook."""

    recipe: Recipe = Recipe(
        rounds=2,
        phases=2,
        batches="pairs",
        batch_size=4,
        bag=Bag(kind="blocks", length=4, block_snippets=3),
        views="together",
        optimizer=Optimizer(name="adam", learning_rate=0.01, weight_decay=0.0, groups={"head": {"learning_rate": 0.1}}),
        schedule=Schedule(kind="cosine", warm_up_rounds=1),
        gradient_norm=1.0,
        loss_weights={"binary": 1.0, "pseudo": 1.0},
    )


class Toy(Detector):
    """Linear layers on features minus the mean of the normal ones; logits are averaged over the views of a video."""

    Settings = ToySettings
    normal_mean: Tensor

    def __init__(self, settings: ToySettings, dimensions: Dimensions, tower: object = None) -> None:
        super().__init__(settings, dimensions)
        width = dimensions.widths["visual"]
        self.body, self.head = nn.Linear(width, width), nn.Linear(width, 1)
        self.training_only = nn.Linear(width, width)
        self.register_buffer("normal_mean", torch.zeros(width))
        self.register_buffer("rounds_seen", torch.zeros(()))

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        return Needs(("visual",))

    @property
    def testing(self) -> Testing:
        return Testing(window=50, views="mean")

    def parameter_groups(self) -> Mapping[str, Sequence[nn.Parameter]]:
        return {
            "body": [*self.body.parameters(), *self.training_only.parameters()],
            "head": [*self.head.parameters()],
        }

    def observe(self, samples: Iterable[LabelledBatch]) -> None:
        normal = [s.batch.visual[s.batch.valid] for s in samples if s.labels[0, 0] == 1 and s.batch.visual is not None]
        self.normal_mean.copy_(torch.cat(normal).mean(dim=0))

    def after_round(self, finished: int) -> None:
        self.rounds_seen.fill_(finished)

    def inference_state(self) -> dict[str, Tensor]:
        return {name: x for name, x in self.state_dict().items() if not name.startswith("training_only")}

    def forward(self, batch: Batch) -> Tensor:
        x = torch.tanh(self.body(self.snippets(batch, "visual") - self.normal_mean))
        if self.training:
            x = x + 0.1 * self.training_only(x)
        logits: Tensor = self.head(x).squeeze(-1)
        return logits

    def losses(self, output: Tensor, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        per_video = output.view(-1, batch.n_views, output.shape[1]).mean(dim=1)
        labels, n_snippets = targets.labels[:: batch.n_views], batch.n_snippets[:: batch.n_views]
        terms = {"binary": losses.binary(per_video, labels, n_snippets)}
        if targets.teacher is not None:  # the output of this detector at the end of the previous phase
            terms["pseudo"] = (output.sigmoid() - targets.teacher.sigmoid()).square().mean()
        return terms

    def scores(self, output: Tensor, batch: Batch) -> Scores:
        return Scores(output.sigmoid())
