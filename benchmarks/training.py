"""One training step of the audio-visual detector, against a plain implementation of the same mathematics.

The plain one attends over all 256 positions under a mask, runs all 77 text positions, and loops over the videos for
graphs and losses. Both use the same weights, so that losses and gradients can be compared.

    python -m benchmarks.training --cases plain float32            # bfloat16 needs a processor that has it, or a GPU
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from avadclip.detectors.audio_visual import AudioVisualDetector, AudioVisualSettings
from avadclip.detectors.parts.branches import BranchOutput
from avadclip.detectors.parts.graphs import GraphBranch
from avadclip.detectors.parts.layers import Mlp
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.parts.transformer import TransformerLayer
from avadclip.detectors.protocol import Batch, Dimensions, Targets
from avadclip.detectors.registry import settings_of
from avadclip.detectors.settings import Bag
from avadclip.training.data import Sample, TrainingSet
from avadclip.training.optimisation import make_optimizer
from avadclip.training.step import train_step

N_SNIPPETS, WIDTH = 256, 512
CLASSES = ("normal", "fighting", "shooting", "riot", "abuse", "car accident", "explosion")
PREFIX = SUFFIX = 10


@dataclass(frozen=True)
class Step:
    """The times and the results of one step of one case."""

    step_seconds: float
    loading_seconds: float  # of its batch
    loss: dict[str, float]  # terms
    gradient_norm: float


def quick_gelu(x: Tensor) -> Tensor:
    """QuickGELU as CLIP writes it."""
    return x * torch.sigmoid(1.702 * x)


def mlp(layers: Mlp, x: Tensor) -> Tensor:
    """Apply Linear, QuickGELU and Linear."""
    contracted: Tensor = layers.contract(quick_gelu(layers.expand(x)))
    return contracted


class PlainDetector(AudioVisualDetector):
    """The same detector, computed in the obvious way."""

    def forward(self, batch: Batch) -> BranchOutput:
        """Compute as released: everything but the similarity graph looks at padding."""
        assert batch.visual is not None
        assert batch.audio is not None
        assert self.temporal.positions is not None
        x = batch.visual + self.temporal.positions
        for block in self.temporal.local:
            assert isinstance(block, TransformerLayer)
            x = self._attend(block, x, self.temporal.window)
        similarity = self._similarity(x, batch.n_snippets)
        position = torch.arange(x.shape[1], device=x.device)
        distance = torch.exp(-(position[:, None] - position).abs() / torch.e).expand(len(x), -1, -1)
        graphs = [(self.temporal.similarity_graph, similarity), (self.temporal.distance_graph, distance)]
        x = self.temporal.linear(torch.cat([self._convolve(graph, x, edges) for graph, edges in graphs], dim=2))
        assert self.fusion is not None
        x = self.fusion(x, self.audio(batch.audio), batch.valid)
        return self._branch(x)

    def _attend(self, block: TransformerLayer, x: Tensor, window: int) -> Tensor:
        n = x.shape[1]
        mask = torch.full((n, n), -torch.inf, device=x.device)
        for start in range(0, n, window):
            mask[start : start + window, start : start + window] = 0
        query, key, value = block.query_key_value(block.attention_norm(x)).chunk(3, dim=2)
        weights = torch.softmax(query @ key.transpose(1, 2) / WIDTH**0.5 + mask, dim=2)
        x = x + block.attention_out(weights @ value)
        return x + mlp(block.mlp, block.mlp_norm(x))

    def _similarity(self, x: Tensor, n_snippets: Tensor) -> Tensor:
        edges = torch.zeros(len(x), x.shape[1], x.shape[1], device=x.device)
        for video, n in enumerate(n_snippets.tolist()):
            snippets = x[video, :n]
            norms = snippets.norm(dim=1)
            cosines = snippets @ snippets.T / (norms[:, None] * norms)
            edges[video, :n, :n] = torch.where(cosines > 0.7, cosines, 0).softmax(dim=1)
        return edges

    def _convolve(self, graph: GraphBranch, x: Tensor, edges: Tensor) -> Tensor:
        hidden = quick_gelu(edges @ (x @ graph.first) + graph.beside(x))
        return quick_gelu(edges @ (hidden @ graph.second) + hidden)

    def _branch(self, x: Tensor) -> BranchOutput:
        branches = self.branches
        assert branches.prompt_mlp is not None
        logits = branches.classifier(x + mlp(branches.classifier_mlp, x))
        embeddings = self._embed()
        video = functional.normalize(logits.transpose(1, 2) @ x, dim=2).expand(-1, len(CLASSES), -1)
        share = (embeddings @ video.transpose(1, 2)).softmax(dim=2)
        summed = embeddings + share @ video
        enriched = summed + mlp(branches.prompt_mlp, summed)
        cosines = functional.normalize(x, dim=2) @ functional.normalize(enriched, dim=2).transpose(1, 2)
        return BranchOutput(logits.squeeze(2), cosines / 0.07, x, embeddings, None)

    def _embed(self) -> Tensor:
        """Embed the classes over all 77 positions."""
        prompts = self.branches.prompts
        missing = prompts.context.shape[0] - prompts.fixed.shape[1]
        fixed = functional.pad(prompts.fixed, (0, 0, 0, missing))
        learned = functional.pad(prompts.learned, (0, missing), value=True)
        assert prompts._tower is not None
        return prompts._tower(torch.where(learned[:, :, None], prompts.context, fixed), prompts.ends)

    def losses(self, output: BranchOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Compute the losses video by video."""
        assert output.class_logits is not None
        assert output.class_embeddings is not None
        confidences, scores = [], []
        for logits, classes, n in zip(
            output.anomaly_logits, output.class_logits, batch.n_snippets.tolist(), strict=True
        ):
            k = n // 16 + 1
            confidences.append(logits[:n].sigmoid().topk(k).values.mean())
            scores.append(classes[:n].topk(k, dim=0).values.mean(dim=0))
        assert self.branches.focal_weights is not None
        share = targets.labels / targets.labels.sum(dim=1, keepdim=True)
        log_probabilities = torch.stack(scores).log_softmax(dim=1)
        cross_entropy = -(share * log_probabilities).sum(dim=1)
        hit = (share * log_probabilities.exp()).sum(dim=1)
        focal = (share * self.branches.focal_weights).sum(dim=1) * (1 - hit) ** 2 * cross_entropy
        normal, *anomalies = functional.normalize(output.class_embeddings, dim=1)
        return {
            "binary": functional.binary_cross_entropy(torch.stack(confidences), 1 - targets.labels[:, 0]),
            "align": (cross_entropy.mean() + focal.mean()) / 2,
            "text": torch.stack([(normal @ anomaly).abs() for anomaly in anomalies]).mean(),
        }


