"""The table of thresholds, compared with the operating point at each of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from avadclip import paths
from avadclip.cli import app
from avadclip.config.evaluation import Alarms, Evaluate
from avadclip.errors import EvaluationError
from avadclip.evaluation import alarms, resampling, timeline
from avadclip.evaluation.trade_off import CAUGHT, LEVELS, PER_HOUR, TABLE, read_rows, trade_off, within
from avadclip.io import write_text
from tests.support import pages
from tests.support.evaluation_factory import make_case

RULES = (Alarms(), Alarms(smooth_seconds=0.3, off=0.7, bridge_seconds=0.2, shortest_seconds=0.2, pad_seconds=0.1))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(4))
def test_each_row_is_the_operating_point_of_its_level(seed: int, rule: Alarms) -> None:
    case = make_case(np.random.default_rng(seed), n_videos=9)
    joined = timeline.located(timeline.strict(case.scores, case.videos, case.segments, case.classes))
    stride, n_videos = case.scores.provenance.stride, len(joined.videos)
    settings = Evaluate(alarms=rule, bootstrap_resamples=30)
    table = trade_off(joined, settings, stride, settings.bootstrap_resamples)
    assert table["level"].tolist() == list(LEVELS)

    def points(weights: np.ndarray, level: float) -> dict[str, np.ndarray]:
        at = settings.model_copy(update={"alarm_threshold": level})
        found = alarms.operating_point(alarms.tally(joined, alarms.alarmed_snippets(joined, at, stride)), weights)
        return {PER_HOUR: found.false_alarms_per_hour, CAUGHT: 100 * found.caught_events}

    for _, row in table.iloc[::3].iterrows():
        level = row["level"]
        ends = resampling.intervals(lambda weights, level=level: points(weights, level), n_videos, 30, 0, 0.95)
        for rate, values in points(np.ones((1, n_videos)), level).items():
            assert row[rate] == pytest.approx(float(values[0]), rel=1e-12, nan_ok=True)  # divided in another order
            low, high = ends.get(rate, (np.nan, np.nan))
            assert [row[f"{rate}_low"], row[f"{rate}_high"]] == pytest.approx([low, high], rel=1e-12, nan_ok=True)


def test_the_lowest_level_within_a_budget() -> None:
    table = pd.DataFrame({"level": [0.2, 0.4, 0.6], PER_HOUR: [30.0, 5.0, 1.0], CAUGHT: [100.0, 90.0, 50.0]})
    assert [within(table, budget)["level"] for budget in (60, 30, 6, 5, 1)] == [0.2, 0.2, 0.4, 0.4, 0.6]
    assert within(table, 0.5) is None


def test_an_alarm_that_never_ends_keeps_to_no_budget() -> None:
    """At a low level one alarm is on all the time, which counts once."""
    table = pd.DataFrame({"level": [0.2, 0.4, 0.6], PER_HOUR: [3.0, 90.0, 1.0], CAUGHT: [100.0, 90.0, 50.0]})
    assert within(table, 10)["level"] == 0.6
    assert within(table, 100)["level"] == 0.2
    endless = pd.DataFrame({"level": [0.2, 0.4], PER_HOUR: [3.0, 90.0], CAUGHT: [100.0, 90.0]})
    assert within(endless, 10) is None


def test_the_command_prints_what_evaluate_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = Path(__file__).parents[2] / "params.yaml"
    Path("params.yaml").write_bytes(shipped.read_bytes())
    missing = CliRunner().invoke(app, ["threshold", "demo"])
    assert (missing.exit_code, "alarms.csv: no such file; run `dvc repro`" in missing.output) == (1, True)
    header = ["detector", "level", *(f"{rate}{end}" for rate in (PER_HOUR, CAUGHT) for end in ("", "_low", "_high"))]
    rows = ["ensemble,0.5,6.0,1.0,12.5,80.0,70.0,90.0", "ensemble,0.52,,,,75.0,,", "other,0.5,1.0,,,2.0,,"]
    write_text(paths.results("demo") / "plots" / TABLE, "\n".join([",".join(header), *rows]) + "\n")
    assert read_rows("demo", "ensemble") == [
        ("0.5", "6.0 [1.0, 12.5]", "80.0 [70.0, 90.0]"),
        ("0.52", "-", "75.0"),
    ]
    (typed,) = pages.commands("docs/alarms.md", "What a threshold costs")
    printed = CliRunner().invoke(app, typed.split()[1:])
    assert printed.exit_code == 0, printed.output
    assert "6.0 [1.0, 12.5]" in printed.output
    assert "now: evaluate.alarm_threshold 0.5" in printed.output
    with pytest.raises(EvaluationError, match=r"no detector 'nobody'; there are: ensemble, other$"):
        read_rows("demo", "nobody")


def test_the_levels_are_those_of_the_page() -> None:
    """The page sets the threshold in steps of 0.01, so each level can be tried there and written into params.yaml."""
    assert all(
        json.dumps(level) == f"{level:g}" and round(100 * level) == pytest.approx(100 * level) for level in LEVELS
    )
