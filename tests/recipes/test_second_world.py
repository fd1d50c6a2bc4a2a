"""Table V with one rendered data set: a second one is added, on which detectors have the settings of the first."""

import shutil
from pathlib import Path

import pytest

from avadclip import config, recipes
from avadclip.config import Params
from avadclip.config.variants import Variant
from avadclip.recipes import table_variants

SHIPPED = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(SHIPPED, tmp_path / "params.yaml"))


def assert_same_settings(loaded: Params) -> None:
    for variant in (*loaded.train, *loaded.distill):
        section = loaded.variant(variant)
        assert isinstance(section, Variant)
        assert section.settings_on("demo_other") == section.settings_on("demo"), variant


def test_a_second_world_is_the_first_but_for_its_seed_and_folder(params: Path) -> None:
    new = table_variants.add("table_v", params)
    assert new == ["datasets.demo_other", "demo_from_demo_other", "demo_other_from_demo"]
    loaded = config.load(params)
    first, second = loaded.worlds["demo"], loaded.worlds["demo_other"]
    assert second == first.model_copy(update={"seed": first.seed + 1})
    moved = {"videos": "data/demo_other/videos", "annotations": "data/demo_other/annotations"}
    assert loaded.datasets["demo_other"] == loaded.datasets["demo"].model_copy(update=moved)
    assert {(one.dataset, one.trained_on) for one in loaded.score.across.values()} == {
        ("demo", "demo_other"),
        ("demo_other", "demo"),
    }
    assert "demo_other" not in " ".join(loaded.score.variants)
    assert_same_settings(loaded)


@pytest.mark.parametrize("first", ["table_v", "zoo"])
def test_variants_that_come_before_and_after_it_have_the_settings_of_the_first(params: Path, first: str) -> None:
    if first == "table_v":
        table_variants.add("table_v", params)
    recipes.add_detectors("zoo", params)
    table_variants.add("table_vii", params)
    if first != "table_v":
        table_variants.add("table_v", params)
    assert_same_settings(config.load(params))
    once = params.read_text()
    assert table_variants.add("table_v", params) == []
    assert params.read_text() == once


def test_only_the_pair_that_is_asked_for(params: Path) -> None:
    assert table_variants.add("table_v", params, "demo") == ["datasets.demo_other", "demo_from_demo_other"]
    assert table_variants.add("table_v", params, "demo_other") == ["demo_other_from_demo"]


def test_settings_of_its_own_are_kept(params: Path) -> None:
    text = params.read_text().replace(
        "      demo: {recipe: *demo}\n", "      demo: {recipe: *demo}\n      demo_other: {}\n"
    )
    params.write_text(text)
    table_variants.add("table_v", params)
    baseline = config.load(params).variant("visual_baseline")
    assert isinstance(baseline, Variant)
    assert baseline.on["demo_other"] == {}
