"""Lock files, the bill of materials that is made from them, and known vulnerabilities."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from supply.audit import advisories, audit, main
from supply.lock import FILES as LOCK_FILES
from supply.lock import Locked, read_locks
from supply.sbom import bill

ROOT = Path(__file__).parents[2]
FILES = [ROOT / path for path in LOCK_FILES]


def advisory(name: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    """Make a record in the format of OSV."""
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {"id": "PYSEC-1", "summary": "runs code", "affected": [affected | more.pop("affected", {})], **more}


@pytest.mark.parametrize(
    ("record", "is_found"),
    [
        (advisory("x-y", {"introduced": "0"}), True),
        (advisory("X_Y", {"introduced": "0"}, {"fixed": "1.10"}), True),
        (advisory("x.y", {"introduced": "0"}, {"fixed": "1.9.1"}), False),
        (advisory("x-y", {"introduced": "1.9.1"}), True),
        (advisory("x-y", {"introduced": "1.9.2"}), False),
        (advisory("x-y", {"introduced": "0"}, {"last_affected": "1.9.1"}), True),
        (advisory("x-y", {"introduced": "0"}, {"last_affected": "1.9"}), False),
        (advisory("x-y", {"introduced": "0"}, {"fixed": "1"}, {"introduced": "1.9"}, {"fixed": "2"}), True),
        (advisory("x-y", {"introduced": "0"}, {"fixed": "1"}, affected={"versions": ["1.9.1"]}), True),
        (advisory("x-y", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z"), False),
        (advisory("x", {"introduced": "0"}), False),
        (advisory("x-y", {"introduced": "0"}, affected={"package": {"ecosystem": "npm", "name": "x-y"}}), False),
    ],
)
def test_versions_are_compared_as_advisories_mean_them(record: dict[str, Any], is_found: bool) -> None:
    assert len(audit([Locked("x-y", "1.9.1", True)], [record])) == is_found


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_vulnerable_lock_file_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_zip: bool
) -> None:
    record = json.dumps(advisory("numpy", {"introduced": "0"}, {"fixed": "99"}))
    database = tmp_path / "database"
    if is_zip:
        with zipfile.ZipFile(database, "w") as archive:
            archive.writestr("PYSEC-1.json", record)
    else:
        (database / "vulns" / "numpy").mkdir(parents=True)
        (database / "vulns" / "numpy" / "PYSEC-1.yaml").write_text(record, encoding="utf-8")  # JSON is YAML
    monkeypatch.chdir(ROOT)
    assert main([str(database)]) == 1
    told = capsys.readouterr().out
    assert ": PYSEC-1: runs code (fixed in 99)\n" in told
    assert told.startswith("numpy ")


def test_an_empty_database_finds_nothing_wrong_with_itself_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no advisories"):
        list(advisories(tmp_path))


def test_the_bill_lists_what_is_locked_once() -> None:
    components = bill(read_locks(FILES))["components"]
    assert len({component["purl"] for component in components}) == len(components)
    lines = [line for path in FILES for line in path.read_text(encoding="utf-8").splitlines()]
    assert sum(line[0].isalnum() for line in lines) == len(components)
    assert {"torch", "av", "h5py"} <= {
        component["name"] for component in components if component["scope"] == "required"
    }


def test_each_package_but_those_of_torch_is_locked_with_its_hashes() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        with_hashes = re.findall(r"(?m)^[^\s#].* \\\n    --hash=sha256:[0-9a-f]{64}", text)
        assert len(with_hashes) == (0 if path.name == "requirements-torch.lock" else len(list(read_locks([path]))))


@pytest.mark.parametrize("line", ["numpy", "numpy>=2", "-e .", "    --hash=md5:00", "numpy==2.0 extra"])
def test_what_pins_nothing_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "requirements.lock"
    file.write_text(f"h5py==3.0\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: expected name==version"):
        list(read_locks([file]))
