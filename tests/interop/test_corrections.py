"""``avadclip corrections apply``: what becomes of judgements, what is refused, and that twice is once."""

import random
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from avadclip import config, paths, store
from avadclip.cli import app
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.load import load
from avadclip.datasets.manifest import read_manifest, write_manifest
from avadclip.datasets.model import Listing, Segment, TimedSegment, Video
from avadclip.detectors.checkpoint import load_checkpoint
from avadclip.evaluation.segments import find_alarms
from avadclip.extraction.modalities import modality
from avadclip.extraction.run import extract
from avadclip.interop.corrections import apply
from avadclip.interop.corrections.decisions import Span, Verdict, decide
from avadclip.interop.corrections.format import HEADER, UNNAMED
from avadclip.interop.corrections.plan import make_plan
from avadclip.io import sha256_of
from avadclip.prediction import assembly
from avadclip.scoring.run import score_video
from avadclip.store.video import open_folders, read_video
from avadclip.store.work_cache import WorkCache
from pipeline import prepare, train
from tests.support.arrays_factory import write_array, write_dataset
from tests.support.media_factory import NOISE

CLASSES = ("normal", "fighting", "riot", "theft")
SECONDS = 10.0  # of every video here
VIDEOS = """video,labels,split
gate.mp4,fighting,train
yard.mp4,normal,train
hall.mp4,fighting|riot,train
door.mp4,riot,train
lane.mp4,fighting,test
dock.mp4,normal,test
"""
SEGMENTS = "video,label,start_seconds,end_seconds\nhall.mp4,riot,1,2\nhall,fighting,4,6.25\nlane.mp4,fighting,3,5\n"
FEATURES = "video,labels,split\nfight3.mp4,fighting,test\nwalk3.mp4,normal,test\nwalk2.mp4,normal,train\n"
SNIPPETS = "video,label,start_snippet,end_snippet\nfight3,fighting,1,3\n"
HASHES = {name: f"{number:064x}" for number, name in enumerate(("gate", "yard", "hall", "door", "lane", "dock"), 1)}


def write_params(kind: str = "table", worlds: Sequence[str] = (), train: Any = None, **keys: Any) -> None:
    weights = {"path": None, "sha256": "0" * 64}
    section = {
        "kind": kind,
        "videos": "videos",
        "annotations": "annotations",
        "classes": list(CLASSES),
        "visual": {"weights": weights, "stride": 4, "precision": "float32"},
        "audio": {"weights": weights, "precision": "float32"},
    }
    made = {name: {"seed": 0, "n_train": 3, "n_test": 3} for name in worlds}
    with Path("params.yaml").open("w") as file:
        params = {"datasets": {"mine": section | keys}, "worlds": made, "train": train or {}}
        YAML().dump(params | {"compute": {"device": "cpu"}, "extraction": {"workers": 1}}, file)


def write_tables(videos: str = VIDEOS, segments: str | None = SEGMENTS) -> None:
    Path("annotations").mkdir(exist_ok=True)
    Path("annotations/videos.csv").write_bytes(videos.encode())
    Path("annotations/segments.csv").unlink(missing_ok=True)
    if segments is not None:
        Path("annotations/segments.csv").write_bytes(segments.encode())


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set whose videos are names and facts: nobody opens them."""
    monkeypatch.chdir(tmp_path)
    write_params()
    write_tables()
    Path("videos").mkdir()
    for name in HASHES:
        Path("videos", f"{name}.mp4").touch()
    write_manifest(
        paths.manifest("mine"),
        [
            Video(name, f"videos/{name}.mp4", "train", ("normal",), int(25 * SECONDS), 25.0, True, content)
            for name, content in HASHES.items()
        ],
    )
    return tmp_path


def row(
    video: str,
    judgement: str,
    start: float | str,
    end: float | str,
    label: str = "",
    alarm: tuple[float | str, float | str] | None = None,
    alarm_label: str = "fighting",
    dataset: str = "mine",
    content: str | None = None,
) -> str:
    """A row; numbers with three decimals, as the page writes them, and the alarm's edges not moved unless given."""
    times = [time if isinstance(time, str) else f"{time:.3f}" for time in (start, end, *(alarm or (start, end)))]
    content = HASHES.get(video, "") if content is None else content
    return ",".join([dataset, video, content, judgement, *times[:2], label, *times[2:], alarm_label])