def random_set(n_videos: int) -> TrainingSet:
    """Make videos of up to 256 snippets, with features about as long as CLIP's."""
    random = np.random.default_rng(0)
    lengths = random.integers(32, N_SNIPPETS + 1, n_videos)
    lengths[0] = N_SNIPPETS
    rows = np.cumsum(lengths) - lengths
    topic = np.repeat(random.standard_normal((n_videos, WIDTH), np.float32), lengths, axis=0)
    visual = (0.3 * topic + 0.3 * random.standard_normal((lengths.sum(), WIDTH), np.float32)).astype(np.float32)
    audio = random.standard_normal((lengths.sum(), WIDTH), np.float32)
    labels = np.eye(len(CLASSES), dtype=np.float32)[random.integers(0, len(CLASSES), n_videos)]
    places = zip(lengths.tolist(), rows.tolist(), strict=True)
    samples = tuple(Sample(i, n, (row,), row) for i, (n, row) in enumerate(places))
    return TrainingSet(samples, Bag(length=N_SNIPPETS), labels, visual, audio, np.ones(len(audio), bool))


class Case:
    """A detector in training. Its process holds no other, so that the peak of memory is due to it alone."""

    current: "Case"

    def __init__(self, name: str, batch_size: int, device: str) -> None:
        torch.manual_seed(0)
        precision = "bfloat16" if name == "bfloat16" else "float32"
        # With dropout the cases would draw different random numbers.
        settings = settings_of("audio_visual", {"audio_dropout": 0.0, "recipe": {"precision": precision}})
        assert isinstance(settings, AudioVisualSettings)
        clip = open_clip.CLIP(**open_clip.get_model_config("ViT-B-16-quickgelu"))
        tower = TextTower(clip, open_clip.tokenize(list(CLASSES)))
        dimensions = Dimensions({"visual": WIDTH, "audio": WIDTH}, len(CLASSES), N_SNIPPETS, WIDTH, tower.width, 77)
        make = PlainDetector if name == "plain" else AudioVisualDetector
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.detector = make(settings, dimensions, tower).to(self.device)
        self.optimizer = make_optimizer(self.detector.parameter_groups(), settings.recipe.optimizer)
        self.data = random_set(2 * batch_size)

    def step(self, number: int) -> Step:
        """Load a batch, which depends on `number` only, and train on it."""
        random = np.random.default_rng(number)
        chosen = random.permutation(len(self.data.samples))[: self.batch_size].tolist()
        started = time.perf_counter()
        batch = self.data.batch(chosen, self.detector.n_positions, random)
        loaded = time.perf_counter()
        terms = train_step(self.detector, None, batch.to(self.device), self.optimizer)
        loss = {name: float(value) for name, value in terms.items()}  # waits for the device
        ended = time.perf_counter()
        gradients = [parameter.grad for parameter in self.detector.parameters() if parameter.grad is not None]
        return Step(ended - loaded, loaded - started, loss, float(torch.nn.utils.get_total_norm(gradients)))


