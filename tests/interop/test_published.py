"""Checkpoints of other published detectors, recognised by their tensors, score features of the width they need."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from avadclip import config, paths
from avadclip.config.features import Weights
from avadclip.config.variants import Released
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.detectors.inference import detect
from avadclip.detectors.registry import kinds
from avadclip.errors import CheckpointError
from avadclip.interop.checkpoints.adopt import adopt_checkpoint
from avadclip.interop.checkpoints.published import build_published, find, layouts
from avadclip.interop.checkpoints.register import register_checkpoint
from avadclip.io import sha256_of
from avadclip.store.video import open_folders, read_video
from tests.support import published_factory as published
from tests.support.training_factory import NAME, WIDTHS, make_videos, write_training_project

Tensors = dict[str, Tensor]
FILES: dict[str, Callable[[], Tensors]] = {
    "hl_net": published.hl_net,
    "rtfm": published.rtfm,
    "clip_tsa": published.clip_tsa,
    "ur_dmu": published.ur_dmu,
    "bn_wvad": published.bn_wvad,
    "macil_sd": published.macil_sd,
    "pel4vad": published.pel4vad,
}
VISUAL, JOINED = WIDTHS["visual"], sum(WIDTHS.values())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_training_project(tmp_path, make_videos(1, 2), {"visual": 1.0, "audio": 1.0})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def import_it(content: object) -> None:
    """Run stage ``train`` for an imported variant."""
    torch.save(content, "it.pth")
    weights = Weights(path="it.pth", sha256=sha256_of(Path("it.pth")))
    adopt_checkpoint(NAME, config.load().dataset(NAME), "it", 0, Released(released=weights))


def test_a_layout_is_named_as_a_kind() -> None:
    assert layouts().keys() <= set(kinds())
    assert layouts().keys() >= FILES.keys()


@pytest.mark.parametrize("kind", FILES)
def test_each_is_recognised_by_its_own_layout_alone(kind: str) -> None:
    tensors = FILES[kind]()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert [name for name, layout in layouts().items() if layout.recognises(shapes)] == [kind]
    found = find(tensors, "it.pth")
    assert found is not None
    parallel = find({f"module.{name}": tensor for name, tensor in tensors.items()}, "it.pth")
    assert parallel is not None
    assert parallel.tensors.keys() == found.tensors.keys()
    widths = dict(WIDTHS) if kind == "macil_sd" else None  # it has a layer for each modality
    build_published(found, widths, 3, "it.pth")  # fails unless every tensor has a place that it fits
    assert find({"weight": torch.zeros(1)}, "it.pth") is None


@pytest.mark.parametrize(
    ("kind", "pairs"),
    [
        ("hl_net", {"first.bias": "conv1d1.bias", "approximator.second.bias": "approximator.2.bias"}),
        ("hl_net", {"distance_graph.second": "gc4.weight", "score_graph.beside.weight": "gc5.residual.weight"}),
        ("rtfm", {"temporal.pyramid.2.norm.running_var": "Aggregate.conv_3.2.running_var", "second.bias": "fc2.bias"}),
        ("rtfm", {"temporal.attention.query.weight": "Aggregate.non_local.theta.weight"}),
        ("rtfm", {"temporal.attention.key.weight": "Aggregate.non_local.phi.weight"}),
        ("clip_tsa", {"gate.last.weight": "hard_attention.scorer.fc2.weight", "last.weight": "fc3.weight"}),
        ("ur_dmu", {"encoder.layers.1.contract.weight": "selfatt.layers.1.1.fn.net.3.weight"}),
        ("ur_dmu", {"normal_memory.vectors": "Nmemory.memory_block", "log_variance.bias": "encoder_var.0.bias"}),
        (
            "bn_wvad",
            {"second_norm.running_mean": "normal_head.bn2.running_mean", "last.bias": "normal_head.conv3.bias"},
        ),
        ("macil_sd", {"stream.layer.query.weight": "cma.layer.self_attn.linears.0.weight"}),
        ("macil_sd", {"project_audio.weight": "fc_a.weight", "stream.head.bias": "att_mmil.fc.bias"}),
        ("pel4vad", {"attention.share": "self_attention.self_attn.alpha", "score.weight": "classifier.weight"}),
        ("pel4vad", {"attention.key.bias": "self_attention.self_attn.k.bias", "log_scale": "logit_scale"}),
    ],
)
def test_where_tensors_go(kind: str, pairs: dict[str, str]) -> None:
    tensors = FILES[kind]()
    found = find(tensors, "it.pth")
    assert found is not None
    for ours, theirs in pairs.items():
        assert torch.equal(found.tensors[ours], tensors[theirs])


def test_the_bias_before_a_normalisation_is_in_its_running_mean() -> None:
    tensors = published.rtfm()
    detector = build_published(find(tensors, "it.pth"), None, 3, "it.pth").eval()
    block, x = detector.temporal.attention, torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    query, key, value = (
        functional.conv1d(x, *(tensors[f"Aggregate.non_local.{part}.{which}"] for which in ("weight", "bias")))
        for part in ("theta", "phi", "g")
    )
    attended = (query.transpose(1, 2) @ key / 5 @ value.transpose(1, 2)).transpose(1, 2)
    out = functional.conv1d(attended, *(tensors[f"Aggregate.non_local.W.0.{which}"] for which in ("weight", "bias")))
    parts = ("running_mean", "running_var", "weight", "bias")
    normed = functional.batch_norm(out, *(tensors[f"Aggregate.non_local.W.1.{part}"] for part in parts))
    assert_close(block(x, None), normed + x)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "tensors", "modalities"),
    [
        ("hl_net", published.hl_net(JOINED), ("visual", "audio")),
        ("hl_net", published.hl_net(VISUAL), ("visual",)),
        ("rtfm", published.rtfm(VISUAL), ("visual",)),
        ("clip_tsa", published.clip_tsa(VISUAL), ("visual",)),
        ("ur_dmu", published.ur_dmu(VISUAL), ("visual",)),
        ("bn_wvad", published.bn_wvad(JOINED), ("visual", "audio")),
        ("macil_sd", published.macil_sd(WIDTHS["visual"], WIDTHS["audio"]), ("visual", "audio")),
        ("pel4vad", published.pel4vad(JOINED), ("visual", "audio")),
        ("clip_tsa", published.clip_tsa(JOINED, 512), ("visual", "audio")),  # reduced
        ("clip_tsa", {"model_state_dict": published.clip_tsa(), "optimizer_state_dict": {"state": {}}}, ("visual",)),
    ],
)
def test_it_scores_features_of_its_width(project: Path, kind: str, tensors: Tensors, modalities: tuple) -> None:
    import_it(tensors)
    checkpoint = load_checkpoint(paths.run(NAME, "it", 0))
    description = checkpoint.description
    assert (description.kind, description.modalities, description.text_tower) == (kind, modalities, None)
    assert description.recipes.keys() == set(modalities)
    video = read_video(open_folders(NAME, modalities), "video001")
    scores = detect(checkpoint.detector, video, "cpu").anomaly_confidence
    assert np.isfinite(scores).all()
    assert scores.std() > 0


def test_features_of_another_width_are_refused(project: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expects features of width 16, .*found .*'visual': 12, 'audio': 8"):
        import_it(published.rtfm(16))
    assert not paths.run(NAME, "it", 0).exists()


def _without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {key: tensor for key, tensor in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without("fc2.bias"), r"it\.pth: looks like rtfm, but 1 tensors are missing: fc2\.bias"),
        (lambda tensors: tensors | {"fc4.bias": torch.zeros(1)}, r"but 1 tensors are unknown: fc4\.bias"),
        (lambda tensors: tensors | {"fc3.bias": torch.zeros(2)}, r"tensors of unexpected shapes: .*last\.bias"),
    ],
)
def test_files_that_are_not_whole(project: Path, spoil: Callable[[Tensors], Tensors], message: str) -> None:
    with pytest.raises(CheckpointError, match=f"(?s){message}"):
        import_it(spoil(published.rtfm()))


def test_register_pins_it(project: Path) -> None:
    torch.save(published.hl_net(), "it.pth")
    found = register_checkpoint(Path("it.pth"), NAME, "published", Path("params.yaml"))
    assert found.what == "hl_net"
    section = config.load().variant("published")
    assert section == Released(released=Weights(path="it.pth", sha256=sha256_of(Path("it.pth"))))