def save(*rows: str, header: str = ",".join(HEADER), end: str = "\n") -> Path:
    Path("corrections.csv").write_bytes(end.join([header, *rows, ""]).encode())
    return Path("corrections.csv")


def run(*words: str, answer: str = "") -> Result:
    command = ["corrections", "apply", "corrections.csv", "--dataset", "mine", *words]
    return CliRunner().invoke(app, command, input=answer, env={"COLUMNS": "200"})


def read() -> Listing:
    return load(config.load().dataset("mine"))


def labels() -> dict[str, tuple[str, ...]]:
    return {video.id: video.labels for video in read().videos}


def spans() -> set[tuple[str, str, float, float]]:
    found = read().segments
    assert all(isinstance(segment, TimedSegment) for segment in found)
    return {(s.id, s.label, s.start_seconds, s.end_seconds) for s in found if isinstance(s, TimedSegment)}


def texts() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("annotations").iterdir()}


# What judgements mean.

F, R, T, ANY = "fighting", "riot", "theft", "*"


def said(
    judgement: str, label: str, start: float, end: float, alarm: tuple[str, float, float] | None = None
) -> Verdict:
    raised = Span(*(alarm or (label, start, end)))
    placed = None if judgement in ("wrong", "unsure") else Span(label, start, end)
    return Verdict(raised, placed, (start, end) != (raised.start, raised.end), judgement == "unsure")


DECISIONS: dict[str, tuple[tuple[str, ...], list[Span], list[Verdict], tuple[str, ...], set[Span]]] = {
    "all wrong": ((F,), [], [said("wrong", F, 1, 2)], ("normal",), set()),
    "all wrong, and its segment, too": ((F,), [Span(F, 1, 3)], [said("wrong", F, 2, 5)], ("normal",), set()),
    "wrong, but a segment elsewhere": ((F,), [Span(F, 5, 6)], [said("wrong", F, 1, 5)], (F,), {Span(F, 5, 6)}),
    "wrong and unsure": ((F,), [], [said("wrong", F, 1, 2), said("unsure", F, 3, 4)], (F,), set()),
    "unsure": ((F,), [Span(F, 1, 2)], [said("unsure", F, 1, 2)], (F,), {Span(F, 1, 2)}),
    "normal, and wrong": (("normal",), [], [said("wrong", F, 1, 2)], ("normal",), set()),
    "an event in a normal video": (("normal",), [], [said("right", F, 1, 2)], (F,), {Span(F, 1, 2)}),
    "an event beside a wrong alarm": (
        (R,), [Span(R, 8, 9)], [said("right", F, 1, 2), said("wrong", R, 8, 9)], (R, F), {Span(R, 8, 9), Span(F, 1, 2)}
    ),
    "edges that nobody moved": ((F,), [Span(F, 3, 5)], [said("right", F, 2, 9)], (F,), {Span(F, 3, 5)}),
    "edges that were moved": (
        (F,), [Span(F, 3, 5), Span(F, 6, 7)], [said("right", F, 4, 5, (F, 2, 9))], (F,), {Span(F, 4, 5), Span(F, 6, 7)}
    ),
    "two that meet are one": (
        (F,), [], [said("right", F, 1, 4, (F, 1, 3)), said("right", F, 3, 6, (F, 5, 6))], (F,), {Span(F, 1, 6)}
    ),
    "two that touch are two": ((F,), [], [said("right", F, 1, 3), said("right", F, 3, 6)], (F,),
                               {Span(F, 1, 3), Span(F, 3, 6)}),
    "another class of a labelled video": ((F,), [], [said("other_class", R, 1, 2, (F, 1, 2))], (R,), {Span(R, 1, 2)}),
    "another class of an annotated event": (
        (F,), [Span(F, 3, 5)], [said("other_class", R, 2, 9, (F, 2, 9))], (R,), {Span(R, 3, 5)}
    ),
    "another class, but the alarm's is elsewhere": (
        (F,), [Span(F, 7, 8)], [said("other_class", R, 1, 2, (F, 1, 2))], (F, R), {Span(F, 7, 8), Span(R, 1, 2)}
    ),
    "another class, but somebody is unsure": (
        (F,), [], [said("other_class", R, 1, 2, (F, 1, 2)), said("unsure", F, 5, 6)], (F, R), {Span(R, 1, 2)}
    ),
    "another class where both are": (
        (F, R), [Span(F, 3, 5), Span(R, 4, 6)], [said("other_class", R, 2, 9, (F, 2, 9))], (R,), {Span(R, 4, 6)}
    ),
    "another class, and the alarm's confirmed": (
        (F,), [Span(F, 3, 5)], [said("other_class", R, 4, 6, (F, 4, 6)), said("right", F, 3, 5)], (F, R),
        {Span(F, 3, 5), Span(R, 4, 6)},
    ),
    "labels keep their order": ((T, F), [], [said("right", R, 1, 2)], (T, F, R), {Span(R, 1, 2)}),
    "frames of any class": (
        (F,), [Span(F, 3, 5), Span(ANY, 3, 5)], [said("right", R, 7, 8)], (F, R),
        {Span(F, 3, 5), Span(ANY, 3, 5), Span(R, 7, 8), Span(ANY, 7, 8)},
    ),
    "a new video": ((), [], [said("wrong", F, 1, 2)], ("normal",), set()),
}  # fmt: skip


