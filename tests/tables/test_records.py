"""Records as stage ``evaluate`` writes them: what they hold, that they vanish with their variant, and their schema."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner

from avadclip import paths
from avadclip.cli import app
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment
from avadclip.errors import EvaluationError
from avadclip.scoring import scores
from avadclip.tables import records as records_module
from avadclip.tables.records import Record, read_records
from pipeline.evaluate import main
from tests.support import pages
from tests.support.evaluation_factory import CLASSES, make_scores, make_video
from tests.support.record_factory import make_record

SCHEMA = Path(records_module.__file__).with_name("record.schema.json")
PARAMS = """
datasets:
  demo:
    kind: table
    videos: videos
    annotations: annotations
    classes: [normal, fighting, shooting, riot]
    visual: {{weights: {{sha256: null}}, stride: 4, precision: float32}}
    audio: {{weights: {{sha256: null}}, precision: float32}}
seeds: [0, 1]
train: {{audio_visual: {{kind: audio_visual}}}}
distill: {{visual_student: {{kind: student}}}}
score: {{variants: {variants}}}
evaluate: {{bootstrap_resamples: 20{more}}}
"""
VIDEOS = tuple(
    make_video(f"video{index}", 60 + index, ["riot" if index % 2 else "normal"], has_audio=index > 0)
    for index in range(6)
)
SEGMENTS = tuple(Segment(f"video{index}", "riot", 10, 40) for index in (1, 3, 5))
DETECTOR = {
    "kind": "audio_visual",
    "settings": {"fusion": "adaptive", "modalities": ["visual", "audio"]},
    "round": 3,
    "imported": None,
    "checkpoint_sha256": "a" * 64,
    "recipes": {"visual": {"stride": 4, "encoder": "demo"}},
}


def write_params(*variants: str, more: str = "") -> None:
    Path("params.yaml").write_text(PARAMS.format(variants=json.dumps(variants), more=more), encoding="utf-8")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project in which everything up to `score` has run."""
    monkeypatch.chdir(tmp_path)
    write_params("audio_visual", "visual_student")
    write_manifest(paths.manifest("demo"), VIDEOS)
    write_ground_truth(paths.ground_truth("demo"), SEGMENTS)
    for number, variant in enumerate(("audio_visual", "visual_student")):
        for seed in (0, 1):
            rng = np.random.default_rng([number, seed])
            detector = DETECTOR | {"checkpoint_sha256": f"{seed}" * 64}
            found = make_scores(VIDEOS, CLASSES, 4, rng, variant=variant, seed=seed, detector=detector)
            scores.write(paths.scores("demo", variant, seed), found)


def read(name: str) -> Record:
    return next(record for record in read_records(paths.records("demo")) if record.name == name)


def test_a_record_holds_what_the_details_say_and_what_made_it() -> None:
    main("demo")
    details = json.loads(paths.details("demo").read_text())["detectors"]["audio_visual"]
    record = read("audio_visual")
    assert record.strict["alignment.AP"] == details["strict"]["alignment"]["AP"]
    assert record.released["mAP.AVG"] == details["released"]["mAP"]["AVG"]
    assert record.deviation["strict"]["mAP.AVG"] == details["std"]["strict"]["mAP"]["AVG"]
    assert list(record.intervals["alignment.AP"]) == details["intervals"]["alignment.AP"]
    assert [run.strict["alignment.AP"] for run in record.runs] == [
        details["by_seed"][seed]["strict"]["alignment"]["AP"] for seed in ("0", "1")
    ]
    assert [run.checkpoint_sha256 for run in record.runs] == ["0" * 64, "1" * 64]
    assert (record.detector.kind, record.detector.settings) == ("audio_visual", DETECTOR["settings"])
    assert record.features["visual"].settings == DETECTOR["recipes"]["visual"]
    assert (record.data.test_videos, record.data.normal, record.data.with_sound) == (6, 3, 5)
    # The interval is that of the same values that are kept for comparisons.
    ends = np.nanquantile(np.array(record.resampled["alignment.AP"], float), [0.025, 0.975])
    assert ends == pytest.approx(record.intervals["alignment.AP"], abs=1e-4)  # four digits are kept


