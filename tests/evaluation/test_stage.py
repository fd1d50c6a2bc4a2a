"""Stage ``evaluate``: from score files to metrics, plots and a summary, without torch."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from avadclip import paths
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment
from avadclip.errors import ConfigError
from avadclip.evaluation.headline import read_headline
from avadclip.evaluation.published import ROWS
from avadclip.scoring import scores
from pipeline.evaluate import main
from tests.support.evaluation_factory import CLASSES, make_scores, make_video

PARAMS = """
datasets:
  demo:
    kind: {kind}
    videos: videos
    annotations: annotations
    classes: [normal, fighting, shooting, riot]
    visual: {{weights: {{sha256: "{sha}"}}, stride: 4, precision: float32}}
    audio: {{weights: {{sha256: "{sha}"}}, precision: float32}}
evaluate: {{bootstrap_resamples: 10, alarm_threshold: {alarm_threshold}}}
seeds: {seeds}
train: {{audio_visual: {{kind: audio_visual}}}}
distill: {{visual_student: {{kind: student}}}}
score: {{detector: audio_visual, variants: {variants}}}
"""
VIDEOS = (
    make_video("a", 90, ["fighting"]),
    make_video("b", 60, ["normal"], has_audio=False),
    make_video("c", 70, ["shooting", "riot"], has_audio=False),
    make_video("d", 0, ["riot"], excluded="truncated file"),
)
SEGMENTS = (Segment("a", "fighting", 10, 50), Segment("c", "shooting", 0, 30), Segment("c", "riot", 20, 66))


def write_params(
    kind: str = "table",
    alarm_threshold: float = 0.5,
    variants: Sequence[str] = ("audio_visual",),
    seeds: Sequence[int] = (0,),
) -> None:
    text = PARAMS.format(
        kind=kind,
        sha="0" * 64,
        alarm_threshold=alarm_threshold,
        variants=json.dumps(variants),
        seeds=json.dumps(seeds),
    )
    Path("params.yaml").write_text(text, encoding="utf-8")


def write_score_file(draw: int, variant: str, seed: int = 0, **provenance: object) -> None:
    made = make_scores(VIDEOS[:3], CLASSES, 4, np.random.default_rng(draw), variant=variant, seed=seed, **provenance)
    scores.write(paths.scores("demo", variant, seed), made)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project in which everything up to `score` has run."""
    monkeypatch.chdir(tmp_path)
    write_params()
    write_manifest(paths.manifest("demo"), VIDEOS)
    write_ground_truth(paths.ground_truth("demo"), SEGMENTS)
    write_score_file(1, "audio_visual")


def read_json(name: str) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((paths.results("demo") / name).read_text(encoding="utf-8"), parse_constant=refuse)