LEFT_ALONE = {"wrong, but a segment elsewhere", "wrong and unsure", "unsure"}


@pytest.mark.parametrize("name", DECISIONS)
def test_what_a_judgement_means(name: str) -> None:
    before, segments, verdicts, after, expected = DECISIONS[name]
    found = decide(before, segments, verdicts, CLASSES)
    assert (found.labels, set(found.segments)) == (after, expected)
    assert (found.reason is not None) == (name in LEFT_ALONE)


def any_span(source: random.Random, classes: Sequence[str] = CLASSES[1:]) -> Span:
    start = source.randrange(0, 9)
    return Span(source.choice(classes), start, start + source.randrange(1, 5))


def test_what_was_learnt_once_is_learnt() -> None:
    """Whatever the table has and whoever judged what: the second time nothing changes."""
    source = random.Random(0)
    for _ in range(1000):
        own = list({any_span(source, (*CLASSES[1:], ANY)) for _ in range(source.randrange(4))})
        verdicts = []
        for _ in range(source.randrange(1, 5)):
            raised, kind = any_span(source), source.choice(("right", "wrong", "unsure", "other_class", "moved"))
            placed = any_span(source) if kind == "moved" else Span(source.choice(CLASSES[1:]), raised.start, raised.end)
            verdicts.append(
                Verdict(raised, None if kind in ("wrong", "unsure") else placed, kind == "moved", kind == "unsure")
            )
        named = tuple(sorted({span.label for span in own} - {ANY})) or (source.choice(CLASSES),)
        once = decide(named, own, verdicts, CLASSES)
        twice = decide(once.labels, once.segments, verdicts, CLASSES)
        assert (twice.labels, set(twice.segments)) == (once.labels, set(once.segments)), (named, own, verdicts)
        assert len(set(once.segments)) == len(once.segments)
        assert {span.label for span in once.segments} - {ANY} <= set(once.labels)


# From the file to the tables.


def test_a_file_of_judgements_changes_the_tables_and_nothing_else() -> None:
    save(
        row("gate", "wrong", 1, 2),
        row("gate", "wrong", 5, 10.03),  # the last snippet may end a frame behind the video
        row("yard", "right", 2, 3.5, "theft", (2, 4), "theft"),
        row("hall", "wrong", 8, 9),
        row("door", "other_class", 0, 4, "theft", alarm_label="riot"),
        row("door", "unsure", 6, 7, alarm_label="fighting"),
        row("lane", "wrong", 3, 5),
    )
    before = texts()
    shown = run("--dry-run")
    assert shown.exit_code == 0, shown.output
    table = [line.split() for line in shown.stdout.splitlines()]
    assert ["gate", "fighting", "normal"] in table
    assert ["yard", "normal", "theft", "+", "theft", "2", "to", "3.5", "s"] in table
    assert (
        "note: hall: stays as it is: its alarms were wrong, but the table has riot from 1 to 2, where" in shown.stdout
    )
    assert "note: test videos stay as they are, although judged: lane;" in shown.stdout
    counted = "1 video becomes normal, 2 events added, 1 video with other classes, 1 unsure left alone"
    assert shown.stdout.endswith(f"nothing is written; it would be: {counted}\n")
    assert run(answer="n\n").stdout.endswith(f"nothing is written; it would be: {counted}\n")
    assert texts() == before
    assert run("--yes").stdout.endswith(f"{counted}; now: dvc repro\n")
    expected = VIDEOS.replace("gate.mp4,fighting", "gate.mp4,normal").replace("yard.mp4,normal", "yard.mp4,theft")
    assert texts() == {
        "videos.csv": expected.replace("door.mp4,riot", "door.mp4,theft").encode(),
        "segments.csv": (SEGMENTS + "yard.mp4,theft,2,3.5\ndoor.mp4,theft,0,4\n").encode(),
    }
    after = texts()
    assert run("--yes").stdout.endswith("nothing changes, 1 unsure left alone\n")
    assert texts() == after


