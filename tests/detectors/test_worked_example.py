"""The detector of docs/detectors.md, put into a module of its own, trained and scored as the page says."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from sklearn.metrics import roc_auc_score

from avadclip import config, paths
from avadclip.config.variants import Variant
from avadclip.datasets.manifest import read_manifest
from avadclip.scoring.run import Job, score
from avadclip.training.preparation import Run
from avadclip.training.run import train
from tests.support.dvc_project import ROOT
from tests.support.training_factory import NAME, STRIDE, anomalous_snippets, make_videos, write_training_project

PAGE = (ROOT / "docs" / "detectors.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_the_detector_of_the_page_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = block("python")
    assert len(code.splitlines()) <= 70
    (tmp_path / "lab_of_the_page").mkdir()
    (tmp_path / "lab_of_the_page" / "snippet_mlp.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_training_project(tmp_path, make_videos(24, 12), {"visual": 3.0, "audio": 0.0}, selection={"by": "last"})
    params = config.load()
    entry = YAML(typ="safe").load(block("yaml"))["train"]["snippet_mlp"]
    entry |= {"kind": "lab_of_the_page.snippet_mlp", "on": {NAME: entry["on"]["demo"]}}
    section = Variant.model_validate(entry)
    assert section.settings_on(NAME) == {"recipe": {"rounds": 10}}
    train(Run(NAME, params.dataset(NAME), "snippet_mlp", section, "train.snippet_mlp", 0), params.compute)
    videos = read_manifest(paths.manifest(NAME))
    tested = [video.id for video in videos if video.split == "test"]
    scored = score(Job(NAME, "snippet_mlp", NAME, 0), tested, "cpu")
    truths = []
    for video in sorted((v for v in videos if v.split == "test"), key=lambda v: v.id):
        truth = np.zeros(-(-video.n_frames // STRIDE))
        truth[anomalous_snippets(video)] = 1
        truths.append(truth)
    assert roc_auc_score(np.concatenate(truths), scored.anomaly_confidence) > 0.9
    assert scored.class_probabilities is None
    sys.modules.pop("lab_of_the_page.snippet_mlp", None)


def test_every_hook_and_every_key_of_a_recipe_is_on_the_page() -> None:
    from avadclip.detectors.protocol import Detector
    from avadclip.detectors.settings import Recipe

    hooks = {name for name in vars(Detector) if not name.startswith("_")} - {"modalities", "Settings"}
    missing = [name for name in sorted(hooks | Recipe.model_fields.keys()) if f"`{name}" not in PAGE]
    assert missing == []
