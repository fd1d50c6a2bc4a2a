"""The variants of the paper's tables in a parameter file: each differs from its base in its switch alone."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from avadclip import config, recipes
from avadclip.config import Params
from avadclip.config.variants import Variant
from avadclip.detectors.registry import settings_of
from avadclip.errors import ConfigError
from avadclip.recipes import table_variants

SHIPPED = Path(__file__).parents[2] / "params.yaml"
MINIMAL = """
datasets:
  own:
    kind: table
    videos: videos
    annotations: annotations
    classes: [normal, fighting]
    visual: {weights: {sha256: null}, stride: 4, precision: float32}
    audio: {weights: {sha256: null}, precision: float32}
distill:
  visual_student:
    kind: student
"""
# Variant -> the variant that it is made from, and the settings that differ.
SWITCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "vision_alone": (
        "audio_visual",
        {"modalities": ("visual",), "fusion": "none", "av_prompt": "none", "focal": False},
    ),
    "fusion_alone": ("audio_visual", {"av_prompt": "none", "focal": False}),
    "fusion_and_prompt": ("audio_visual", {"focal": False}),
    "fusion_cross_attention": ("audio_visual", {"fusion": "cross_attention"}),
    "fusion_add": ("audio_visual", {"fusion": "add"}),
    "fusion_concat_linear": ("audio_visual", {"fusion": "concat_linear"}),
    "visual_untaught": ("visual_student", {"distillation": "none"}),
    "audio_untaught": ("audio_student", {"distillation": "none"}),
}


@pytest.fixture(params=["shipped", "minimal"])
def params(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    if request.param == "shipped":
        shutil.copy(SHIPPED, path)
    else:
        path.write_text(MINIMAL + "train:\n  audio_visual:\n    kind: audio_visual\n")
    return path


def settings(variant: str, params: Params, dataset: str) -> dict[str, Any]:
    section = params.variant(variant)
    assert isinstance(section, Variant)
    return dict(settings_of(section.kind, section.settings_on(dataset)))


def test_each_variant_is_another_but_for_its_switch(params: Path) -> None:
    for name in ("table_vi", "table_vii", "table_viii"):
        table_variants.add(name, params)
    loaded = config.load(params)
    for dataset in ("demo", "cctv_fights_sub", "own"):
        for variant, (base, changed) in SWITCHES.items():
            assert settings(variant, loaded, dataset) == settings(base, loaded, dataset) | changed
    assert SWITCHES.keys() <= set(loaded.score.variants)


@pytest.mark.parametrize("params", ["minimal"], indirect=True)
def test_what_is_changed_in_a_variant_later_holds_for_its_rows(params: Path) -> None:
    table_variants.add("table_vii", params)
    text = params.read_text()
    assert "audio_visual: &audio_visual\n    kind: audio_visual\n" in text
    params.write_text(text.replace("kind: audio_visual\n", "kind: audio_visual\n    temperature: 0.5\n", 1))
    assert settings("fusion_add", config.load(params), "own")["temperature"] == 0.5


@pytest.mark.parametrize("params", ["minimal"], indirect=True)
@pytest.mark.parametrize("name", ["table_i", "table_vi", "table_ix"])
def test_a_second_time_nothing_is_added(params: Path, name: str) -> None:
    first = table_variants.add(name, params)
    once = params.read_text()
    assert first
    assert table_variants.add(name, params) == []
    assert params.read_text() == once
    assert set(first) <= set(config.load(params).score.variants)


@pytest.mark.parametrize("params", ["minimal"], indirect=True)
def test_only_detectors_that_fit_are_tested_on_another_data_set(params: Path) -> None:
    with pytest.raises(ConfigError, match="table V needs two data sets"):
        table_variants.add("table_v", params)
    recipes.add("xd_violence", params)
    recipes.add("cctv_fights_sub", params)
    assert table_variants.add("table_v", params, "xd_violence") == ["xd_violence_from_cctv_fights_sub"]
    assert table_variants.add("table_v", params) == ["cctv_fights_sub_from_xd_violence"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("teacher: audio_visual", "teacher: ensemble", "teacher is 'ensemble'"),
        ("visual_student:\n    kind: student", "visual_student:\n    kind: Student!", "kind"),
    ],
)
def test_a_file_that_does_not_suit_is_left_as_it_was(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    text = SHIPPED.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        table_variants.add("table_viii", path)
    assert path.read_text() == text.replace(old, new)


def test_no_row_is_made_from_an_imported_detector(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    imported = f'train: {{audio_visual: {{released: {{path: a.pth, sha256: "{"0" * 64}"}}}}}}\n'
    path.write_text(MINIMAL + imported)
    with pytest.raises(ConfigError, match="'audio_visual' is imported"):
        table_variants.add("table_vii", path)
    assert path.read_text() == MINIMAL + imported
