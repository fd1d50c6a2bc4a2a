"""Released checkpoints: an imported detector computes what docs/method.md says; only a state dict is accepted."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from torch import Tensor

from avadclip import config, paths, recipes
from avadclip.config.features import Weights
from avadclip.config.variants import Released
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.detectors.description import read_description
from avadclip.detectors.inference import detect
from avadclip.detectors.protocol import Batch
from avadclip.errors import AvadclipError, CheckpointError, ConfigError, WeightsError
from avadclip.interop.checkpoints import names
from avadclip.interop.checkpoints.adopt import adopt_checkpoint
from avadclip.interop.checkpoints.register import register_checkpoint
from avadclip.interop.checkpoints.state_dict import read_tensors
from avadclip.io import sha256_of
from avadclip.store import Features, Source, write
from avadclip.store.video import VideoFeatures
from tests.support import released_factory as released
from tests.support import released_oracle as oracle
from tests.support.dvc_project import ROOT

WIDTH = 16  # the layout is the released one, the width is not: the oracle is slow
NAME = "xd_violence_released"
Tensors = dict[str, Tensor]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parameters with the released data set, and one video with features of width `WIDTH`."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    recipes.add(NAME, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    write_features(WIDTH)
    return tmp_path


def write_features(width: int) -> None:
    rng = np.random.default_rng(0)
    for modality, shape in (("visual", (1, 3, width)), ("audio", (3, width))):
        values = rng.normal(size=shape).astype(np.float16)
        source = Source("v", "0" * 64, 48, 24.0)
        recipe = {"modality": modality, "stride": 16}
        path = paths.features(NAME, modality) / "v.h5"
        write(path, Features(source, recipe, values, np.ones(3, bool), np.arange(4) * 2 / 3, "npy"))


def import_it(path: Path, sha256: str | None = None, variant: str = "it") -> None:
    """Run stage ``train`` for an imported variant."""
    section = config.load().dataset(NAME)
    weights = Weights(path=str(path), sha256=sha256 or sha256_of(path))
    adopt_checkpoint(NAME, section, variant, 0, Released(released=weights))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "text_width", "text_layers", "n"),
    [("teacher", 64, 2, 70), ("student", 128, 3, 256), ("teacher", 64, 1, 1), ("VadCLIP", 64, 2, 70)],
)
def test_an_imported_detector_computes_what_the_release_computes(
    project: Path, role: str, text_width: int, text_layers: int, n: int
) -> None:
    sizes = {"width": WIDTH, "text_width": text_width, "text_layers": text_layers}
    released.write_checkpoint(project / "it.pth", role, **sizes)
    import_it(project / "it.pth")
    checkpoint = load_checkpoint(paths.run(NAME, "it", 0))

    random = torch.Generator().manual_seed(n)
    # A common direction, so that the similarity graph has edges.
    visual = torch.randn(n, WIDTH, generator=random) + 2 * torch.randn(1, WIDTH, generator=random)
    audio = torch.randn(n, WIDTH, generator=random) if role == "teacher" else None
    tensors = released.released_tensors(role, **sizes)
    expected = oracle.detect(tensors, visual, audio, config.load().dataset(NAME).classes)

    def padded(rows: Tensor) -> Tensor:
        return torch.cat([rows, torch.zeros(256 - n, WIDTH)])[None]

    found = checkpoint.detector(
        Batch(
            visual=padded(visual),
            audio=None if audio is None else padded(audio),
            audio_valid=None if audio is None else (torch.arange(256) < n)[None],
            n_snippets=torch.tensor([n]),
        )
    )
    pairs = {
        "anomaly_logits": found.anomaly_logits[0],
        "class_logits": found.class_logits[0],
        "features": found.features[0],
        "class_embeddings": found.class_embeddings,
    }
    if role == "student":
        pairs["theta"] = found.log_variance[0]
    assert pairs.keys() == expected.keys()
    for name, values in pairs.items():
        # float32 against float64, and sums over 256 positions
        torch.testing.assert_close(values.double(), expected[name], rtol=1e-4, atol=1e-4)

    # The same through the function that scoring uses.
    scores = detect(checkpoint.detector, VideoFeatures("v", visual.numpy()[None], _rows(audio), _valid(audio)), "cpu")
    probabilities = expected["class_logits"][:n].softmax(dim=1)
    np.testing.assert_allclose(scores.class_probabilities, probabilities.numpy(), atol=1e-5)
    np.testing.assert_allclose(scores.anomaly_confidence, expected["anomaly_logits"][:n].sigmoid().numpy(), atol=1e-5)


def _rows(audio: Tensor | None) -> np.ndarray | None:
    return None if audio is None else audio.numpy()


def _valid(audio: Tensor | None) -> np.ndarray | None:
    return None if audio is None else np.ones(len(audio), bool)


def test_the_description_says_where_it_comes_from(project: Path) -> None:
    sha256 = released.write_checkpoint(project / "model_xd_t.pth", "teacher", width=WIDTH)
    import_it(project / "model_xd_t.pth")
    files = [paths.run(NAME, "it", 0) / file for file in ("model.json", "model.safetensors")]
    before = [file.read_bytes() for file in files]
    description = json.loads(before[0])
    assert description["imported"] == {"file": "model_xd_t.pth", "sha256": sha256}
    assert description["selection"] == "released_test_selected"
    settings, seed = description["settings"], description["seed"]
    assert seed is None
    assert (settings["mask_padding"], settings["av_prompt"]) == (False, "released")
    assert (settings["local_layers"], settings["local_window"]) == (2, 4)
    assert description["recipes"].keys() == {"visual", "audio"}
    import_it(project / "model_xd_t.pth")
    assert [file.read_bytes() for file in files] == before

    released.write_checkpoint(project / "model_xd_s.pth", "student", width=WIDTH)
    import_it(project / "model_xd_s.pth", variant="student")
    description = read_description(paths.run(NAME, "student", 0))
    assert (description.kind, description.settings["enhancement_layers"]) == ("student", 3)
    assert (description.settings["local_layers"], description.settings["local_window"]) == (1, 64)


class Malicious:
    """An object whose pickle creates a file when it is loaded carelessly."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("how", ["torch", "pickle", "nested"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    path, target = tmp_path / "it.pth", tmp_path / "executed"
    if how == "torch":
        torch.save({"weight": torch.zeros(1), "alpha": Malicious(target)}, path)
    elif how == "nested":
        torch.save({"weight": torch.zeros(1), "state": {"deep": [Malicious(target)]}}, path)
    else:
        path.write_bytes(pickle.dumps(Malicious(target)))
    with pytest.raises(CheckpointError, match=r"refused, and no code in it was run: .*something else") as error:
        read_tensors(path)
    assert "weights_only" not in str(error.value)  # no advice to load it anyway
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"alpha": torch.zeros(1), "epoch": 3, "ap": 0.8}, r"found epoch, ap \(a training state of the authors' code"),
        ([torch.zeros(1)], "expected a state dict, found list"),
        ({1: torch.zeros(1)}, "expected named tensors, and nothing else; found 1"),
        ({"a": {"b": torch.zeros(1)}}, "expected named tensors, and nothing else; found a"),
    ],
)
def test_a_file_with_anything_but_tensors_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "it.pth")
    with pytest.raises(CheckpointError, match=message):
        read_tensors(tmp_path / "it.pth")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 half a zip"])
