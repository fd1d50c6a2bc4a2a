"""What stage ``evaluate`` wrote, read by the commands: results of several data sets, and damaged files."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from avadclip import paths
from avadclip.cli import app
from avadclip.errors import EvaluationError
from avadclip.evaluation.files import read_details, read_table, write_json, write_table
from tests.support.project_factory import save_params

WEIGHTS = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
ENCODERS = {"visual": {**WEIGHTS, "stride": 4}, "audio": WEIGHTS}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two data sets; nothing is evaluated."""
    monkeypatch.chdir(tmp_path)
    dataset = {"kind": "table", "videos": "videos", "annotations": "tables", "classes": ["normal", "riot"], **ENCODERS}
    save_params(tmp_path, {"datasets": {"new": dataset, "old": dataset}, "evaluate": {"confidence": 0.5}})


def details(confidence: float, resamples: int) -> dict[str, Any]:
    detector = {"n_seeds": 1, "intervals": {"alignment.AP": [40.0, 60.0]}, "strict": {"alignment": {"AP": 50.0}}}
    settings = {"confidence": confidence, "bootstrap_resamples": resamples}
    return {"settings": settings, "limits": [], "detectors": {"ours": detector}}


def results(*words: str) -> Result:
    return CliRunner().invoke(app, ["results", *words], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("confidence", "resamples", "said"),
    [
        (0.95, 100, "in percent, with 95% intervals"),
        (0.999, 100, "with 99.9% intervals"),
        (0.95, 0, "in percent detector AP"),
    ],
)
def test_the_title_tells_how_the_intervals_were_computed(confidence: float, resamples: int, said: str) -> None:
    """Not what params.yaml says now."""
    write_json(paths.details("old"), details(confidence, resamples))
    found = results("old")
    assert found.exit_code == 0, found.output
    assert said in " ".join(found.output.split())


def test_a_data_set_that_is_not_evaluated_hides_no_other() -> None:
    write_json(paths.details("old"), details(0.95, 100))
    found = results()
    assert found.exit_code == 0, found.output
    assert "new: not evaluated yet; run `dvc repro`" in found.stderr
    assert "50.0" in found.stdout
    alone = results("new")
    assert (alone.exit_code, "no such file; run `dvc repro`" in alone.output) == (1, True)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_damaged_details_are_named(content: bytes) -> None:
    path = paths.details("old")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"details.json: damaged: .*; run `dvc repro`$"):
        read_details("old")
    assert "error: " in results().output


@pytest.mark.parametrize("content", [b"", b'a,b\n"', b"\xff"])
def test_a_damaged_table_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "alarms.csv").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"alarms.csv: damaged: .*; run `dvc repro`$"):
        read_table(tmp_path / "alarms.csv")


def test_any_name_comes_back(tmp_path: Path) -> None:
    """pandas would take these for missing values."""
    table = pd.DataFrame({"detector": ["NA", "null", "nan", "None"], "AP": [1.0, None, 3.0, 4.0]})
    write_table(tmp_path / "a.csv", table)
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.csv"), table, check_dtype=False)
    assert json.dumps(read_table(tmp_path / "a.csv")["detector"].tolist()) == '["NA", "null", "nan", "None"]'
