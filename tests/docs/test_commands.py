"""Commands that README.md and docs/ tell people to type: a test runs each, or a table below says why none does.

Whether run or not, each names programs, options, stages, modules and targets that exist.
"""

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner

from avadclip import config
from avadclip.cli import app
from tests.support import pages

# Page, how commands begin there -> the test that reads them from the page and runs them.
RUN = {
    ("README.md", "avadclip"): "tests/docs/test_pages.py",  # the same as on the page below
    ("README.md", "dvc repro"): "tests/docs/test_pages.py",
    ("docs/your-videos.md", ""): "tests/graph/test_your_videos.py",
    ("docs/review.md", ""): "tests/graph/test_your_videos.py",
    ("docs/team.md", ""): "tests/team/test_sharing.py",
    ("docs/cluster.md", ""): "tests/cluster/test_session.py",
    ("docs/released.md", ""): "tests/graph/test_interop.py",
    ("docs/alarms.md", "avadclip threshold"): "tests/evaluation/test_trade_off.py",
    ("docs/extraction.md", "python -m pipeline.extract_visual"): "tests/extraction/test_hostile.py",
    ("docs/extraction.md", "avadclip features"): "tests/commands/test_cli.py",
    ("docs/extraction.md", "avadclip doctor"): "tests/commands/test_cli.py",
    ("docs/extraction.md", "avadclip train-audio-encoder"): "tests/pretraining/test_own_videos.py",
    ("docs/extraction.md", "avadclip recipe"): "tests/docs/test_commands.py",
    ("docs/features.md", "avadclip import-features --visual ucf_crime_c3d"): "tests/interop/test_import_arrays.py",
    ("docs/features.md", "avadclip import-features --visual UCFClip"): "tests/interop/test_released_layouts.py",
    ("docs/features.md", "avadclip import-features --visual i3d"): "tests/interop/test_released_layouts.py",
    ("docs/features.md", "avadclip features compare"): "tests/store/test_compare.py",
    ("docs/features.md", "avadclip labels convert"): "tests/interop/labels/test_convert.py",
    ("docs/held-out.md", "avadclip choose"): "tests/training/test_cross_validation.py",
    ("docs/tables.md", "avadclip table"): "tests/tables/test_records.py",
    ("docs/tables.md", "avadclip recipe"): "tests/docs/test_commands.py",
    ("docs/tables.md", "for t in"): "tests/docs/test_commands.py",
    ("docs/zoo.md", "avadclip recipe"): "tests/docs/test_commands.py",
}
# Page, how commands begin there -> why no test runs them as they stand.
NOT_RUN = {
    ("README.md", "make demo"): "installs, takes minutes; tests/graph/test_run.py runs its graph on a smaller world",
    ("README.md", "make test"): "runs the tests",
    ("CONTRIBUTING.md", "make"): "runs the tests, or the demo",
    ("docs/alarms.md", "dvc repro"): "tests/graph/test_evaluate.py runs it after every change of a rule or a level",
    ("docs/design.md", "make mutants"): "installs, and runs tests hundreds of times",
    ("docs/detectors.md", "dvc repro"): "trains all; tests/detectors/test_worked_example.py trains the page's detector",
    ("docs/detectors.md", "python -m pytest"): "runs tests, of a file that a reader has written",
    ("docs/evaluate.md", "dvc"): "has scores of 800 videos; tests/graph/test_evaluate.py changes a threshold of few",
    ("docs/extraction.md", "dvc repro"): "needs the videos of XD-Violence, and days",
    ("docs/features.md", "dvc repro"): "tests/interop/test_import_arrays.py runs its stages one by one",
    ("docs/predict.md", "avadclip predict"): "needs the model of `make demo`; that of docs/your-videos.md runs",
    ("docs/quality.md", "python -m benchmarks.quality"): "trains for minutes on features that are not in the project",
    ("docs/release.md", ""): "builds a wheel, installs all packages; tests/prediction/test_wheel.py does most of it",
    ("docs/tables.md", "dvc repro"): "trains for hours, on features that are not in the project",
    ("docs/tables.md", "dvc exp"): "copies the project, takes minutes, needs a commit and a name made at random",
    ("docs/training.md", ""): "trains for hours on XD-Violence; tests/graph/test_run.py trains on a small world",
    ("docs/troubleshooting.md", ""): "needs a pull that was killed at the wrong moment; tests/soak.py does the same",
    (
        "docs/zoo.md",
        "python -m benchmarks.zoo",
    ): "trains every detector for half an hour",
    ("docs/zoo.md", "dvc repro"): "trains every detector; tests/detectors/test_contract.py does so in little",
}
TYPED = [(page, command) for page in pages.names() for command in pages.commands(page)]
STAGES = YAML(typ="safe").load(pages.ROOT / "dvc.yaml")["stages"]
ELSEWHERE = {"git", "cd", "cp", "mkdir", "pip", "python3", "ray", "export", "rm"}  # programs of others


def applies(rule: tuple[str, str], page: str, command: str) -> bool:
    return rule[0] == page and command.startswith(rule[1])


