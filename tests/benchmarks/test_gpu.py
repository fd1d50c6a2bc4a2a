"""The GPU benchmark in miniature, on machines without a GPU, so that it does not fail when started on one."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.gpu import BUDGETS, MODULES, app, run_part, table
from tests.support import warm

TINY = ["--tiny", "--workers", "2", "--precision", "float32"]


@pytest.fixture
def quick_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the benchmark's parts as processes that have already imported their libraries."""
    monkeypatch.setattr(sys, "executable", warm.executable())


@pytest.mark.slow
@pytest.mark.usefixtures("quick_python")
def test_everything_that_a_cpu_can_show(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    parts = "encoder,decoding,end_to_end,network"
    result = CliRunner().invoke(app, ["--tiny", "--json", str(path), "--parts", parts])
    assert result.exit_code == 0, result.output
    printed = result.stdout
    found = json.loads(path.read_text())
    assert list(found) == ["plan", "prepare", "encoder", "decoding", "end_to_end", "network"]
    assert not [part for part, results in found.items() if "error" in results]
    assert all(found["encoder"][f"float32, {views}"] > 0 for views in ("center", "ten_crop"))
    for views in ("center", "ten_crop"):
        row = found["end_to_end"][f"{views}, tiny"]
        assert row["n_videos"] >= 4
        assert 0 < row["share_of_bare"] == row["steady_frames_per_second"] / row["bare_frames_per_second"]
    assert found["network"]["float32, 8, fused"]["cosine"] > 0.9999  # the same function
    assert all(line in printed for line in table(found))


def test_every_part_has_a_module_and_a_budget() -> None:
    assert MODULES.keys() == BUDGETS.keys()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_python")
def test_a_part_that_fails_says_why(tmp_path: Path) -> None:
    found = run_part("decoding", tmp_path, TINY, seconds=300)  # nothing was prepared
    assert "tiny.source.json" in found["error"]
    assert any("No such file" in line for line in table({"plan": {}, "decoding": found}))


def test_a_part_whose_time_is_over_keeps_what_it_has_found(tmp_path: Path) -> None:
    (tmp_path / "decoding.results.json").write_text('{"360p, pyav": 12.0}')
    found = run_part("decoding", tmp_path, TINY, seconds=0.01)
    assert (found["360p, pyav"], found["error"]) == (12.0, "not done within 0 s")
