"""AVVD against a slow oracle: HL-Net's graphs, with one logit for each class."""

import torch
from torch.testing import assert_close

from avadclip.detectors.protocol import Dimensions, Targets
from avadclip.detectors.registry import build, needs, settings_of
from tests.support import hl_net_oracle as oracle
from tests.support.training_factory import CLASSES, WIDTHS, random_batch

SMALL = {"hidden": [10, 8], "approximator_hidden": [6, 4], "graph_width": 4, "dropout": 0.0, "modalities": ["visual"]}
LABELS = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1]])


def test_scores_and_losses_by_hand() -> None:
    settings = settings_of("avvd", SMALL)
    torch.manual_seed(0)
    detector = build("avvd", settings, Dimensions({"visual": WIDTHS["visual"]}, len(CLASSES), 33)).train()
    batch = random_batch([33, 7, 1], 33)
    weights = oracle.weights_of(detector)
    output = detector(batch)
    scores = detector.scores(output, batch)
    assert scores.class_probabilities is not None
    expected = {"nce": 0.0, "binary_online": 0.0, "approximation": 0.0}
    for video, n in enumerate([33, 7, 1]):
        logits, online = oracle.logits(weights, batch.visual[video, :n].double())
        probabilities = torch.stack([torch.exp(row) / torch.exp(row).sum() for row in logits.view(n, len(CLASSES))])
        assert_close(scores.class_probabilities[video, :n].double(), probabilities, rtol=0, atol=1e-5)  # float32
        assert_close(scores.anomaly[video, :n].double(), 1 - probabilities[:, 0], rtol=0, atol=1e-5)
        k = n // 16 + 1
        highest = [sorted(logits.view(n, len(CLASSES))[:, c].tolist(), reverse=True)[:k] for c in range(len(CLASSES))]
        of_video = torch.tensor([sum(values) / k for values in highest]).double()
        share = LABELS[video] / LABELS[video].sum()
        expected["nce"] -= float((share * torch.log(torch.exp(of_video) / torch.exp(of_video).sum())).sum()) / 3
        found = oracle.sigmoid(online.sort(descending=True).values[:k].mean())
        expected["binary_online"] -= float(torch.log(1 - found if video == 0 else found)) / 3
        distances = -(1 - probabilities[:, 0]) * torch.log(oracle.sigmoid(online))
        expected["approximation"] += float(distances.mean()) / 3
    terms = detector.losses(output, batch, Targets(LABELS))
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(terms[name].item(), value, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_classes_teach_the_approximator_nothing_and_it_teaches_them_nothing() -> None:
    torch.manual_seed(0)
    detector = build("avvd", settings_of("avvd", SMALL), Dimensions({"visual": WIDTHS["visual"]}, len(CLASSES), 32))
    batch = random_batch([18, 7, 1], 18)
    terms = detector.losses(detector(batch), batch, Targets(LABELS))
    terms["nce"].backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in detector.approximator.parameters())
    detector.zero_grad()
    terms["approximation"].backward()
    assert detector.classifier.weight.grad is None


def test_the_recipe_is_hl_nets() -> None:
    settings, theirs = settings_of("avvd", {}), settings_of("hl_net", {})
    weights = {"nce": 1.0, "binary_online": 1.0, "approximation": 5.0}
    assert settings.recipe == theirs.recipe.model_copy(update={"loss_weights": weights})
    assert settings.model_dump(exclude={"recipe"}) == theirs.model_dump(exclude={"recipe"})
    assert needs("avvd", settings).modalities == ("visual", "audio")
