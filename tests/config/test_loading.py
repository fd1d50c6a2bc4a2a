"""params.yaml: everything that is wrong gets one clear line that names its key."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from avadclip import config, recipes
from avadclip.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "params.yaml"
VISUAL = ("datasets", "xd_violence", "visual")


def shipped() -> dict[str, Any]:
    """The shipped parameters with the recipe of XD-Violence."""
    data = YAML(typ="safe").load(SHIPPED)
    data["datasets"] |= YAML(typ="safe").load(recipes.read("xd_violence"))
    return data


def changed(keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The shipped parameters with one value replaced or added."""
    data = shipped()
    section = data
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    return data


@pytest.fixture
def with_recipes(tmp_path: Path) -> Path:
    """The shipped parameter file with every recipe added."""
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED.read_text())
    for name in recipes.names():
        recipes.add(name, path)
    return path


def test_recipes_are_those_of_the_paper(with_recipes: Path) -> None:
    params = config.load(with_recipes)
    xd, cctv = params.dataset("xd_violence"), params.dataset("cctv_fights_sub")
    assert (xd.visual.stride, cctv.visual.stride) == (16, 4)
    assert (xd.visual.encoder, cctv.visual.encoder) == ("ViT-B-16-quickgelu", "ViT-B-16-quickgelu")
    assert (len(xd.classes), cctv.classes) == (7, ("normal", "fighting"))
    assert xd.selection.by == cctv.selection.by == "validation"


def test_adding_a_recipe_changes_nothing_else(with_recipes: Path) -> None:
    lines = with_recipes.read_text().splitlines()
    added = [line for name in recipes.names() for line in recipes.read(name).splitlines()]
    remaining = list(lines)
    for line in [*added, *[""] * len(recipes.names())]:
        remaining.remove(line)
    assert sorted(remaining) == sorted(SHIPPED.read_text().splitlines())
    assert config.load(with_recipes).dataset("demo") == config.load(SHIPPED).dataset("demo")
    with pytest.raises(ConfigError, match=r"datasets\.xd_violence is there already"):
        recipes.add("xd_violence", with_recipes)
    with pytest.raises(ConfigError, match="no recipe 'ucf'; there are: cctv_fights_sub, xd_violence"):
        recipes.read("ucf")


@pytest.mark.parametrize(
    ("keys", "value", "line"),
    [
        ((*VISUAL, "strid"), 16, "datasets.xd_violence.visual.strid: unknown key"),
        (
            (*VISUAL, "stride"),
            0,
            "datasets.xd_violence.visual.stride: input should be greater than or equal to 1, found 0",
        ),
        ((*VISUAL, "stride"), "16", "datasets.xd_violence.visual.stride: input should be a valid integer, found '16'"),
        ((*VISUAL, "stride"), 1.5, "datasets.xd_violence.visual.stride: input should be a valid integer, found 1.5"),
        (
            (*VISUAL, "encoder"),
            "ViT-B-17",
            "datasets.xd_violence.visual.encoder: open_clip has no such architecture .did you mean",
        ),
        (
            (*VISUAL, "precision"),
            "float64",
            "datasets.xd_violence.visual.precision: .*'float32', 'bfloat16' or 'float16'",
        ),
        ((*VISUAL, "weights", "sha256"), "abc", "datasets.xd_violence.visual.weights.sha256: "),
        (
            ("datasets", "xd_violence", "classes"),
            ["fighting", "normal"],
            "datasets.xd_violence.classes: the first of `classes` must be",
        ),
        (
            ("datasets", "xd_violence", "kind"),
            "ucf",
            "datasets.xd_violence.kind: .*'xd_violence', 'cctv_fights', 'table' or 'xd_violence_released'",
        ),
        (("datasets", "xd_violence", "exclude"), {"id": 3}, "datasets.xd_violence.exclude.id: .*string, found 3"),
        (("extraction", "workers"), -1, "extraction.workers: input should be greater than or equal to 1, found -1"),
        (("extractoin",), {}, "extractoin: unknown key"),
        (("teacher",), "nobody", "the file: teacher: 'nobody' is no variant under `train`"),
        (("score", "variants"), ["x"], "the file: score: 'x' is no variant under `train` or `distill`"),
        (
            ("score", "across", "x"),
            {"dataset": "ucf", "trained_on": "xd_violence", "variant": "audio_visual"},
            "the file: score.across: 'ucf' is no data set under `datasets`; remove the line",
        ),
    ],
)
def test_a_wrong_value_gets_one_line_that_names_its_key(keys: tuple[str, ...], value: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^params.yaml: {line}") as error:
        config.validate(changed(keys, value), origin="params.yaml")
    assert "\n" not in str(error.value)


def test_a_missing_value_is_named() -> None:
    data = shipped()
    del data["datasets"]["xd_violence"]["visual"]["stride"]
    with pytest.raises(ConfigError, match=r"^p: datasets\.xd_violence\.visual\.stride: missing; add it$"):
        config.validate(data, origin="p")


def test_every_wrong_key_gets_a_line() -> None:
    data = changed((*VISUAL, "stride"), 0)
    data["datasets"]["demo"]["audio"]["window_seconds"] = -1
    with pytest.raises(ConfigError) as error:
        config.validate(data, origin="p")
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("a: b: c", "not valid YAML"), ("", "the file")]
)
def test_files_that_hold_no_parameters(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        config.load(tmp_path / "params.yaml")


def test_no_file_and_no_such_data_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "params.yaml")
    with pytest.raises(ConfigError, match=r"no data set 'ucf' under `datasets`; there are: demo$"):
        config.load(SHIPPED).dataset("ucf")
    with pytest.raises(ConfigError, match=r"no world 'ucf' under `worlds`; there are: demo$"):
        config.load(SHIPPED).world("ucf")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(SHIPPED.read_text().replace("window_seconds: 1.0", "window_seconds: 1e0"))
    assert config.load(tmp_path / "params.yaml").dataset("demo").audio.window_seconds == 1.0


def test_nothing_can_be_changed_after_loading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.load(SHIPPED).dataset("demo").visual.stride = 4  # type: ignore[misc]
