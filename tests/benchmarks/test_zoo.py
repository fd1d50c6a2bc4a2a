"""docs/zoo.md shows the results in docs/zoo.json for every shipped variant. Nothing is trained here."""

import json
import re
from pathlib import Path

import pytest

from avadclip.detectors.registry import settings_of
from benchmarks import zoo_page
from benchmarks.zoo_page import BEGIN, END
from tests.docs.zoo_table import table

AP, AUC, LOCALISATION = 7, 8, 9  # cells of a row


def cells(table: str, variant: str) -> list[str]:
    row = next(line for line in table.splitlines() if line.startswith(f"| `{variant}` |"))
    return [cell.strip() for cell in row.split("|")]


def test_the_page_shows_the_results() -> None:
    assert zoo_page.written() == zoo_page.table(), "run `python -m benchmarks.zoo --page`"


def test_what_was_measured_is_what_is_shipped() -> None:
    """Each result of current settings states its recipe in words, and has an AP for every AUC."""
    sections, results = zoo_page.variants(), zoo_page.read_results()
    current = {
        name: found for name, found in results.items() if found["settings"] == zoo_page.settings_digest(sections[name])
    }
    assert current
    for name, found in current.items():
        section = sections[name]
        assert found["recipe"] == zoo_page.recipe_words(settings_of(section.kind, section.settings_on("demo")).recipe)
        assert len(found["results"]["AP"]) == len(found["results"]["AUC"])


def test_only_systems_that_name_classes_have_a_localisation() -> None:
    systems = {kind: row for row in table("The zoo") for kind in re.findall(r"`(\w+)`", row["`kind`"])}
    results = zoo_page.read_results()
    named = {name: systems[found["kind"]]["says which class"] == "yes" for name, found in results.items()}
    assert {name: bool(found["results"]["mAP AVG"]) for name, found in results.items()} == named
    assert set(named.values()) == {True, False}
    rows = {row["variant"].strip("`"): row for row in table("On the demo world")}
    assert {name: bool(rows[name]["mAP AVG"]) for name in named} == named


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with an outdated table, and a new result of DeepMIL."""
    path = tmp_path / "zoo.md"
    path.write_text(f"| `deep_mil` | [DeepMIL](there), 2018 | vision |\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    monkeypatch.setattr(zoo_page, "PAGE", path)
    monkeypatch.setattr(zoo_page, "RESULTS", tmp_path / "zoo.json")
    entry = {
        "kind": "deep_mil",
        "modalities": ["visual"],
        "settings": zoo_page.settings_digest(zoo_page.variants()["deep_mil"]),
        "recipe": "8 x 30 steps",
        "parameters": 1_234_567,
        "step_seconds": 0.031,
        "results": {"AP": [60.0, 62.0, 64.0], "AUC": [80.0, 80.0, 83.0], "mAP AVG": []},
    }
    zoo_page.RESULTS.write_text(json.dumps({"deep_mil": entry}))
    return path


def test_rows_of_what_was_measured_and_of_what_was_not(page: Path) -> None:
    zoo_page.write()
    text = page.read_text()
    assert zoo_page.written() == zoo_page.table()
    assert "old" not in text
    assert text.endswith(f"{END}\n\nThe end.\n")
    found = cells(zoo_page.written(), "deep_mil")
    assert found[2:7] == ["[DeepMIL](there), 2018", "vision", "1.23 M", "8 x 30 steps", "0.03"]
    assert found[AP : LOCALISATION + 1] == ["62.0 ± 2.0", "81.0 ± 1.7", ""]
    assert cells(zoo_page.written(), "rtfm")[3:10] == ["", "", "not measured", "", "", "", ""]
    rows = re.findall(r"^\| `(\w+)` \| .*\| .*\|", zoo_page.written(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(zoo_page.variants())
    assert rows[0] == "deep_mil"  # measured ones first


def test_a_result_of_other_settings_does_not_count(page: Path) -> None:
    results = json.loads(zoo_page.RESULTS.read_text())
    results["deep_mil"]["settings"] = "0" * 64
    zoo_page.RESULTS.write_text(json.dumps(results))
    assert cells(zoo_page.table(), "deep_mil")[5] == "not measured"


def test_new_results_leave_the_others_alone(page: Path) -> None:
    before = zoo_page.read_results()
    zoo_page.write_results({"rtfm": before["deep_mil"] | {"kind": "rtfm"}})
    assert zoo_page.read_results()["deep_mil"] == before["deep_mil"]
    assert set(zoo_page.read_results()) == {"deep_mil", "rtfm"}
