"""``python -m supply.sbom``: the lock files as a bill of materials, CycloneDX 1.6 in JSON, on standard output.

The same lock files give the same bytes.
"""

import json
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from supply.lock import Locked, read_locks


def bill(packages: Iterable[Locked]) -> dict[str, Any]:
    """What https://cyclonedx.org/docs/1.6/json/ asks for; licences of what is installed here."""
    root = {"type": "application", "name": "avadclip", "bom-ref": "avadclip"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": [_component(package) for package in packages],
    }


def _component(package: Locked) -> dict[str, Any]:
    licence = _licence(package.name)
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "scope": "required" if package.is_for_running else "excluded",
        **({"licenses": [{"license": {"name": licence}}]} if licence else {}),
    }


def _licence(name: str) -> str:
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return ""
    return next(iter((found.get("License-Expression") or found.get("License") or "").splitlines()), "")


if __name__ == "__main__":
    json.dump(bill(read_locks()), sys.stdout, indent=1)
    sys.stdout.write("\n")