def test_same_inputs_same_bytes_and_left_overs_vanish() -> None:
    main("demo")
    first = {path.name: path.read_bytes() for path in paths.records("demo").iterdir()}
    assert sorted(first) == ["audio_visual.json", "random.json", "visual_student.json"]
    main("demo")
    assert {path.name: path.read_bytes() for path in paths.records("demo").iterdir()} == first
    write_params("audio_visual")
    main("demo")
    assert sorted(path.name for path in paths.records("demo").iterdir()) == ["audio_visual.json", "random.json"]


@pytest.mark.parametrize(
    ("change", "same_data", "same_protocol"),
    [
        ("segment", False, True),
        ("training video", False, True),
        ("protocol", True, False),
        ("threshold", True, True),
    ],
)
def test_data_and_protocol_have_a_hash_of_what_counts(change: str, same_data: bool, same_protocol: bool) -> None:
    main("demo")
    before = read("random")
    if change == "segment":
        write_ground_truth(paths.ground_truth("demo"), (*SEGMENTS[:2], Segment("video5", "riot", 10, 41)))
    elif change == "training video":
        write_manifest(paths.manifest("demo"), (*VIDEOS, make_video("x", 60, ["riot"], split="train")))
    else:
        more = ", iou_thresholds: [0.5]" if change == "protocol" else ", alarm_threshold: 0.9"
        write_params("audio_visual", "visual_student", more=more)
    main("demo")
    after = read("random")
    assert (after.data.sha256 == before.data.sha256) == same_data
    assert (after.protocol.sha256 == before.protocol.sha256) == same_protocol


def test_the_schema_is_of_these_records() -> None:
    schema = json.loads(SCHEMA.read_text())
    assert schema == Record.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    main("demo")
    for path in paths.records("demo").iterdir():
        jsonschema.validate(json.loads(path.read_text()), schema)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"avadclip-record/1"', '"avadclip-record/2"', r"theirs/a\.json: format: .*'avadclip-record/2'"),
        ('"name":"a"', '"name":"../a"', r"theirs/a\.json: name: "),
        ('"notes":[]', '"notes":[],"more":1', "more: unknown key"),
        ("{", "", r"theirs/a\.json: the file: "),
    ],
)
def test_what_is_no_record_is_refused(old: str, new: str, message: str) -> None:
    text = make_record("a", [50.0], [10.0]).model_dump_json()
    Path("theirs").mkdir()
    Path("theirs/a.json").write_text(text)
    assert [record.name for record in read_records(Path("theirs"))] == ["a"]
    assert old in text
    Path("theirs/a.json").write_text(text.replace(old, new, 1))
    with pytest.raises(EvaluationError, match=message):
        read_records(Path("theirs"))


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["table", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_prints_tables_and_writes_all_of_them() -> None:
    main("demo")
    record = read("audio_visual")
    assert f"{record.strict['alignment.AP']:.2f} ± {record.deviation['strict']['alignment.AP']:.2f}" in run("viii")
    assert r"\begin{tabular}" in run("VII", "--format", "latex", "--dataset", "demo")
    run("all")
    written = sorted(path.name for path in paths.tables("demo").iterdir())
    numbers = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
    assert written == sorted(f"table_{number}.{ending}" for number in numbers for ending in ("txt", "md", "tex", "csv"))
    assert (paths.tables("demo") / "table_viii.txt").read_text().strip() == run("VIII").strip()


def test_records_of_others_are_put_in() -> None:
    main("demo")
    own, theirs = read("audio_visual"), Path("theirs/records")
    theirs.mkdir(parents=True)
    (theirs / "a.json").write_text(own.model_dump_json())
    printed = run("VII", "--with", str(theirs))
    assert "adaptive fusion (theirs/records)" in printed
    typed = [
        command.split()[2:] for command in pages.commands("docs/tables.md") if command.startswith("avadclip table")
    ]
    assert typed
    for words in typed:
        assert run(*(word.replace("../theirs", "theirs") for word in words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["X"], "no table 'X'; there are: I, II"),
        (["I", "--dataset", "demos"], "no data set 'demos'"),
        (["I"], "no data set has been evaluated here"),
        (["I", "--dataset", "demo"], "results/demo/records: no records; run `dvc repro`"),
        (["I", "--with", "nowhere"], "nowhere: no records"),
    ],
)
def test_what_cannot_be_shown_is_said(words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["table", *words])
    assert done.exit_code == 1
    assert message in done.output
