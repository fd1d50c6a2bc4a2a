"""A project for every test."""

from pathlib import Path

import pytest

from avadclip import paths
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Video
from tests.support.corrections_factory import HASHES, SECONDS, write_params, write_tables


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of empty files, which the manifest describes as videos."""
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
