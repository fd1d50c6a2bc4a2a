"""The shipped graph on a smaller demo world, with the paper's pair of detectors: from an empty clone to figures."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.dvc_project import (
    CODE,
    EVERYTHING,
    EXTRACT_AUDIO,
    PAIR,
    THRESHOLD,
    change,
    clone,
    dvc,
    keep_the_pair,
    of_the_pair,
    quicken,
    ran,
    read_params,
    repro,
    write_params,
)

pytestmark = pytest.mark.slow

MADE_HERE = ("data", "features", "runs", "results", ".cache", ".dvc/cache")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which nothing has been run; fewer videos and rounds than shipped, so that it takes a minute."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    params = read_params(folder)
    params["worlds"]["demo"] |= {"n_train": 10, "n_test": 4}
    keep_the_pair(params)
    quicken(params, rounds=1, batch_size=5)
    params["evaluate"]["bootstrap_resamples"] = 20
    params["figures"]["n_videos"] = 2
    write_params(folder, params)
    return folder


def test_from_an_empty_clone_to_figures_and_what_a_change_costs(project: Path) -> None:
    assert repro(project) == of_the_pair(EVERYTHING)
    results = project / "results" / "demo"
    metrics = json.loads((results / "metrics.json").read_text())
    assert {*PAIR, "random", "videos"} == set(metrics)
    assert metrics["videos"] == {"evaluated": 4, "excluded": 0}
    assert len(list((results / "figures").iterdir())) == 2
    assert any((results / "report").iterdir())
    model = project / "runs" / "demo"
    assert {"predictor.json", "alarm.json", "encoders"} <= {path.name for path in model.iterdir()}
    assert repro(project) == set()

    change(project, "evaluate.alarm_threshold", 0.7)
    assert repro(project) == THRESHOLD

    # Another audio recipe gives other features of sound; those of pictures stay.
    features = project / "features" / "demo" / "visual"
    before = {path.name: path.read_bytes() for path in features.iterdir()}
    change(project, "datasets.demo.audio.window_seconds", 0.5)
    assert repro(project, "extract_audio@demo") == CODE | EXTRACT_AUDIO
    assert {path.name: path.read_bytes() for path in features.iterdir()} == before
    change(project, "datasets.demo.audio.window_seconds", 1.0)
    assert repro(project) == set()  # everything is in the caches


def test_a_deleted_output_is_rebuilt_byte_for_byte(project: Path) -> None:
    """Follows the test above. Without DVC's cache and the work cache nothing can be copied back: all is made again."""
    before = (project / "dvc.lock").read_bytes()
    for name in MADE_HERE:
        shutil.rmtree(project / name)
    assert repro(project) == of_the_pair(EVERYTHING)
    assert (project / "dvc.lock").read_bytes() == before  # holds a hash of every output


def test_trained_on_one_data_set_and_tested_on_another(project: Path) -> None:
    """Paper, table V. Follows the tests above, whose detectors it tests on a second data set with the same videos."""
    params = read_params(project)
    params["datasets"]["other"] = params["datasets"]["demo"]
    params["score"]["variants"] = []
    params["score"]["across"] = {"it": {"dataset": "other", "trained_on": "demo", "variant": "audio_visual"}}
    write_params(project, params)
    output = dvc(project, "repro", "score_across@it")
    own_stages = {"prepare@other", "extract_visual@other", "extract_audio@other", "score_across@it"}
    assert ran(output) == {"code", *own_stages}  # `code` looks at every name in params.yaml
    assert output.count("14 cached, 0 encoded") == 2  # the same videos and recipes: nothing is decoded again
    dvc(project, "repro", "--single-item", "evaluate@other")
    metrics = json.loads((project / "results" / "other" / "metrics.json").read_text())
    own = json.loads((project / "results" / "demo" / "metrics.json").read_text())
    found = metrics["audio_visual_from_demo"]
    assert (found["AP"], found["AUC"]) == (own["audio_visual"]["AP"], own["audio_visual"]["AUC"])