def read_table(name: str) -> list[dict[str, str]]:
    with (paths.results("demo") / "plots" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_neither_evaluation_nor_its_stage_imports_torch() -> None:
    heavy = "{'torch', 'open_clip', 'av', 'decord', 'librosa', 'sklearn', 'matplotlib'}"
    code = f"import sys, avadclip.evaluation.evaluate, pipeline.evaluate; print({heavy} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_detector_and_the_random_row_are_evaluated() -> None:
    write_params(variants=["audio_visual", "visual_student"])
    write_score_file(2, "visual_student")
    main("demo")
    metrics = read_json("metrics.json")
    assert list(metrics) == ["videos", "audio_visual", "visual_student", "random"]
    assert metrics["videos"] == {"evaluated": 3, "excluded": 1}
    details = read_json("details.json")["detectors"]["audio_visual"]
    assert list(details["released"]) == ["classification", "alignment", "mAP"]
    assert list(details["released"]["mAP"]) == ["0.1", "0.2", "0.3", "0.4", "0.5", "AVG"]
    assert set(details["strict"]) == {"classification", "alignment", "mAP", "alarm", "video"}
    assert metrics["audio_visual"] == {
        "AP": details["strict"]["alignment"]["AP"],
        "AUC": details["strict"]["alignment"]["AUC"],
        "mAP": details["strict"]["mAP"]["AVG"],
        "released_AP": details["released"]["alignment"]["AP"],
        "released_mAP": details["released"]["mAP"]["AVG"],
        "video_AP": details["strict"]["video"]["AP"],
        "events_caught": details["strict"]["alarm"]["caught_events"],
        "false_alarms_per_hour": details["strict"]["alarm"]["false_alarms_per_hour"],
    }


def test_details_tell_what_the_headline_leaves_out() -> None:
    main("demo")
    details = read_json("details.json")
    assert details["excluded"] == {"d": "truncated file"}
    detector = details["detectors"]["audio_visual"]
    low, high = detector["intervals"]["alignment.AP"]
    assert low <= high
    assert list(detector["per_class"]) == ["fighting", "shooting", "riot"]
    assert {part: found["videos"] for part, found in detector["by_audio"].items()} == {
        "with_audio": 1,
        "without_audio": 2,
    }
    assert details["detectors"]["random"]["intervals"] == {}


def test_plots_are_tables_of_every_detector() -> None:
    main("demo")
    for name in (
        "precision_recall.csv",
        "roc.csv",
        "map_over_iou.csv",
        "per_class.csv",
        "reliability.csv",
        "alarms.csv",
    ):
        assert {row["detector"] for row in read_table(name)} == {"audio_visual", "random"}, name
    assert [row["iou"] for row in read_table("map_over_iou.csv")[:5]] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    own = [row for row in read_table("reliability.csv") if row["detector"] == "audio_visual"]
    assert sum(int(row["frames"]) for row in own) == 90 + 60 + 70
    recall = [float(row["recall"]) for row in read_table("precision_recall.csv") if row["detector"] == "audio_visual"]
    assert recall == sorted(recall)
    assert recall[-1] == 1
    roc = [[float(row[key]) for key in ("false_positive_rate", "true_positive_rate")] for row in read_table("roc.csv")]
    own = [point for row, point in zip(read_table("roc.csv"), roc, strict=True) if row["detector"] == "audio_visual"]
    assert own == sorted(own)
    assert [own[0], own[-1]] == [[0, 0], [1, 1]]


@pytest.mark.parametrize("kind", ["xd_violence", "cctv_fights", "table"])
def test_summary_shows_published_numbers_for_published_data_sets_only(kind: str) -> None:
    write_params(kind=kind)
    main("demo")
    summary = (paths.results("demo") / "summary.md").read_text(encoding="utf-8")
    for rows in ROWS.values():
        best = max(row.ap or 0 for row in rows)
        assert (f"{best:.2f}" in summary) == (rows == ROWS.get(kind))
    assert "`d`: truncated file" in summary
    assert "nan" not in summary


def test_summary_shows_selection_on_the_test_set() -> None:
    write_score_file(1, "audio_visual", selection="released_test_selected")
    main("demo")
    assert "`released_test_selected`" in (paths.results("demo") / "summary.md").read_text(encoding="utf-8")


def test_summary_says_who_learned_from_more_than_video_labels() -> None:
    for weight, told in ((0.0, 0), (1.0, 1)):
        settings = {"recipe": {"loss_weights": {"segments": weight}}}
        write_score_file(1, "audio_visual", detector={"kind": "audio_visual", "settings": settings})
        main("demo")
        summary = (paths.results("demo") / "summary.md").read_text(encoding="utf-8")
        assert summary.count("also learned from segments of training videos") == told


def test_same_inputs_same_bytes() -> None:
    main("demo")
    first = {path: path.read_bytes() for path in paths.results("demo").rglob("*") if path.is_file()}
    main("demo")
    assert {path: path.read_bytes() for path in paths.results("demo").rglob("*") if path.is_file()} == first


def test_alarm_threshold_moves_the_operating_point_alone() -> None:
    main("demo")
    before = read_json("details.json")["detectors"]["audio_visual"]
    write_params(alarm_threshold=0.9)
    main("demo")
    after = read_json("details.json")["detectors"]["audio_visual"]
    assert before["strict"].pop("alarm") != after["strict"].pop("alarm")
    for name in [name for name in before["intervals"] if name.startswith("alarm.")]:
        del before["intervals"][name], after["intervals"][name]
    for part in before["by_audio"]:
        before["by_audio"][part].pop("alarm"), after["by_audio"][part].pop("alarm")
    assert before == after


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("iou_thresholds: [0.5, 0.1]", "evaluate: .*must ascend"),
        ("alarm_threshold: 1.5", r"evaluate\.alarm_threshold: .*less than 1"),
        ("strict: {depth: 0}", r"evaluate\.strict\.depth: .*greater than 0"),
        ("treshold: 0.5", r"evaluate\.treshold: unknown key"),
    ],
)
def test_parameters_that_make_no_sense_are_named(section: str, message: str) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(re.sub("evaluate: .*", f"evaluate: {{{section}}}", text), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        main("demo")


def several_seeds() -> dict:
    """Evaluate two detectors with three seeds each, the second with equal scores for all seeds; return metrics.json."""
    write_params(variants=["audio_visual", "visual_student"], seeds=[0, 1, 2])
    for seed in (0, 1, 2):
        write_score_file(10 + seed, "audio_visual", seed)
        write_score_file(20, "visual_student", seed, modalities=("visual",))
    main("demo")
    return read_json("metrics.json")


def test_a_detector_of_several_seeds_is_one_row() -> None:
    found = several_seeds()
    assert list(found) == ["videos", "audio_visual", "visual_student", "random"]
    detail = read_json("details.json")["detectors"]["audio_visual"]
    assert (detail["n_seeds"], list(detail["by_seed"])) == (3, ["0", "1", "2"])
    for protocol in ("released", "strict"):
        values = [of_seed[protocol]["alignment"]["AP"] for of_seed in detail["by_seed"].values()]
        assert detail[protocol]["alignment"]["AP"] == pytest.approx(np.mean(values), rel=1e-15)
        assert detail["std"][protocol]["alignment"]["AP"] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    summary = (paths.results("demo") / "summary.md").read_text(encoding="utf-8")
    mean, deviation = found["audio_visual"]["AP"], detail["std"]["strict"]["alignment"]["AP"]
    assert f"{mean:.2f} ± {deviation:.2f} [" in summary
    assert "numbers are means over 3 seeds; curves, figures and page show seed 0" in summary


def test_no_deviation_is_shown_where_there_is_but_one_result() -> None:
    """There is one seed, or several gave the same scores, which says nothing about the next one."""
    several_seeds()
    details = read_json("details.json")["detectors"]
    assert details["visual_student"]["std"] == details["random"]["std"] == {}
    assert any("3 seeds gave 1 different results" in note for note in details["visual_student"]["notes"])
    summary = (paths.results("demo") / "summary.md").read_text(encoding="utf-8")
    for name in ("visual_student", "random"):
        lines = [line for line in summary.splitlines() if f"`{name}` |" in line]
        assert any("±" in line for line in lines)
        for line in lines:
            assert "± 0" not in line
            assert line.count("±") == line.count("± –")  # noqa: RUF001
    cells = {row[0]: row[1:] for row in read_headline("demo").rows}
    assert [cell.split("\n")[-1] for cell in cells["random"]] == ["± -"] * 5
    assert re.fullmatch(r"[\d.]+\n[\d.]+-[\d.]+\n± [\d.]+", cells["audio_visual"][0])


def test_one_seed_is_shown_as_ever() -> None:
    main("demo")
    assert "±" not in (paths.results("demo") / "summary.md").read_text(encoding="utf-8")
    assert not any("±" in cell for row in read_headline("demo").rows for cell in row)
    detail = read_json("details.json")["detectors"]["audio_visual"]
    assert (detail["n_seeds"], detail["std"], detail["by_seed"]) == (1, {}, {})
