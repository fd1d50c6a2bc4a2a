"""params.yaml: everything that is wrong gets one clear line that names its key."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from avadclip import config, recipes
from avadclip.config.variants import Variant
from avadclip.datasets.exclusion import exclude_lines
from avadclip.detectors.registry import kinds, settings_of
from avadclip.errors import ConfigError
from avadclip.tables.layout import CERTAINTY

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


@pytest.mark.slow
@pytest.mark.parametrize(("margin", "step"), [("  ", "  "), ("    ", "    "), (" ", "  "), ("      ", "   ")])
def test_a_recipe_stands_where_the_other_data_sets_stand(tmp_path: Path, margin: str, step: str) -> None:
    lines = [*SHIPPED.read_text().splitlines(), ""]
    begin = lines.index("datasets:") + 1
    for at in range(begin, lines.index("extraction:")):
        bare = lines[at].lstrip()
        depth = (len(lines[at]) - len(bare)) // 2
        lines[at] = margin + step * (depth - 1) + bare if depth else bare
    lines[begin:begin] = ["", "# a comment at the edge", "            # and one that is indented"]
    path = tmp_path / "params.yaml"
    path.write_text("\n".join(lines))
    before = config.load(path)
    recipes.add("xd_violence", path)
    assert config.load(path).dataset("demo") == before.dataset("demo")
    assert config.load(path).dataset("xd_violence") == config.validate(shipped(), "p").dataset("xd_violence")
    assert path.read_text().replace(recipes.read("xd_violence", margin) + "\n", "", 1) == "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets:\n  {}\n", "left as it was, because with the recipe it would not be valid"),
        ("datasets: {}\n", "no line `datasets:`"),
    ],
)
def test_a_file_in_which_a_recipe_cannot_be_pasted_stays_as_it_is(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode())
    with pytest.raises(ConfigError, match=f"(?s){message}.*paste the block of `avadclip recipe xd_violence` by hand"):
        recipes.add("xd_violence", path)
    assert path.read_bytes() == text.encode()
    assert [file.name for file in tmp_path.iterdir()] == ["params.yaml"]


def test_adding_a_recipe_changes_nothing_else(with_recipes: Path) -> None:
    lines = with_recipes.read_text().splitlines()
    added = [line for name in recipes.names() for line in recipes.read(name).splitlines()]
    remaining = list(lines)
    for line in [*added, *[""] * len(recipes.names())]:
        remaining.remove(line)
    assert sorted(remaining) == sorted(SHIPPED.read_text().splitlines())
    assert config.load(with_recipes).dataset("demo") == config.load(SHIPPED).dataset("demo")
    with pytest.raises(ConfigError, match=r"datasets\.xd_violence exists already"):
        recipes.add("xd_violence", with_recipes)
    listed = "cctv_fights_sub, own_videos, shanghaitech, ubnormal, ucf_crime, xd_violence"
    with pytest.raises(ConfigError, match=f"no recipe 'ucf'; there are: {listed}"):
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
            "datasets.xd_violence.kind: .*'xd_violence', 'cctv_fights', 'table', 'ucf_crime', 'shanghaitech', ",
        ),
        (
            (*VISUAL, "mean_of"),
            4,
            "datasets.xd_violence.visual: .*mean_of: 4 goes with frame: mean, found frame: first",
        ),
        (("datasets", "xd_violence", "exclude"), {"id": 3}, "datasets.xd_violence.exclude.id: .*string, found 3"),
        (("extraction", "workers"), -1, "extraction.workers: input should be greater than or equal to 1, found -1"),
        (("extractoin",), {}, "extractoin: unknown key"),
        (("teacher",), "nobody", "the file: teacher: 'nobody' is not a variant under `train`"),
        (("score", "variants"), ["x"], "the file: score: 'x' is not a variant under `train` or `distill`"),
        (
            ("score", "across", "x"),
            {"dataset": "ucf", "trained_on": "xd_violence", "variant": "audio_visual"},
            "the file: score.across: 'ucf' is not a data set under `datasets`; remove the line",
        ),
        (
            ("train", "audio_visual_0.5"),
            {"kind": "student"},
            "the file: train: 'audio_visual_0.5' is not a name for DVC; use letters, digits, `_` and `-` only",
        ),
        (("distill", "my student"), {"kind": "student"}, "the file: distill: 'my student' is not a name for DVC"),
        (("worlds", "a/b"), {"seed": 1, "n_train": 1, "n_test": 1}, "the file: worlds: 'a/b' is not a name for DVC"),
        (("worlds", "a\n"), {"seed": 1, "n_train": 1, "n_test": 1}, r"the file: worlds: 'a\\n' is not a name for DVC"),
        (("train", ""), {"kind": "student"}, "the file: train: '' is not a name for DVC"),
        (("train", "ü"), {"kind": "student"}, "the file: train: 'ü' is not a name for DVC"),
        (
            ("score", "across", "to demo"),
            {"dataset": "demo", "trained_on": "xd_violence", "variant": "audio_visual"},
            "the file: score.across: 'to demo' is not a name for DVC",
        ),
        (("train", "encoders"), {"kind": "student"}, "the file: train: the name `encoders` is taken: a model folder"),
        (("distill", "random"), {"kind": "student"}, "the file: distill: the name `random` is taken: the tables"),
        (("train", "videos"), {"kind": "student"}, "the file: train: the name `videos` is taken: metrics.json"),
        (
            ("evaluate", "alarm_threshold"),
            {"false_alarms_per_hour": float("inf")},
            "evaluate.alarm_threshold.false_alarms_per_hour: input should be a finite number",
        ),
        (
            ("evaluate", "alarms", "bridge_seconds"),
            float("inf"),
            "evaluate.alarms.bridge_seconds: input should be a fi",
        ),
        (("evaluate", "strict", "class_score_weight"), float("inf"), "evaluate.strict.class_score_weight: input sho"),
        (("evaluate", "bootstrap_seed"), -1, "evaluate.bootstrap_seed: input should be greater than or equal to 0"),
        (("evaluate", "random_seed"), -1, "evaluate.random_seed: input should be greater than or equal to 0"),
        (
            ("score", "student"),
            "nobody",
            "the file: score.student: 'nobody' is not a variant under `train` or `distill`",
        ),
        (
            ("score", "student"),
            "audio_student",
            "the file: score.student: 'audio_student' takes audio; expected one that takes `visual`",
        ),
        (
            ("score", "student"),
            "audio_visual",
            "the file: score.student: 'audio_visual' takes visual and audio; expected one that takes `visual`",
        ),
    ],
)
def test_a_wrong_value_gets_one_line_that_names_its_key(keys: tuple[str, ...], value: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^params.yaml: {line}") as error:
        config.validate(changed(keys, value), origin="params.yaml")
    assert "\n" not in str(error.value)


def test_two_detectors_cannot_share_a_stage_of_dvc() -> None:
    """`train@demo-visual-head` would be variant `visual-head` on `demo`, or `head` on `demo-visual`."""
    data = shipped()
    data["datasets"]["demo-visual"] = data["datasets"]["demo"]
    data["train"] |= {"head": {"kind": "mil_head"}}
    config.validate(data, origin="p")
    data["train"] |= {"visual-head": {"kind": "mil_head"}}
    with pytest.raises(ConfigError, match="p: the file: variant 'visual-head' on 'demo' and 'head' on 'demo-visual'"):
        config.validate(data, origin="p")


def test_a_budget_is_for_a_detector_that_is_scored() -> None:
    data = changed(("evaluate", "alarm_threshold"), {"false_alarms_per_hour": 10})
    config.validate(data, origin="p")
    data["score"]["variants"] = [name for name in data["score"]["variants"] if name != data["score"]["detector"]]
    with pytest.raises(ConfigError, match=r"evaluate.alarm_threshold: a budget .* is not among score.variants; add it"):
        config.validate(data, origin="p")


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


def test_a_data_set_needs_a_name_for_dvc() -> None:
    data = shipped()
    data["datasets"]["xd.violence"] = data["datasets"].pop("xd_violence")
    with pytest.raises(ConfigError, match=r"^p: the file: datasets: 'xd\.violence' is not a name for DVC"):
        config.validate(data, origin="p")


@pytest.mark.parametrize("student", ["visual_student", "visual_baseline", "released"])
def test_whoever_looks_alone_can_stand_in(student: str) -> None:
    data = changed(("train", "released"), {"released": {"path": "it.pth", "sha256": None}})
    data["score"]["student"] = student
    assert config.validate(data, origin="p").score.student == student


def test_nobody_has_to_stand_in_where_nothing_is_scored() -> None:
    data = changed(("score",), {"variants": [], "student": "nobody"})
    assert config.validate(data, origin="p").score.variants == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("2024-01-03: why", 'the key 2024-01-03 is read as a date; put it in quotes: "2024-01-03"'),
        ("2024-13-45: why", 'the key 2024-13-45 is read as a date; put it in quotes: "2024-13-45"'),
        ("001: why", 'the key 001 is read as a number; put it in quotes: "001"'),
        ("0x10: why", 'the key 0x10 is read as a number; put it in quotes: "0x10"'),
        ("1e3: why", 'the key 1e3 is read as a number; put it in quotes: "1e3"'),
        ("true: why", 'the key true is read as a truth value; put it in quotes: "true"'),
        ("null: why", 'the key null is read as nothing; put it in quotes: "null"'),
        ("? [a]\n      : why", "the key is read as a seq; put it in quotes"),
        ("id: 2024-01-03", 'the value 2024-01-03 is read as a date; put it in quotes: "2024-01-03"'),
        ("id: !!set {a}", "the value is read as a set; put it in quotes"),
    ],
)
def test_what_yaml_takes_for_no_text_is_told_with_its_line(tmp_path: Path, entry: str, message: str) -> None:
    lines = SHIPPED.read_text().splitlines()
    at = lines.index("    exclude: {}")
    lines[at : at + 1] = ["    exclude:", f"      {entry}"]
    (tmp_path / "params.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError) as error:
        config.load(tmp_path / "params.yaml")
    assert str(error.value) == f"{tmp_path / 'params.yaml'}: line {at + 2}: {message}"


@pytest.mark.parametrize("id_", ["2024-01-03", "001", "0x10", "1e3", "true", "null", "no", "a.b c"])
def test_in_quotes_any_id_can_be_excluded(tmp_path: Path, id_: str) -> None:
    text = SHIPPED.read_text().replace("    exclude: {}", f"    exclude:\n{exclude_lines({id_: 'why'})}")
    (tmp_path / "params.yaml").write_text(text)
    assert config.load(tmp_path / "params.yaml").dataset("demo").exclude == {id_: "why"}


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


def test_the_zoo_goes_below_the_variants_and_into_the_score(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED.read_text())
    before = config.load(path)
    new = recipes.add_detectors("zoo", path)
    params = config.load(path)
    assert list(params.train) == [*before.train, *new]
    assert list(params.score.variants) == [*before.score.variants, *new]
    found = set()
    for variant in new:
        section = params.variant(variant)
        assert isinstance(section, Variant)
        found.add(section.kind)
        published = settings_of(section.kind, {}).recipe
        assert settings_of(section.kind, section.settings_on("elsewhere"), variant).recipe == published
        assert settings_of(section.kind, section.settings_on("demo"), variant).recipe.bag.length <= 32
    assert found == set(kinds()) - {"audio_visual", "student", "mil_head"}  # the paper's own, and ours
    assert CERTAINTY.keys() < found  # a mark under another name would be shown nowhere
    lines = path.read_text().splitlines()
    assert set(SHIPPED.read_text().splitlines()) - set(lines) == {
        line for line in SHIPPED.read_text().splitlines() if line.startswith("  variants: [")
    }
    assert recipes.add_detectors("zoo", path) == []
    assert path.read_text().splitlines() == lines
