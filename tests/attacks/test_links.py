"""Links that lead out of the project, and pipes, among files that are merged or cleaned up."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avadclip import config, paths, store
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Video
from avadclip.errors import ExtractionError, FeatureError
from avadclip.extraction import run
from avadclip.extraction.modalities import recipes
from avadclip.store import Features, Source
from avadclip.store.audit import needed
from avadclip.store.merge import merge_features
from avadclip.store.work_cache import WorkCache
from tests.support.project_factory import NAME, write_project

SECRET = b"the password is 1234"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with parameters and the manifest of one video, whose file no test needs."""
    root = write_project(tmp_path / "project", {"a.mp4": "normal"})
    video = Video("a", "videos/a.mp4", "train", ("normal",), 40, 25.0, True, "1" * 64)
    write_manifest(root / paths.manifest(NAME), [video])
    monkeypatch.chdir(root)
    return root


def write_features(path: Path) -> Path:
    """Write the features that the first recipe asks for."""
    entry = next(needed(recipes(config.load())))
    values = np.zeros((10, 512), "f2")[None] if entry.modality == "visual" else np.zeros((10, 512), "f2")
    source = Source(entry.id, entry.content_hash, 40, 25.0)
    store.write(path, Features(source, entry.recipe, values, np.ones(10, bool), np.arange(11.0), "pyav 1"))
    return path


def link_to_secret(path: Path, outside: Path) -> None:
    (outside / "secret").write_bytes(SECRET)
    path.symlink_to(outside / "secret")


LINKS: dict[str, Callable[[Path, Path], object]] = {
    "a secret": link_to_secret,
    "a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a folder": lambda path, outside: path.symlink_to(outside),
    "itself": lambda path, _: path.symlink_to(path),
    "nothing": lambda path, outside: path.symlink_to(outside / "nothing"),
    "a pipe": lambda path, _: os.mkfifo(path),
}


@pytest.mark.parametrize("link", LINKS)
def test_what_is_no_file_is_not_merged(tmp_path: Path, link: str) -> None:
    theirs, outside = tmp_path / "theirs", tmp_path / "outside"
    theirs.mkdir()
    outside.mkdir()
    LINKS[link](theirs / "a.h5", outside)
    with pytest.raises(FeatureError, match=r"nothing was merged(.|\n)*a\.h5") as refused:
        merge_features([theirs], WorkCache(Path(".cache/features")), recipes(config.load()))
    assert SECRET.decode() not in str(refused.value)
    assert not list(Path(".cache").rglob("*.h5"))


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write_features(outside / "a.h5")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "more").symlink_to(outside)
    with pytest.raises(FeatureError, match="there are no feature files"):
        merge_features([tmp_path / "theirs"], WorkCache(Path(".cache/features")), recipes(config.load()))


def test_a_link_to_features_comes_in_as_a_file_of_its_own(tmp_path: Path) -> None:
    original = write_features(tmp_path / "outside" / "x.h5")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.h5").symlink_to(original)  # as DVC makes them, too
    cache = WorkCache(Path(".cache/features"))
    assert merge_features([tmp_path / "theirs"], cache, recipes(config.load())).n_new == 1
    (merged,) = Path(".cache/features").rglob("*.h5")
    assert not merged.is_symlink()
    assert merged.read_bytes() == original.read_bytes()


def test_an_output_that_is_a_link_is_not_emptied(tmp_path: Path) -> None:
    """Extraction deletes what does not belong in its output, but never in somebody's home folder."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_bytes(SECRET)
    output = paths.features(NAME, "visual")
    output.parent.mkdir(parents=True)
    output.symlink_to(home)
    with pytest.raises(ExtractionError, match=r"a link to .*home"):
        run.extract(NAME, "visual", config.load())
    assert (home / "thesis.txt").read_bytes() == SECRET


def test_links_in_an_output_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_bytes(SECRET)
    output = paths.features(NAME, "visual")
    output.mkdir(parents=True)
    (output / "folder").symlink_to(home)
    (output / "file.h5").symlink_to(home / "thesis.txt")
    run._remove_strays(output, video_ids=["a"])
    assert list(output.iterdir()) == []
    assert (home / "thesis.txt").read_bytes() == SECRET
