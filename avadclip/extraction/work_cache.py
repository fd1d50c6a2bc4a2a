"""The work cache: every feature file that was ever made here, addressed by its fingerprint.

DVC deletes the output of a stage before it runs the stage again. The work cache lies outside of DVC and git, so a
killed extraction loses only the videos in flight, ten new videos cost ten, and going back to earlier parameters costs
nothing.
"""

import filecmp
import logging
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from avadclip import store
from avadclip.errors import FeatureError
from avadclip.store import Features

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usage:
    """A number of files and their size together."""

    n_files: int
    n_bytes: int


class WorkCache:
    """Feature files under ``<folder>/<first two digits>/<fingerprint>.h5``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, fingerprint: str) -> Path:
        """Where the file with this fingerprint lies, or would lie."""
        return self.folder / fingerprint[:2] / f"{fingerprint}{store.SUFFIX}"

    def holds(self, fingerprint: str) -> bool:
        """Whether the file is here and whole; a damaged one is removed, so that it is made again."""
        path = self.path(fingerprint)
        if not path.exists():
            return False
        try:
            return store.read(path).fingerprint == fingerprint
        except FeatureError as error:
            log.warning("work cache: %s", error)
            path.unlink()
            return False

    def put(self, features: Features) -> None:
        """Keep the features of one video."""
        store.write(self.path(features.fingerprint), features)

    def adopt(self, path: Path, fingerprint: str, checksum: str) -> None:
        """Keep a copy of a feature file from elsewhere, atomically; :class:`FeatureError` if it is not this file."""
        destination = self.path(fingerprint)
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(path, temporary)
            copied = store.read(temporary)
            if (copied.fingerprint, copied.checksum) != (fingerprint, checksum):
                raise FeatureError(f"{path}: changed while it was being copied; merge again")
            temporary.replace(destination)
        except OSError as error:
            raise FeatureError(f"{path}: cannot be copied to {destination}: {error}") from None
        finally:
            temporary.unlink(missing_ok=True)

    def copy_to(self, fingerprint: str, destination: Path) -> None:
        """Fill one file of a stage output; it is left alone if it has the right bytes already.

        Always a copy: DVC may turn outputs into read-only links into its own cache.
        """
        source = self.path(fingerprint)
        if destination.is_file() and filecmp.cmp(source, destination, shallow=False):
            return
        temporary = destination.with_name(f".{destination.name}.{os.getpid()}.tmp")
        shutil.copyfile(source, temporary)
        temporary.replace(destination)

    def usage(self, without: Collection[str] = ()) -> Usage:
        """What lies here, apart from the files with these fingerprints."""
        files = self._files(without)
        return Usage(len(files), sum(path.stat().st_size for path in files))

    def prune(self, keep: Collection[str]) -> None:
        """Remove every file whose fingerprint is not in `keep`, and what a killed process left half written."""
        for path in self._files(without=keep):
            path.unlink()

    def _files(self, without: Collection[str]) -> list[Path]:
        return [path for path in self.folder.glob("??/*") if path.name.removesuffix(store.SUFFIX) not in without]
