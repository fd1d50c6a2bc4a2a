"""Judgements change the tables of a data set, and nothing else."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from avadclip import config, paths
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.load import load
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.interop.corrections import apply
from avadclip.interop.corrections.plan import make_plan
from avadclip.io import sha256_of
from pipeline import prepare
from tests.support.arrays_factory import write_dataset
from tests.support.corrections_factory import (
    CLASSES,
    FEATURES,
    HASHES,
    SEGMENTS,
    SNIPPETS,
    VIDEOS,
    any_span,
    labels,
    read,
    row,
    run,
    save,
    spans,
    texts,
    write_params,
    write_tables,
)
from tests.support.media_factory import NOISE


def test_a_file_of_judgements_changes_the_tables_and_nothing_else() -> None:
    save(
        row("gate", "wrong", 1, 2),
        row("gate", "wrong", 5, 10.03),  # the last snippet may end a frame after the video
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
    assert "note: judged test videos stay as they are: lane;" in shown.stdout
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
    assert "judged test videos stay as they are: dock, lane;" in result.stdout
    assert result.stdout.endswith("nothing changes\n")
    assert texts() == before
    result = run("--yes", "--move-to-training")
    assert result.stdout.count("moves from test to training") == 2
    assert "note: remaining test videos: 0 anomalous, 0 normal" in result.stdout
    assert "2 videos moved from test to training; now: dvc repro" in result.stdout
    assert {video.id: video.split for video in read().videos}["dock"] == "train"
    assert labels()["lane"] == ("normal",)
    assert run("--yes").stdout.endswith("nothing changes\n")


def test_a_table_without_a_split_keeps_everybody_on_their_side() -> None:
    """Without the column, a video with segments is a test video, so a new event would move its video."""
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
    """They are linked as by ``avadclip add-videos``; a new table of segments lies beside the labels, also linked."""
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
    assert "videos.csv: git does not have its current content, and could not undo this" in run("--dry-run").stdout
    for words in (
        ["init", "-q"],
        ["add", "annotations"],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "c"],
    ):
        subprocess.run(["git", *words], check=True)
    before = texts()
    assert "git does not have its" not in run("--yes").stdout
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
    read()  # the tables in between can be read
    apply.edits(make_plan(Path("corrections.csv"), "mine", config.load(), move_to_training=True)).write()
    assert texts() == after


def test_any_judgements_of_any_tables_give_tables_that_are_read() -> None:
    """Videos change their split only when asked to, and a second time nothing changes."""
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


# Videos that `predict` read.


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
    assert (
        "line 2, column dataset: empty: the page was made by `avadclip predict`; name the folder that it read"
        in run().stderr
    )
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


@pytest.mark.parametrize(
    ("judged", "message"),
    [
        ("Gate 7", "the video has changed since it was judged"),
        ("Gate 7-2", "the video has changed since it was judged"),
        ("Gate 7-3", "cctv/front/Gate 7.avi: a link to nothing"),
        ("Gate 7-9", "expected a video below cctv, found 'Gate 7-9'"),
    ],
)
def test_the_judged_file_is_found_by_its_content_among_those_of_one_name(judged: str, message: str) -> None:
    """The page was made of a part of the folder, or of more than it, where other files have these ids."""
    for place in ("cctv/Gate 7.mp4", "cctv/back/Gate 7.mp4", "cctv/front/Gate 7.mp4"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_bytes(NOISE.read_bytes() + place.encode())
    Path("cctv/front/Gate 7.avi").symlink_to("gone")
    content = sha256_of(Path("cctv/back/Gate 7.mp4"))
    save(row(judged, "right", 0.5, 1, "theft", dataset="", content=content))
    result = run("--yes", "--videos", "cctv")
    assert result.stdout.endswith("1 event added, 1 video added; now: dvc repro\n"), result.output
    (added,) = [video for video in read().videos if "7" in video.id]
    assert Path(added.path or "").resolve() == Path("cctv/back/Gate 7.mp4").resolve()
    assert run("--yes", "--videos", "cctv").stdout.endswith("nothing changes\n")
    Path("cctv/back/Gate 7.mp4").write_bytes(NOISE.read_bytes() + b"another")
    assert message in run("--yes", "--videos", "cctv").stderr


def test_a_video_that_the_data_set_has_by_another_name_is_not_added_again() -> None:
    """Otherwise a test video would be trained on under its second name."""
    Path("cctv").mkdir()
    shutil.copy(NOISE, "cctv/copy.mp4")
    write_manifest(
        paths.manifest("mine"),
        [Video("dock", "videos/dock.mp4", "test", ("normal",), 60, 25.0, True, sha256_of(NOISE))],
    )
    save(row("copy", "wrong", 0.5, 1, dataset=""))
    before = texts()
    result = run("--yes", "--videos", "cctv")
    assert "judged test videos stay as they are: dock;" in result.stdout
    assert texts() == before
