"""Merging the feature stores of several people: everything is checked first, and only what is needed is copied."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import avadclip
from avadclip import config, paths, store
from avadclip.cli import app
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Video
from avadclip.errors import ExtractionError, FeatureError
from avadclip.extraction import run
from avadclip.extraction.modalities import recipes
from avadclip.store import Features, Source
from avadclip.store.audit import Needed, needed
from avadclip.store.work_cache import WorkCache
from tests.support.project_factory import NAME, load_params, save_params, write_project

IDS = ("a", "b", "c", "v=S-7rRLrxnVQ__#1_label_B4-0-0")
OURS, THEIRS = Path(".cache/features"), Path("theirs")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parameters and a manifest of four videos; the videos themselves are not needed."""
    root = write_project(tmp_path_factory.mktemp("project"), {f"{video_id}.mp4": "normal" for video_id in IDS})
    videos = [Video(i, f"videos/{i}.mp4", "train", ("normal",), 40, 25.0, True, f"{n:064x}") for n, i in enumerate(IDS)]
    write_manifest(root / paths.manifest(NAME), videos)
    return root


@pytest.fixture(autouse=True)
def here(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(project, root)
    monkeypatch.chdir(root)
    return root


def entries(*ids: str) -> Iterator[Needed]:
    return (entry for entry in needed(recipes(config.load())) if not ids or entry.id in ids)


def made(entry: Needed, **changes: object) -> Features:
    """Make features as extraction would, but with seeded random numbers."""
    seed = int(entry.fingerprint[:8], 16)
    features = Features(
        source=Source(entry.id, entry.content_hash, 40, 25.0),
        recipe=entry.recipe,
        values=np.random.default_rng(seed).normal(size=(10, 512)).astype(np.float16),
        valid=np.ones(10, bool),
        boundary_seconds=np.arange(11) * 0.16,
        decoder="pyav 1",
    )
    return replace(features, **changes)


def fill(folder: Path, *ids: str) -> None:
    """Fill a work cache like that of somebody who has extracted these videos, or all if none are named."""
    for entry in entries(*ids):
        WorkCache(folder).put(made(entry))


def merge(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["features", "merge", *map(str, words)], env={"COLUMNS": "200"})


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_halves_are_the_whole_whoever_merges_and_however_often() -> None:
    fill(Path("whole"))
    fill(OURS, "a", "c")
    fill(THEIRS, "b", IDS[3])
    theirs = files(THEIRS)
    result = merge(THEIRS)
    assert (result.exit_code, "4 new" in result.output, "0 still missing" in result.output) == (0, True, True)
    assert files(OURS) == files(Path("whole"))
    assert "0 new (0.0 MB), 4 here already" in merge(THEIRS).output
    assert "0 new (0.0 MB), 8 here already" in merge(OURS).output
    assert files(OURS) == files(Path("whole"))
    assert files(THEIRS) == theirs


def test_a_pulled_folder_of_features_seeds_the_work_cache() -> None:
    """Somebody who has pulled the features and adds videos then encodes only the new ones."""
    cache = Path(".dvc/cache")
    cache.mkdir(parents=True)
    for entry in entries():
        link = paths.features(NAME, entry.modality) / f"{entry.id}.h5"
        store.write(cache / entry.fingerprint, made(entry))
        (cache / entry.fingerprint).chmod(0o444)  # as with DVC's `cache.type symlink`
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((cache / entry.fingerprint).absolute())
    assert "8 new" in merge("features").output
    copies = list(OURS.rglob("*.h5"))
    assert len(copies) == 8
    assert not any(path.is_symlink() for path in copies)
    assert all(os.access(path, os.W_OK) and path.stat().st_mode & 0o200 for path in copies)


def test_it_says_how_many_are_missing_still() -> None:
    fill(THEIRS, "b")
    assert "2 new" in (result := merge(THEIRS)).output
    assert "6 still missing" in result.output


def test_another_recipe_is_refused_with_its_keys_and_nothing_comes_in() -> None:
    fill(THEIRS, "a")
    params = load_params(Path())
    params["datasets"][NAME]["visual"] |= {"stride": 8, "views": "five_crop"}
    save_params(Path(), params)
    fill(THEIRS, "b")  # features of the right recipe are not merged either
    result = merge(THEIRS)
    assert result.exit_code == 1
    assert "nothing was merged" in result.output
    for words in ("stride is 4, expected 8", "views is 'center', expected 'five_crop'", str(THEIRS)):
        assert words in result.output
    assert not OURS.exists()


def test_earlier_recipes_in_a_work_cache_are_left_where_todays_are_there_too() -> None:
    fill(THEIRS)
    params = load_params(Path())
    params["datasets"][NAME]["visual"]["stride"] = 8
    save_params(Path(), params)
    fill(THEIRS)
    assert "8 new" in (result := merge(THEIRS)).output
    assert "8 not needed" in result.output
    assert len(list(OURS.rglob("*.h5"))) == 8


def test_videos_of_no_manifest_are_counted_and_left() -> None:
    entry = next(entries("a"))
    WorkCache(THEIRS).put(made(entry))
    WorkCache(THEIRS).put(made(entry, source=Source("stranger", "f" * 64, 40, 25.0)))
    assert "1 new" in (result := merge(THEIRS)).output
    assert "1 not needed" in result.output


def test_another_version_of_a_video_is_refused() -> None:
    store.write(THEIRS / "a.h5", made(next(entries("a")), source=Source("a", "f" * 64, 40, 25.0)))
    result = merge(THEIRS)
    assert (result.exit_code, "made from another version of the video 'a'" in result.output) == (1, True)


@pytest.mark.parametrize("rival", [OURS, Path("third")])
def test_two_different_files_for_one_video_are_refused(rival: Path) -> None:
    """Machines of different types give other last digits for the same recipe; nothing may choose one silently."""
    entry = next(entries("a"))
    fill(rival, "a")
    fill(THEIRS, "b")
    store.write(THEIRS / "a.h5", made(entry, values=made(entry).values + np.float16(0.25)))
    before = files(OURS) if OURS.exists() else {}
    result = merge(THEIRS) if rival == OURS else merge(THEIRS, rival)
    assert result.exit_code == 1
    for words in ("'a'", "checksum", str(THEIRS / "a.h5"), str(WorkCache(rival).path(entry.fingerprint))):
        assert words in result.output
    assert (files(OURS) if OURS.exists() else {}) == before


def test_every_damaged_file_is_found_and_named() -> None:
    fill(THEIRS, "a", "b")
    first, second, third, _ = sorted(THEIRS.rglob("*.h5"))
    content = bytearray(first.read_bytes())
    content[content.index(store.read(first).values.tobytes()) + 100] ^= 1
    first.write_bytes(content)
    second.write_bytes(second.read_bytes()[:-50])
    third.write_bytes(b"")
    result = merge(THEIRS)
    assert result.exit_code == 1
    assert f"{first}: damaged: checksum" in result.output
    for path in (second, third):
        assert f"{path}: not a readable feature file" in result.output
    assert not OURS.exists()


def test_a_damaged_file_of_our_own_is_replaced() -> None:
    entry = next(entries("a"))
    fill(OURS, "a")
    fill(THEIRS, "a")
    WorkCache(OURS).path(entry.fingerprint).write_bytes(b"garbage")
    assert "1 new" in merge(THEIRS).output
    assert files(OURS) == files(THEIRS)


@pytest.mark.parametrize(
    ("source", "words"),
    [("nowhere", "nowhere: no such folder"), ("annotations", "annotations: there are no feature files")],
)
def test_nothing_to_merge_is_one_line(source: str, words: str) -> None:
    result = merge(source)
    assert (result.exit_code, words in result.output) == (1, True)


def test_without_a_manifest_nobody_knows_what_is_needed() -> None:
    fill(THEIRS)
    paths.manifest(NAME).unlink()
    assert "dvc pull prepare" in merge(THEIRS).output


def test_a_file_that_changes_under_the_copy_does_not_come_in() -> None:
    entry = next(entries("a"))
    store.write(THEIRS / "a.h5", made(entry, values=made(entry).values + np.float16(0.25)))
    cache = WorkCache(OURS)
    with pytest.raises(FeatureError, match="changed while it was being copied"):
        cache.adopt(THEIRS / "a.h5", entry.fingerprint, made(entry).checksum)
    assert files(OURS) == {}


KILLED_AFTER_THREE = """
import os, signal, sys
from avadclip.cli import app
from avadclip.store.work_cache import WorkCache
adopt, done = WorkCache.adopt, []
def adopt_or_die(*words):
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(adopt(*words))
WorkCache.adopt = adopt_or_die
app(["features", "merge", "theirs"])
"""


@pytest.mark.slow
def test_killed_half_way_and_again() -> None:
    fill(THEIRS)
    root = Path(avadclip.__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_THREE], env=os.environ | {"PYTHONPATH": str(root)})
    assert killed.returncode == -signal.SIGKILL
    assert len(files(OURS)) == 3
    assert files(OURS).items() <= files(THEIRS).items()
    assert "5 new" in (result := merge(THEIRS)).output
    assert "3 here already" in result.output
    assert files(OURS) == files(THEIRS)