def test_test_videos_learn_only_when_they_are_told_to() -> None:
    save(row("lane", "wrong", 3, 5), row("dock", "wrong", 1, 2))
    before = texts()
    result = run("--yes")
    assert "test videos stay as they are, although judged: dock, lane;" in result.stdout
    assert result.stdout.endswith("nothing changes\n")
    assert texts() == before
    result = run("--yes", "--move-to-training")
    assert result.stdout.count("moves from test to training") == 2
    assert "note: test videos that are left: 0 anomalous, 0 normal" in result.stdout
    assert "2 videos moved from test to training; now: dvc repro" in result.stdout
    assert {video.id: video.split for video in read().videos}["dock"] == "train"
    assert labels()["lane"] == ("normal",)
    assert run("--yes").stdout.endswith("nothing changes\n")


def test_a_table_without_a_split_keeps_everybody_on_their_side() -> None:
    """Without the column, whoever has segments is for testing: an event would move its video."""
    write_tables("".join(f"{line.rsplit(',', 1)[0]}\n" for line in VIDEOS.splitlines()))
    before = {video.id: video.split for video in read().videos}
    assert before["yard"] == "train"
    save(row("yard", "right", 2, 3, "fighting"))
    assert "videos.csv gets a column split" in run("--yes").stdout
    assert {video.id: video.split for video in read().videos} == before
    assert ("yard", "fighting", 2, 3) in spans()
    after = texts()
    assert run("--yes").stdout.endswith("nothing changes\n")
    assert texts() == after


def test_rows_that_do_not_change_keep_their_bytes() -> None:
    written = '\ufeffvideo,labels,split\r\n"gate.mp4", fighting ,train\r\nyard,normal,train\r\n,,\r\nhall,riot,train'
    write_tables(written, None)
    save(row("yard", "right", 2, 3, "theft"), end="\r\n")
    assert run("--yes").exit_code == 0
    assert texts() == {
        "videos.csv": written.replace("yard,normal", "yard,theft").encode() + b"\r\n",
        "segments.csv": b"video,label,start_seconds,end_seconds\nyard,theft,2,3\n",
    }


def test_tables_are_edited_where_their_owner_keeps_them() -> None:
    """As ``avadclip add-videos`` links them; a new table of segments lies beside the labels, and is linked."""
    Path("clips").mkdir()
    Path("clips/labels.csv").write_text(VIDEOS)
    for path in Path("annotations").iterdir():
        path.unlink()
    Path("annotations/videos.csv").symlink_to(Path("clips/labels.csv").absolute())
    save(row("yard", "right", 2, 3, "theft"))
    assert run("--yes").exit_code == 0
    assert Path("annotations/videos.csv").is_symlink()
    assert Path("annotations/segments.csv").is_symlink()
    assert "yard.mp4,theft,train" in Path("clips/labels.csv").read_text()
    assert Path("clips/segments.csv").read_text().endswith("yard.mp4,theft,2,3\n")


def test_git_undoes_it_and_is_missed_where_it_cannot() -> None:
    save(row("gate", "wrong", 1, 2))
    assert "videos.csv: git does not have it as it is now, and could not undo this" in run("--dry-run").stdout
    for words in (
        ["init", "-q"],
        ["add", "annotations"],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "c"],
    ):
        subprocess.run(["git", *words], check=True)
    before = texts()
    assert "git does not have it" not in run("--yes").stdout
    assert texts() != before
    subprocess.run(["git", "checkout", "-q", "--", "annotations"], check=True)
    assert texts() == before