def test_files_that_are_none_of_torch(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "it.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"it\.pth: (refused|not readable as a file of torch)"):
        read_tensors(tmp_path / "it.pth")


def test_a_truncated_download(tmp_path: Path) -> None:
    released.write_checkpoint(tmp_path / "it.pth", "student", width=4)
    whole = (tmp_path / "it.pth").read_bytes()
    (tmp_path / "it.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="not readable as a file of torch"):
        read_tensors(tmp_path / "it.pth")


def test_missing_and_unknown_and_differing_tensors_are_listed_together() -> None:
    tensors = released.released_tensors("teacher", width=4)
    del tensors["gc3.residual.bias"], tensors["clipmodel.ln_final.weight"], tensors["temporal.resblocks.0.ln_1.bias"]
    tensors["gc5.weight"] = torch.zeros(4, 2)
    tensors["temporalconvnet.network.1.net.4.weight_g"] = torch.zeros(4, 1, 1)
    tensors["alpha"] = torch.zeros(7, 1)
    with pytest.raises(CheckpointError) as error:
        names.sort(tensors, "it.pth")
    assert str(error.value).splitlines() == [
        "it.pth: looks like a teacher of the release, but",
        "  3 tensors are missing: clipmodel.ln_final.weight, gc3.residual.bias, temporal.resblocks.0.ln_1.bias",
        "  1 tensors are unknown: gc5.weight",
        "  alpha has 2 dimensions, expected 1",
        "  temporalconvnet.network.1.net.4.weight_g differs from temporalconvnet.network.1.conv2.weight_g, of which it"
        " is a copy",
    ]


def test_detectors_are_told_apart_by_their_keys() -> None:
    for role in ("teacher", "student", "VadCLIP"):
        found = names.sort(released.released_tensors(role, width=4), "it.pth")
        assert found.role == role
        assert "disAdj.sigma" in found.unused
        assert ("temporalconvnet.network.0.net.0.weight_g" in found.unused) == (role == "teacher")
    both = released.released_tensors("teacher", width=4) | released.released_tensors("student", width=4)
    for tensors, message in ((both, "this file has both"), ({"weight": torch.zeros(1)}, "this file has neither")):
        with pytest.raises(CheckpointError, match=message):
            names.sort(tensors, "it.pth")


def _narrower_norm(tensors: Tensors) -> None:
    tensors["temporal.resblocks.0.ln_1.weight"] = torch.zeros(3)


def _narrower_text(tensors: Tensors) -> None:
    tensors["clipmodel.ln_final.weight"] = torch.zeros(3)


def _fewer_tokens(tensors: Tensors) -> None:
    tensors["clipmodel.token_embedding.weight"] = torch.zeros(1000, 64)


def _fewer_classes(tensors: Tensors) -> None:
    tensors["alpha"] = torch.zeros(2)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_narrower_norm, r"tensors of unexpected shapes: .*temporal\.local\.0\.attention_norm\.weight"),
        (_narrower_text, r"its CLIP has tensors of unexpected shapes: .*ln_final\.weight"),
        (_fewer_tokens, "its CLIP has 1000 tokens"),
        (_fewer_classes, f"has 2 classes, but datasets.{NAME}.classes has 7"),
    ],
)
def test_tensors_of_other_sizes(project: Path, spoil: Callable[[Tensors], None], message: str) -> None:
    tensors = released.released_tensors("student", width=WIDTH)
    spoil(tensors)
    torch.save(tensors, project / "it.pth")
    with pytest.raises(CheckpointError, match=f"(?s){message}"):
        import_it(project / "it.pth")
    assert not paths.run(NAME, "it", 0).exists()


