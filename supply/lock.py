"""The lock files: what is installed, and in which version."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FILES = tuple(Path(f"requirements{of}.lock") for of in ("-torch", "", "-test", "-docs"))
_FOR_RUNNING = {"requirements-torch.lock", "requirements.lock"}


@dataclass(frozen=True)
class Locked:
    """One package of a lock file."""

    name: str  # normalised, as registries compare names (PEP 503)
    version: str
    is_for_running: bool  # or for tests and documentation only

    @property
    def purl(self) -> str:
        """Its address among all packages, https://github.com/package-url/purl-spec."""
        return f"pkg:pypi/{self.name}@{self.version}"


def normalised(name: str) -> str:
    """One spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_locks(files: Iterable[Path] = FILES) -> Iterator[Locked]:
    """Every package, sorted within its file; the lines of its hashes are passed over.

    Raises
    ------
    ValueError : a line that is not ``name==version``, with or without a marker.
    """
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line):
                continue
            found = re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;]+)( ; .+?)?( \\)?", line)
            if found is None:
                raise ValueError(f"{path}, line {number}: expected name==version, found {line!r}")
            yield Locked(normalised(found[1]), found[2], path.name in _FOR_RUNNING)