def test_every_command_is_run_or_listed_with_the_reason_why_not() -> None:
    rules = RUN.keys() | NOT_RUN.keys()
    assert [typed for typed in TYPED if not any(applies(rule, *typed) for rule in rules)] == []
    assert [rule for rule in rules if not any(applies(rule, *typed) for typed in TYPED)] == []


@pytest.mark.parametrize(("rule", "test"), RUN.items())
def test_the_test_that_is_named_takes_the_commands_from_the_page(rule: tuple[str, str], test: str) -> None:
    expected = {command for page, command in TYPED if applies(rule, page, command)}
    assert expected <= taken(ast.parse((pages.ROOT / test).read_text(encoding="utf-8")), rule[0])


def taken(module: ast.Module, page: str) -> set[str]:
    """Return the commands of a page that a test file gets by calling `pages.commands` or `pages.blocks`.

    A function that is given the page as an argument takes it if it is called, or parametrized, with the page's name.
    If the section is an argument, it may be any section.
    """
    found: set[str] = set()
    for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)):
        uses = [call for call in calls(module) if ast.unparse(call.func) == function.name]
        is_given = any(constant(node) == page for use in (*function.decorator_list, *uses) for node in ast.walk(use))
        for first, *rest in reading_calls(function):
            if first is None and is_given:
                found |= set(pages.commands(page, *rest))
    for first, *rest in reading_calls(module):
        if first == page:
            found |= set(pages.commands(page, *rest))
    return found


def reading_calls(node: ast.AST) -> Iterator[list[Any]]:
    """Yield page and section of each call that reads a page; None: it is no constant."""
    for call in calls(node):
        if ast.unparse(call.func) in ("pages.commands", "pages.blocks"):
            yield [constant(argument) for argument in call.args]


def calls(node: ast.AST) -> list[ast.Call]:
    return [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]


def constant(node: ast.AST) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


@pytest.mark.parametrize(
    ("source", "is_taken"),
    [
        ("pages.commands('docs/alarms.md', 'What a threshold costs')", True),
        ("pages.commands('docs/alarms.md')", True),
        ("def f(section): pages.commands('docs/alarms.md', section)", True),
        ("def f(page): pages.blocks(page)\nf('docs/alarms.md')", True),
        ("@parametrize('page', ['docs/alarms.md'])\ndef f(page): pages.commands(page)", True),
        ("def f(page): pages.commands(page)\n'docs/alarms.md'", False),
        ("pages.commands('docs/alarms.md', 'An example')", False),
        ("pages.commands('docs/zoo.md')", False),
        ("pages.text('docs/alarms.md')", False),
        ("'docs/alarms.md'; pages.links('docs/zoo.md')", False),
    ],
)
def test_what_counts_as_taken(source: str, is_taken: bool) -> None:
    typed = {command for page, command in TYPED if applies(("docs/alarms.md", "avadclip threshold"), page, command)}
    assert (typed <= taken(ast.parse(source), "docs/alarms.md")) == is_taken


@pytest.mark.parametrize(("page", "command"), TYPED)
def test_what_a_command_names_is_there(page: str, command: str) -> None:
    for line in unrolled(command):
        program, *words = shlex.split(line.split(" > ")[0])
        match Path(program).name:
            case "avadclip":
                parse(typer.main.get_command(app), words)
            case "dvc" if words[0] in ("repro", "push", "pull", "checkout"):
                named = {word.split("@")[0] for word in words[1:] if re.fullmatch(r"[a-z_]+(@\w+)?", word)}
                assert named - {"server", "cloud"} <= STAGES.keys()  # without the names of remotes
            case "dvc":
                assert words[0] in ("add", "exp", "metrics", "remote")
            case "python":
                assert words[0] == "-m"
                assert importlib.util.find_spec(words[1]) is not None
            case "make":
                assert re.search(rf"^{words[0]}:", (pages.ROOT / "Makefile").read_text(), re.MULTILINE)
            case elsewhere:
                assert elsewhere in ELSEWHERE


def unrolled(command: str) -> list[str]:
    """Return the commands that a line of shell code stands for."""
    if not command.startswith("for "):
        return command.split(" && ")
    spoken = 'avadclip() { echo avadclip "$@"; }; ' + command
    return subprocess.run(["bash", "-c", spoken], check=True, capture_output=True, text=True).stdout.splitlines()


def parse(command: Any, words: list[str]) -> None:
    """Parse the words as the command line does, with the same errors, but run nothing."""
    context = command.context_class(command)
    while hasattr(command, "resolve_command"):
        _, command, words = command.resolve_command(context, words)
    command.make_context(command.name, list(words))


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/extraction.md", "docs/tables.md", "docs/zoo.md"])
def test_recipes_are_added_one_after_the_other(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(pages.ROOT / "params.yaml", tmp_path)
    lines = [line for command in pages.commands(page) for line in unrolled(command)]
    recipes = [line.split()[1:] for line in lines if line.startswith("avadclip recipe")]
    for words in recipes:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        assert done.output.startswith("params.yaml: ")
    before = yaml_of(pages.ROOT / "params.yaml")
    added = config.load(Path("params.yaml"))
    assert before["datasets"].keys() <= added.datasets.keys()
    assert len(added.datasets) + len(added.train) > len(before["datasets"]) + len(before["train"])


def yaml_of(path: Path) -> Any:
    return YAML(typ="safe").load(path)