def start(name: str, batch_size: int, device: str) -> None:
    """Make the case of this process."""
    Case.current = Case(name, batch_size, device)


def step(number: int) -> Step:
    """Take one step of the case of this process."""
    return Case.current.step(number)


def peak_gib(device: str) -> float:
    """Return the most memory that this process has ever held, on the GPU if it computes there."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB
    return torch.cuda.max_memory_allocated(device) / 2**30


def main() -> None:
    """Run the chosen cases in turn, one process each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=["plain", "float32"], choices=["plain", "float32", "bfloat16"])
    parser.add_argument("--batch-size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=4, help="the first warms up")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        workers = {name: stack.enter_context(spawn.Pool(1)) for name in arguments.cases}
        for name, worker in workers.items():
            worker.apply(start, (name, arguments.batch_size, arguments.device))
        # In turns, so that other work on the machine slows all cases down alike.
        rounds = [{name: worker.apply(step, (n,)) for name, worker in workers.items()} for n in range(arguments.steps)]
        peaks = {name: worker.apply(peak_gib, (arguments.device,)) for name, worker in workers.items()}
    title = f"One step, batch {arguments.batch_size} x {N_SNIPPETS} x {WIDTH}, on {arguments.device}"
    show([summary(name, [each[name] for each in rounds], peaks[name]) for name in workers], title)
    if arguments.json:
        numbers = [{name: asdict(found) for name, found in each.items()} for each in rounds]
        arguments.json.write_text(json.dumps({"steps": numbers, "peak_gib": peaks}, indent=2))


@dataclass(frozen=True)
class Summary:
    """One row of the table."""

    case: str
    seconds: list[float]  # of each step but the first
    loading: float  # share of a step
    peak_gib: float
    losses: list[dict[str, float]]  # of all steps
    gradient_norm: float  # of the first


def summary(case: str, steps: list[Step], peak: float) -> Summary:
    """Summarise the steps of one case."""
    seconds = [each.step_seconds for each in steps[1:]]
    loading = statistics.median(each.loading_seconds for each in steps[1:]) / statistics.median(seconds)
    return Summary(case, seconds, loading, peak, [each.loss for each in steps], steps[0].gradient_norm)


def show(found: list[Summary], title: str) -> None:
    """Print times, and how far losses (of all steps) and gradients (of the first) are from those of the first case."""
    columns = ("case", "median [s]", "best [s]", "times faster", "loading", "peak [GiB]", "losses", "gradient")
    table = Table(*columns, title=title)
    first = found[0]
    for case in found:
        steps = zip(case.losses, first.losses, strict=True)
        difference = max(abs(ours[name] / loss[name] - 1) for ours, loss in steps for name in loss)
        table.add_row(
            case.case,
            f"{statistics.median(case.seconds):.2f}",
            f"{min(case.seconds):.2f}",
            f"{min(first.seconds) / min(case.seconds):.2f}",
            f"{case.loading:.1%}",
            f"{case.peak_gib:.1f}",
            f"{difference:.1e}",
            f"{abs(case.gradient_norm / first.gradient_norm - 1):.1e}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