def test_frames_are_counted_where_the_table_counts_them() -> None:
    shutil.copy(NOISE, "videos/gate.mp4")  # 60 frames, 25 a second
    write_tables(segments="video,label,start_frame,end_frame\ngate,fighting,30,40\n")
    save(row("gate", "right", 0.4, 0.81, "fighting"), row("gate", "right", 1.28, 1.6, "fighting", (1.2, 1.6)))
    assert run("--yes").exit_code == 0
    assert set(read().segments) == {Segment("gate", "fighting", 10, 21), Segment("gate", "fighting", 32, 40)}
    assert run("--yes").stdout.endswith("nothing changes\n")


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_whoever_is_interrupted_applies_it_again(failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("gate", "wrong", 1, 2), row("yard", "right", 2, 3, "theft"), row("hall", "other_class", 4, 6, "theft")]
    save(*rows, row("lane", "wrong", 3, 5))
    write_tables("".join(f"{line.rsplit(',', 1)[0]}\n" for line in VIDEOS.splitlines()))  # the split is added, too
    plan = make_plan(Path("corrections.csv"), "mine", config.load(), move_to_training=True)
    before, edits = texts(), apply.edits(plan)
    assert [path.name for path, _ in edits.texts] == ["videos.csv", "segments.csv", "videos.csv"]
    edits.write()
    after = texts()
    assert after != before

    write_tables(*(before[name].decode() for name in ("videos.csv", "segments.csv")))
    n_written = 0

    def write_text(path: Path, text: str) -> None:
        nonlocal n_written
        if n_written == failing:
            raise OSError(28, "No space left on device", str(path))
        n_written += 1
        path.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr(apply, "write_text", write_text)
        with pytest.raises(OSError, match="No space"):
            edits.write()
    read()  # what is there in between can be used
    apply.edits(make_plan(Path("corrections.csv"), "mine", config.load(), move_to_training=True)).write()
    assert texts() == after


def test_any_judgements_of_any_tables_give_tables_that_are_read() -> None:
    """And the second time nothing changes, nor does anybody change sides."""
    source, params = random.Random(1), config.load()
    for _ in range(40):
        lines, segments = [], []
        for name in HASHES:
            own = source.sample(CLASSES[1:], source.randrange(1, 3)) if source.random() < 0.6 else ["normal"]
            lines.append(f"{name},{'|'.join(own)},{source.choice(('train', 'train', 'test'))}")
            chosen = {any_span(source, own) for _ in range(source.randrange(3))} if own != ["normal"] else set()
            segments += [f"{name},{span.label},{span.start},{min(span.end, 10)}" for span in chosen]
        header = "video,labels,split"
        if source.random() < 0.3:
            header, lines = "video,labels", [line.rsplit(",", 1)[0] for line in lines]
        write_tables("\n".join([header, *lines]), "\n".join([SEGMENTS.split("\n", 1)[0], *segments]))
        rows = {}
        for _ in range(source.randrange(1, 9)):
            name, alarm, left = source.choice(list(HASHES)), any_span(source), any_span(source)
            edges = alarm.start, min(alarm.end, 10)
            kept = source.choice((edges, (left.start, min(left.end, 10))))
            judgement = source.choice(("right", "wrong", "unsure", "other_class"))
            rows[name, edges] = row(name, judgement, *kept, left.label, edges, alarm.label)
        save(*rows.values())
        move = source.random() < 0.3
        before = {video.id: video.split for video in load(params.dataset("mine")).videos}
        plan = make_plan(Path("corrections.csv"), "mine", params, move_to_training=move)
        moved = {change.target.id for change in plan.changes if change.is_moved}
        apply.edits(plan).write()
        after = {video.id: video.split for video in load(params.dataset("mine")).videos}
        assert after == before | dict.fromkeys(moved, "train")
        assert move or not moved
        again = make_plan(Path("corrections.csv"), "mine", params, move_to_training=move)
        assert (again.changes, apply.edits(again).texts) == ((), ())


