"""A params.yaml that somebody else wrote: bombs, code, names that are commands."""

from collections.abc import Callable
from pathlib import Path

import pytest

from avadclip import config, scripting
from avadclip.config.loading import parse
from avadclip.errors import ConfigError

OURS = Path(__file__).parents[2] / "params.yaml"


def aliases(of: str, levels: int, first: str) -> str:
    """Return YAML in which each line repeats the line before it ten times."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{i}: &a{i} {of.format(','.join([f'*a{i - 1}'] * 10))}" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (aliases("[{}]", 10, "[x]"), "aliases .* of aliases; write them out"),
        (aliases("{{<<: [{}]}}", 10, "{x: 1}"), "merged"),
        ("a: &a [*a]", "contain themselves"),
        ("[" * 5_000, "nested too deeply"),
        ("{a: " * 3_000 + "}" * 3_000, "nested too deeply"),
        ('a: !!python/object/apply:os.system ["touch harmed"]', "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("seeds: [" + "9" * 5_000 + "]", "digits"),
        ("seeds: [0x" + "f" * 5_000 + "]", "20000 bits"),
        ("a: \x00", "not valid YAML"),
    ],
    ids=[
        "aliases",
        "merges",
        "itself",
        "deep list",
        "deep map",
        "python",
        "python name",
        "digits",
        "hex digits",
        "nul",
    ],
)
def test_bombs_and_code_in_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        parse(text, origin="params.yaml")
    assert not Path("harmed").exists()


def changed(old: str, new: str) -> str:
    """Our own parameters with one thing changed."""
    text = OURS.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    return text.replace(old, new, 1)


@pytest.mark.parametrize("name", ["x; touch harmed", "$(touch harmed)", "../../x", "a b", "a.b", "x\\u001b[2J", "`id`"])
@pytest.mark.parametrize("section", ["datasets", "worlds", "train", "distill"])
def test_names_that_would_be_commands_or_paths(section: str, name: str) -> None:
    text = changed(f"\n{section}:\n", f'\n{section}:\n  "{name}": {{}}\n')
    with pytest.raises(ConfigError, match=f"{section}"):
        parse(text, origin="params.yaml")


def test_a_stage_refuses_before_it_does_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(changed("\ndatasets:\n", '\ndatasets:\n  "x; touch harmed": {}\n'), "utf-8")
    monkeypatch.chdir(tmp_path)
    from pipeline import code

    with pytest.raises(SystemExit, match="1"):
        scripting.run(code.main, [])
    assert "x; touch harmed" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(lambda path: path.write_bytes(b"\xff\xfe\x00"), id="no text"),
        pytest.param(lambda path: path.symlink_to(path), id="a link to itself"),
    ],
)
def test_what_is_no_parameter_file(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "params.yaml")
    with pytest.raises(ConfigError, match=r"params\.yaml"):
        config.load(tmp_path / "params.yaml")