def test_it_has_to_be_the_pinned_file_and_fit_the_features(project: Path) -> None:
    with pytest.raises(WeightsError, match=r"train\.it\.released\.path: it\.pth: no such file"):
        import_it(Path("it.pth"), "0" * 64)
    released.write_checkpoint(project / "it.pth", "student", width=WIDTH)
    with pytest.raises(WeightsError, match=r"not the pinned weights: expected sha256 0000"):
        import_it(project / "it.pth", "0" * 64)
    write_features(WIDTH + 1)
    with pytest.raises(CheckpointError, match="visual features of width 17, but the checkpoint expects 16"):
        import_it(project / "it.pth")


def test_register_pins_the_file_in_params_yaml(project: Path) -> None:
    file = Path("params.yaml")
    before = file.read_text()
    sha256 = released.write_checkpoint(project / "it.pth", "student", width=WIDTH)
    found = register_checkpoint(Path("it.pth"), NAME, "released_student", file)
    assert (found.what, found.sha256) == ("student of the release", sha256)
    after = file.read_text()
    register_checkpoint(Path("it.pth"), NAME, "released_student", file)  # again
    assert file.read_text() == after
    other = released.write_checkpoint(project / "other.pth", "student", width=WIDTH, seed=1)
    register_checkpoint(Path("other.pth"), NAME, "released_student", file)  # a newer file
    assert file.read_text() == after.replace("it.pth", "other.pth").replace(sha256, other)
    file.write_text(after)
    params = config.load()
    assert params.variant("released_student") == Released(released=Weights(path="it.pth", sha256=sha256))
    assert params.score.variants[-1] == "released_student"
    assert (params.score.detector, params.score.student) == ("ensemble", "visual_ensemble")  # as before
    lines = after.splitlines()
    assert [line for line in before.splitlines() if line not in lines] == []  # every other line is as before


@pytest.mark.slow
@pytest.mark.parametrize("sections", [["train", "distill", "score"], ["distill", "score"], ["score"]])
def test_register_adds_the_sections_that_are_not_there(project: Path, sections: list[str]) -> None:
    file = Path("params.yaml")
    content = YAML(typ="safe").load(file)
    for section in sections:
        del content[section]
    YAML().dump(content, file)
    released.write_checkpoint(project / "it.pth", "student", width=WIDTH)
    register_checkpoint(Path("it.pth"), NAME, "it", file)
    params = config.load()
    assert isinstance(params.variant("it"), Released)
    assert params.score.variants == ("it",)
    assert params.score.student == ("visual_student" if "visual_student" in params.distill else "it")


def test_register_refuses_and_leaves_the_file_alone(project: Path) -> None:
    file = Path("params.yaml")
    before = file.read_text()
    released.write_checkpoint(project / "it.pth", "student", width=WIDTH)
    torch.save({"a": torch.zeros(1)}, project / "other.pth")
    cases: list[tuple[str, str, str, type[AvadclipError], str]] = [
        ("it.pth", NAME, "audio_visual", ConfigError, "there is a variant 'audio_visual' already, which is trained"),
        (
            "it.pth",
            NAME,
            "visual_student",
            ConfigError,
            "there is a variant 'visual_student' already, which is trained",
        ),
        ("it.pth", "nowhere", "x", ConfigError, "no data set 'nowhere' under `datasets`"),
        ("other.pth", NAME, "x", CheckpointError, "other.pth: not a known detector"),
        ("nothing.pth", NAME, "x", CheckpointError, "nothing.pth: .*No such file or directory"),
    ]
    for checkpoint, dataset, variant, error, message in cases:
        with pytest.raises(error, match=message):
            register_checkpoint(Path(checkpoint), dataset, variant, file)
        assert file.read_text() == before
