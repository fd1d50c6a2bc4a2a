"""The work cache: every feature file that was made here, addressed by its fingerprint.

DVC deletes the output of a stage before it runs the stage again. The work cache is outside DVC and git, so a killed
extraction loses only the videos in progress, after new videos only these are extracted, and going back to earlier
parameters costs nothing.
"""

import hashlib
import logging
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from avadclip import store
from avadclip.errors import FeatureError
from avadclip.io import remove_abandoned, replacing, write_bytes, write_text
from avadclip.store import Features, Packed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usage:
    """A number of files and their size together."""

    n_files: int
    n_bytes: int


class WorkCache:
    """Feature files under ``<folder>/<first two digits>/<fingerprint>.h5``.

    A file is used only after its whole content was checked, each time. Opening 200,000 small HDF5 files takes minutes,
    so the sha256 of a file that was found intact is remembered, by fingerprint, and checked instead.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sums: dict[str, str] = {}

    def path(self, fingerprint: str) -> Path:
        """Where the file with this fingerprint is, or would be."""
        return self.folder / fingerprint[:2] / f"{fingerprint}{store.SUFFIX}"

    def holds(self, fingerprint: str) -> bool:
        """Whether the file is here and intact; a damaged one is removed, so that it is made again."""
        return self._read(fingerprint) is not None

    def _read(self, fingerprint: str) -> bytes | None:
        path = self.path(fingerprint)
        try:
            content = path.read_bytes()
            found = hashlib.sha256(content).hexdigest()
            if self._sums.get(fingerprint) != found:
                if store.read(path, content=content).fingerprint != fingerprint:
                    raise FeatureError(f"{path}: has the features of another video or recipe; it is made again")
                self._sums[fingerprint] = found
        except FileNotFoundError:
            return None
        except (FeatureError, OSError) as error:  # OSError: the disk cannot read it any more
            log.warning("work cache: %s", error)
            path.unlink(missing_ok=True)
            return None
        return content

    def put(self, features: Features | Packed) -> None:
        """Keep the features of one video, or their packed file.

        They are not flushed to the disk, which would take longer than importing: after a power cut, the last files are
        found damaged and made again.
        """
        packed = features if isinstance(features, Packed) else store.pack(features)
        with replacing(self.path(packed.fingerprint), flush=False) as temporary:
            temporary.write_bytes(packed.content)
        self._sums[packed.fingerprint] = hashlib.sha256(packed.content).hexdigest()

    def adopt(self, path: Path, fingerprint: str, checksum: str) -> None:
        """Copy a feature file from elsewhere, atomically; :class:`FeatureError` if it is not the file expected."""
        try:
            content = path.read_bytes()
            found = store.read(path, content=content)
        except OSError as error:
            raise FeatureError(f"{path}: cannot be read any more: {error.strerror}; merge again") from None
        if (found.fingerprint, found.checksum) != (fingerprint, checksum):
            raise FeatureError(f"{path}: changed while it was being copied; merge again")
        write_bytes(self.path(fingerprint), content)

    def copy_to(self, fingerprint: str, destination: Path) -> bool:
        """Copy one file into a stage output, unless it has the right bytes already.

        Always a copy, because DVC may turn outputs into read-only links into its own cache. The bytes that are written
        are those that were checked.

        Returns
        -------
        bool : False if the file is not here, or was damaged; see :meth:`holds`.
        """
        content = self._read(fingerprint)
        if content is None:
            return False
        if not (destination.is_file() and destination.read_bytes() == content):
            with replacing(destination, flush=False) as temporary:
                temporary.write_bytes(content)
        return True

    def load_sums(self, path: Path) -> None:
        """Read what :meth:`save_sums` wrote; from a damaged file, as much as possible."""
        if path.exists():
            text = path.read_text(encoding="ascii", errors="replace")
            self._sums.update(re.findall(r"^([0-9a-f]{64}) ([0-9a-f]{64})$", text, re.MULTILINE))

    def save_sums(self, path: Path, fingerprints: Iterable[str]) -> None:
        """Write the sha256 of those files with these fingerprints that were found intact."""
        write_text(path, "".join(f"{i} {self._sums[i]}\n" for i in fingerprints if i in self._sums))

    def usage(self, without: Collection[str] = ()) -> Usage:
        """The size of the cache, apart from the files with these fingerprints."""
        files = self._files(without)
        return Usage(len(files), sum(path.stat().st_size for path in files))

    def prune(self, keep: Collection[str]) -> None:
        """Remove every file whose fingerprint is not in `keep`, and what killed processes left unfinished."""
        for path in self._files(without=keep):
            path.unlink()
        for folder in self.folder.glob("??"):
            remove_abandoned(folder)

    def _files(self, without: Collection[str]) -> list[Path]:
        files = self.folder.glob(f"??/*{store.SUFFIX}")
        return [path for path in files if path.name.removesuffix(store.SUFFIX) not in without]
