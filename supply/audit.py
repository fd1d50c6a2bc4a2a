"""``python -m supply.audit DATABASE``: known vulnerabilities of the lock files, from a database on this disk.

The database is a folder or zip of advisories in OSV's format (https://ossf.github.io/osv-schema/), JSON or YAML: the
dump that osv.dev offers for PyPI, or a clone of PyPA's advisory-database. Without one, `make audit` asks the network.
"""

import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version
from ruamel.yaml import YAML

from supply.lock import Locked, normalised, read_locks


@dataclass(frozen=True)
class Finding:
    """A package with a known vulnerability."""

    package: Locked
    advisory: str
    summary: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"fixed in {', '.join(self.fixed)}" if self.fixed else "not fixed yet"
        return f"{self.package.name} {self.package.version}: {self.advisory}: {self.summary} ({remedy})"


def advisories(database: Path) -> Iterator[dict[str, Any]]:
    """Everything that a folder or a zip holds.

    Raises
    ------
    ValueError : there is no advisory in it: nothing would be found in anything.
    """
    found = False
    for name, content in _files(database):
        found = True
        yield json.loads(content) if name.endswith(".json") else YAML(typ="safe", pure=True).load(content)
    if not found:
        raise ValueError(f"{database}: holds no advisories (*.json, *.yaml)")


def audit(packages: Iterable[Locked], known: Iterable[dict[str, Any]]) -> list[Finding]:
    """Every locked package that an advisory, unless it was withdrawn, says is affected."""
    locked = defaultdict(list)
    for package in packages:
        locked[package.name].append(package)
    findings = []
    for advisory in known:
        for affected in advisory.get("affected", ()) if not advisory.get("withdrawn") else ():
            about = affected.get("package", {})
            for package in locked.get(normalised(about.get("name", "")), ()):
                if about.get("ecosystem") == "PyPI" and _is_affected(package.version, affected):
                    summary = advisory.get("summary") or next(iter(advisory.get("details", "").splitlines()), "")
                    findings.append(Finding(package, advisory["id"], summary, _fixed(affected)))
    return sorted(findings, key=str)


def _files(database: Path) -> Iterator[tuple[str, bytes]]:
    if database.is_dir():
        paths = sorted(path for path in database.rglob("*") if path.suffix in (".json", ".yaml"))
        yield from ((path.name, path.read_bytes()) for path in paths)
        return
    with zipfile.ZipFile(database) as archive:
        for name in archive.namelist():
            if name.endswith((".json", ".yaml")):
                yield name, archive.read(name)


def _events(affected: dict[str, Any]) -> Iterator[list[tuple[str, str]]]:
    """The events of each range: introduced, fixed and last_affected, in their order."""
    for span in affected.get("ranges", ()):
        if span.get("type") == "ECOSYSTEM":
            yield [(kind, str(value)) for event in span.get("events", ()) for kind, value in event.items()]


def _is_affected(version: str, affected: dict[str, Any]) -> bool:
    if version in affected.get("versions", ()):
        return True
    return any(_is_within(Version(version), events) for events in _events(affected))


def _is_within(version: Version, events: list[tuple[str, str]]) -> bool:
    is_within = False
    for kind, value in events:
        try:
            bound = Version("0.dev0" if value == "0" else value)
        except InvalidVersion:
            continue  # some advisories name versions of before PEP 440; they also list them
        if kind == "introduced" and version >= bound:
            is_within = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            is_within = False
    return is_within


def _fixed(affected: dict[str, Any]) -> tuple[str, ...]:
    return tuple(value for events in _events(affected) for kind, value in events if kind == "fixed")


def main(words: list[str]) -> int:
    """Print what is found; 1 if that is anything."""
    if len(words) != 1:
        sys.stderr.write("usage: python -m supply.audit DATABASE\n")
        return 2
    packages = list(read_locks())
    found = audit(packages, advisories(Path(words[0])))
    sys.stdout.write("".join(f"{finding}\n" for finding in found))
    sys.stdout.write(f"{len(packages)} packages, {len(found)} known vulnerabilities\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
