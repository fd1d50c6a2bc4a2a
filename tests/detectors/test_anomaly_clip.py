"""AnomalyCLIP against a slow oracle, written from the published facts."""

import open_clip
import torch
from torch.testing import assert_close

from avadclip.detectors.protocol import Detector, LabelledBatch, Targets
from avadclip.detectors.registry import build, settings_of
from tests.support import anomaly_clip_oracle as oracle
from tests.support.training_factory import CLASSES, dimensions, random_batch, text_tower

SMALL = {"width": 8, "heads": 2, "segments": 4, "segment_snippets": 3, "selected": 2, "masked_share": 0.0}
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1]])


def build_it() -> Detector:
    torch.manual_seed(0)
    detector = build("anomaly_clip", settings_of("anomaly_clip", SMALL), dimensions(), text_tower())
    detector.observe([LabelledBatch(random_batch([n], n, seed=n), LABELS[i : i + 1]) for i, n in enumerate([7, 5, 9])])
    return detector


def double(detector: Detector) -> dict[str, torch.Tensor]:
    return {name: x.detach().double() for name, x in detector.state_dict().items()}


def test_losses_by_hand() -> None:
    detector = build_it().train()
    batch = random_batch([12, 12, 5, 9], 12)
    terms = detector.losses(detector(batch), batch, Targets(LABELS))
    t = double(detector)
    grids = [oracle.grids(batch.visual[i, :n], 4, 3)[0] for i, n in enumerate([12, 12, 5, 9])]
    relative = [oracle.relative(t, grid) for grid in grids]
    toward = oracle.directions(t, detector.directions().detach())
    similar = oracle.normalised([x @ toward.T for x in relative])
    confidence = [torch.sigmoid(oracle.logits(t, x, heads=2)) for x in relative]
    expected = oracle.losses(confidence, similar, [0, 1, 0, 1], k=2)
    assert terms.keys() == expected.keys() == settings_of("anomaly_clip", {}).recipe.loss_weights.keys()
    for name, value in expected.items():
        assert_close(terms[name].double(), value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_scores_of_videos_that_take_several_passes_by_hand() -> None:
    detector = build_it().eval()
    batch = random_batch([29, 12, 5], 29)
    with torch.no_grad():
        found = detector.scores(detector(batch), batch)
    t = double(detector)
    toward = oracle.directions(t, detector.directions.embeddings)
    for i, n in enumerate([29, 12, 5]):
        passes = [oracle.relative(t, grid) for grid in oracle.grids(batch.visual[i, :n], 4, 3)]
        confidence = torch.stack([torch.sigmoid(oracle.logits(t, x, heads=2)) for x in passes], dim=1)
        in_order = confidence.flatten()[:n]  # segment, pass, snippet
        assert_close(found.anomaly[i, :n].double(), in_order, rtol=0, atol=1e-5)  # float32 against float64
        similar = torch.stack([x @ toward.T for x in passes], dim=1).flatten(0, 2)[:n]
        shares = ((similar - t["normalise.running_mean"]) / torch.sqrt(t["normalise.running_var"] + 1e-5)).softmax(1)
        assert_close(found.class_probabilities[i, :n, 1:].double(), in_order[:, None] * shares, rtol=0, atol=1e-5)


def test_the_mean_is_of_normal_snippets_alone() -> None:
    normal = [random_batch([n], n, seed=n).visual[0] for n in (7, 9)]
    assert_close(build_it().normal_mean, torch.cat(normal).mean(dim=0))


def test_prompts_are_vectors_name_and_full_stop() -> None:
    detector, tower = build_it(), text_tower()
    ids = open_clip.tokenize([name + "." for name in CLASSES[1:]])
    for c, row in enumerate(ids):
        name = [int(i) for i in row if i]
        tokens = torch.cat(
            [
                tower.token_embedding[name[:1]],
                detector.directions.context[c],
                tower.token_embedding[name[1:]],
            ]
        )[None]
        expected = tower(tokens, torch.tensor([tokens.shape[1] - 1]))[0]
        assert_close(detector.directions()[c], expected)


def test_masked_segments_are_not_selected() -> None:
    detector = build_it()
    ranking, mask = torch.tensor([[4.0, 3.0, 2.0, 1.0]]), torch.tensor([[True, False, False, False]])
    assert detector._selected(ranking, mask).tolist() == [[False, True, True, False]]
    assert detector._selected(-ranking, mask).tolist() == [[False, False, True, True]]


def test_published_recipe() -> None:
    recipe = settings_of("anomaly_clip", {}).recipe
    assert (recipe.batches, recipe.batch_size, recipe.rounds) == ("pairs", 32, 50)
    assert (recipe.bag.kind, recipe.bag.length, recipe.bag.block_snippets) == ("blocks", 32, 16)
    assert (recipe.optimizer.name, recipe.optimizer.learning_rate, recipe.optimizer.weight_decay) == (
        "adamw",
        5e-6,
        0.2,
    )
    assert (recipe.schedule.kind, recipe.schedule.warm_up_rounds) == ("cosine", 5)