def test_a_part_that_fails_in_one_modality_is_done_in_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def extract_part(dataset: str, modality: str, params: object, part: run.Part) -> str:
        done.append((dataset, modality, part))
        if modality == "visual":
            raise ExtractionError("1 videos of 'toy' have no visual features")
        return "audio is done"

    monkeypatch.setattr(run, "extract_part", extract_part)
    result = CliRunner().invoke(app, ["features", "extract", NAME, "--part", "2/3"])
    assert done == [(NAME, modality, run.Part(2, 3)) for modality in ("visual", "audio")]
    assert (result.exit_code, "audio is done" in result.output, "no visual features" in result.output) == (
        1,
        True,
        True,
    )


def test_parts_of_a_manifest_are_disjoint_and_as_long_as_each_other() -> None:
    for count in (1, 2, 3, 7):
        parts = [run.Part(number, count).of(list(IDS)) for number in range(1, count + 1)]
        assert sorted(video for part in parts for video in part) == sorted(IDS)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1 / 2", "٢/٣"])
def test_what_is_no_part(text: str) -> None:
    result = CliRunner().invoke(app, ["features", "extract", NAME, "--part", text], env={"COLUMNS": "200"})
    assert (result.exit_code, "for example 1/2" in result.output) == (1, True), json.dumps(text)