def test_times_in_snippets() -> None:
    write_params("features", visual={"extractor": "C3D", "stride": 16, "frame_rate": 24.0}, audio={"extractor": None})
    shutil.rmtree("videos")
    write_dataset(Path("videos"), {"visual": 4})
    write_tables(FEATURES, SNIPPETS)
    prepare.main("mine")
    save(
        row("fight3", "right", 0.667, 3.334, "theft", alarm_label="theft"),
        row("walk3", "right", 0.7, 0.9, "riot"),
        row("walk3", "wrong", 3, 4),
        row("walk2", "other_class", 0, 2.67, "riot"),  # its four snippets end at 2.667 s
    )
    assert run("--yes", "--move-to-training").exit_code == 0
    assert Path("annotations/segments.csv").read_text() == (
        "video,label,start_snippet,end_snippet\nfight3,fighting,1,3\nfight3.mp4,theft,1,6\n"
        "walk3.mp4,riot,1,2\nwalk2.mp4,riot,0,4\n"
    )
    prepare.main("mine")
    assert Segment("fight3", "theft", 16, 96) in read_ground_truth(paths.ground_truth("mine"))
    assert run("--yes").stdout.endswith("nothing changes\n")


# What `predict` looked at.


def test_a_video_of_somebodys_folder_is_added() -> None:
    Path("cctv/back").mkdir(parents=True)
    shutil.copy(NOISE, "cctv/back/Gate 7.MP4")
    shutil.copy(NOISE, "cctv/broken.mp4")
    Path("cctv/broken.mp4").write_bytes(Path("cctv/broken.mp4").read_bytes() + b"another")
    content = sha256_of(NOISE)
    save(
        row("Gate 7", "right", 0.5, 1, "theft", dataset="", content=content),
        row("broken", "unsure", 0.5, 1, dataset=""),
    )
    assert "line 2, column dataset: empty: the page was made by `avadclip predict`; say --videos" in run().stderr
    result = run("--yes", "--videos", "cctv")
    assert "note: videos/Gate 7.MP4: becomes a link to /" in result.stdout
    assert "note: broken: is not added: no alarm was confirmed" in result.stdout
    assert result.stdout.endswith("1 event added, 1 video added, 1 unsure left alone; now: dvc repro\n")
    assert Path("annotations/videos.csv").read_text() == VIDEOS + "Gate 7.MP4,theft,train\n"
    assert Path("videos/Gate 7.MP4").resolve() == Path("cctv/back/Gate 7.MP4").resolve()
    assert ("Gate 7", "theft", 0.5, 1) in spans()
    after = texts()
    assert run("--yes", "--videos", "cctv").stdout.endswith("nothing changes, 1 unsure left alone\n")
    assert texts() == after


def test_a_video_that_the_data_set_has_by_another_name_is_not_added_again() -> None:
    """A test video would be trained on, under its second name."""
    Path("cctv").mkdir()
    shutil.copy(NOISE, "cctv/copy.mp4")
    write_manifest(
        paths.manifest("mine"),
        [Video("dock", "videos/dock.mp4", "test", ("normal",), 60, 25.0, True, sha256_of(NOISE))],
    )
    save(row("copy", "wrong", 0.5, 1, dataset=""))
    before = texts()
    result = run("--yes", "--videos", "cctv")
    assert "test videos stay as they are, although judged: dock;" in result.stdout
    assert texts() == before


# What is refused.

FINE = row("gate", "wrong", 1, 2)
REFUSED: dict[str, tuple[list[str], str]] = {
    "another data set": ([FINE, row("gate", "wrong", 3, 4, dataset="yours")],
                         "line 3, column dataset: expected 'mine', found 'yours'"),
    "a video that changed": ([row("gate", "wrong", 1, 2, content="f" * 64)],
                             "column content_hash: expected 0000.* of 'gate', found ffff.*judge what it shows"),
    "no hash": ([row("gate", "wrong", 1, 2, content="abc")], "expected 64 hexadecimal digits, found 'abc'"),
    "an unknown video": ([row("gatte", "wrong", 1, 2)], "found 'gatte'; did you mean 'gate'"),
    "a path": ([row("../gate", "wrong", 1, 2)], "column video: expected a video of 'mine', found '../gate'"),
    "a formula": ([row('"=HYPERLINK(""http://x"")"', "wrong", 1, 2)], "found '=HYPERLINK"),
    "control characters": ([row("gate\x1b[2J", "wrong", 1, 2)], r"found 'gate\\x1b\[2J'"),
    "no video": ([row("", "wrong", 1, 2)], "line 2, column video: empty"),
    "the same alarm twice": ([FINE, FINE], "line 3, column video: the same alarm as in line 2"),
    "contrary judgements": ([FINE, row("gate", "right", 0, 5, F, (1, 2))], "the same alarm as in line 2"),
    "not a number": ([row("gate", "wrong", "nan", 2)], "column start_seconds: expected seconds >= 0.*found 'nan'"),
    "infinity": ([row("gate", "wrong", 1, "inf")], "column end_seconds: expected seconds >= 0"),
    "negative": ([row("gate", "wrong", 1, 2, alarm=("-1.000", 2))], "column alarm_start_seconds: expected seconds"),
    "other digits": ([row("gate", "wrong", "\u0661", 2)], "column start_seconds: expected seconds"),
    "no length": ([row("gate", "right", 2, 2, F)], "column end_seconds: expected an end after the start 2.000"),
    "backwards": ([row("gate", "wrong", 1, 2, alarm=(2, 1))], "column alarm_end_seconds: expected an end after"),
    "behind the end": ([row("gate", "right", 9, 10.1, F)], "ends at 10.000 s, found 10.100; was another version"),
    "after the end": ([row("gate", "wrong", 10, 10.02)], "column alarm_start_seconds: expected a time within 'gate'"),
    "an unknown judgement": ([row("gate", "maybe", 1, 2)], "'maybe' is not one of right, wrong, unsure, other_class"),
    "an unknown class": ([row("gate", "right", 1, 2, "fightin")],
                         "column class: expected one of fighting, riot, theft, found 'fightin'; did you mean 'fight"),
    "a normal event": ([row("gate", "right", 1, 2, "normal")], "column class: expected one of"),
    "no class": ([row("gate", "other_class", 1, 2)], "column class: empty"),
    "cut off": ([FINE, FINE[:20]], "line 3: expected 10 cells, found 3"),
    "nothing": ([], "a header, but no judgements"),
    "not in a folder": ([row("gate", "wrong", 1, 2, dataset="")], "column dataset: empty.* say --videos"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_told_with_its_line_and_changes_nothing(rows: list[str], message: str) -> None:
    before = texts()
    save(row("yard", "right", 2, 3, "theft"), *rows) if rows else save()
    shifted = re.sub(r"line (\d)", lambda found: f"line {int(found[1]) + 1}", message)
    result = run("--yes")
    assert result.exit_code == 1
    assert re.search(shifted, result.stderr), result.stderr
    assert texts() == before


def test_files_that_are_none() -> None:
    for content, message in (
        (b"", "line 1: expected the header dataset,video,"),
        (b"dataset,video\n", "line 1: expected the header dataset,video,content_hash"),
        (f"{','.join(HEADER)}\n{FINE}".encode(), "expected a last line that ends, found none: it is cut off"),
        (b"\xff\xfe\x00", "not readable as CSV in UTF-8"),
        (",".join(HEADER).encode() + b"\n" + b"x" * (1 << 20), "longer than 1048576 characters"),
    ):
        Path("corrections.csv").write_bytes(content)
        assert message in run("--yes").stderr
    with Path("corrections.csv").open("wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no space
    assert "expected at most 67108864 bytes, found 1099511627776" in run("--yes").stderr
    Path("corrections.csv").unlink()
    assert "corrections.csv: no such file" in run("--yes").stderr


def test_an_alarm_without_a_class_is_of_the_only_one() -> None:
    save(row("yard", "right", 1, 2, UNNAMED, alarm_label=UNNAMED))
    assert (
        "column class: expected one of fighting, riot, theft, found 'anomaly'; choose one on the page" in run().stderr
    )
    write_params(classes=["normal", "fighting"])
    write_tables("video,labels,split\nyard,normal,train\ngate,fighting,train\n", None)
    assert run("--yes").exit_code == 0
    assert spans() == {("yard", "fighting", 1, 2)}
    assert UNNAMED == assembly.UNNAMED


def test_data_sets_that_cannot_be_edited() -> None:
    save(FINE)
    write_params("xd_violence")
    assert "expected kind table or features, whose tables are yours, found xd_violence" in run("--yes").stderr
    write_params(worlds=["mine"], annotations="data/mine/annotations")
    assert "its tables are rendered with the world 'mine', and `dvc repro` would write them anew" in run().stderr
    write_params()
    Path("annotations/videos.csv").chmod(0o444)  # as DVC's cache is
    assert "expected a file that can be edited, found it read-only; `dvc unprotect" in run("--yes").stderr
    paths.manifest("mine").unlink()
    assert "manifest.csv: no such file; run `dvc repro prepare@mine`" in run().stderr


def test_a_class_that_nobody_teaches_any_longer_is_told_before() -> None:
    save(row("door", "other_class", 1, 2, "theft", alarm_label="riot"), row("hall", "other_class", 1, 2, "theft"))
    write_tables(VIDEOS.replace("fighting|riot", "fighting"), None)
    assert "note: no training video is labelled riot any longer, so that training would stop" in run().stdout


# The full circle.


def keep_features(values: Mapping[str, NDArray[np.float64]]) -> None:
    """Features of the videos of the manifest in the work cache, as if extracted."""
    params = config.load()
    recipe = modality("visual", params.dataset("mine")).recipe
    for video in read_manifest(paths.manifest("mine")):
        n_snippets = len(values[video.id])
        features = store.Features(
            source=store.Source(video.id, video.content_hash, video.n_frames, video.frame_rate),
            recipe=recipe,
            values=values[video.id][None].astype(np.float16),
            valid=np.ones(n_snippets, bool),
            boundary_seconds=np.arange(n_snippets + 1) * 16 / 24,
            decoder="arrays",
        )
        WorkCache(Path(params.extraction.work_cache)).put(features)


def repro() -> int:
    """Stages prepare, extract and train; how many videos were encoded."""
    prepare.main("mine")
    n_encoded = extract("mine", "visual", config.load()).n_encoded
    train.main("mine", "head", "0")
    return n_encoded


def alarms(video_id: str) -> list[tuple[float, float]]:
    """Of the detector that is there now, in seconds."""
    folders = open_folders("mine", ("visual",))
    scores = score_video(load_checkpoint(paths.run("mine", "head", 0), "cpu"), read_video(folders, video_id), "cpu")
    found = find_alarms(scores.anomaly_confidence, scores.class_probabilities, 0.5)
    return [(alarm.first * 16 / 24, alarm.end * 16 / 24) for alarm in found]


@pytest.mark.slow
def test_a_false_alarm_is_judged_learnt_and_gone() -> None:
    """Actors who play a fight look like one; the next detector has learnt what tells them apart."""
    shutil.rmtree("videos")
    rng, direction = np.random.default_rng(0), np.eye(8)
    offsets = {"walk": np.zeros(8), "fight": direction[0], "actor": direction[0] + direction[1]}
    names = ("fight1", "fight2", "fight3", "fight4", "walk1", "walk2", "walk3", "walk4", "actor", "fight5", "walk5")
    values = {
        name: 0.05 * rng.standard_normal((20, 8)) + direction[7] + offsets[name.rstrip("12345")] for name in names
    }
    for name in names:
        write_array(Path(f"videos/visual/{name}.npy"), values[name])
    rows = [f"{n},{'fighting' if 'fight' in n else 'normal'},{'train' if n[-1] in '1234' else 'test'}" for n in names]
    write_tables("\n".join(["video,labels,split", *rows]), None)
    recipe = {"rounds": 20, "batch_size": 8, "optimizer": {"learning_rate": 0.01}}
    write_params(
        "features",
        classes=["normal", "fighting"],
        visual={"extractor": "C3D", "stride": 16, "frame_rate": 24.0},
        audio={"extractor": None},
        selection={"by": "last"},
        train={"head": {"kind": "mil_head", "modalities": ["visual"], "dropout": 0.0, "recipe": recipe}},
    )
    prepare.main("mine")
    keep_features(values)
    repro()
    whole = [(0, pytest.approx(20 * 16 / 24))]
    assert {name: alarms(name) for name in ("actor", "fight5", "walk5")} == {
        "actor": whole,
        "fight5": whole,
        "walk5": [],
    }
    content = {video.id: video.content_hash for video in read_manifest(paths.manifest("mine"))}["actor"]
    save(*(row("actor", "wrong", *alarm, content=content) for alarm in alarms("actor")))
    assert "1 video moved from test to training; now: dvc repro" in run("--yes", "--move-to-training").stdout
    assert repro() == 0  # labels have changed, and no video
    assert {name: alarms(name) for name in ("actor", "fight5", "walk5")} == {"actor": [], "fight5": whole, "walk5": []}
