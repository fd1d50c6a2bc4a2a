"""Changes of ``params.yaml`` by commands: comments and layout are kept, and only a valid file is written."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from avadclip.config.loading import Params, load, parse
from avadclip.io import write_text


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """The content of a parameter file, to be changed in place in the block; it is written at the end, if it is valid.

    Raises
    ------
    ConfigError : the file cannot be used before or after the change; it is left as it was.
    """
    load(path)
    before = path.read_bytes().decode("utf-8")
    content = _yaml().load(before)
    yield content
    replace(path, _comments_stay_above(before, _dumped(content)))


def parsed(content: Any, path: Path) -> Params:
    """The parameters in the content that :func:`edited` gives, so that a command can try them before they are written.

    Raises
    ------
    ConfigError : the content is not valid.
    """
    return parse(_dumped(content), origin=str(path))


def replace(path: Path, text: str) -> None:
    """Write a parameter file if it is valid, whole or not at all.

    Raises
    ------
    ConfigError : the text is not valid; the file is left as it was.
    """
    parse(text, origin=str(path))
    write_text(path, text)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096  # what is not changed is written as it was
    return yaml


def _dumped(content: Any) -> str:
    text = io.StringIO()
    _yaml().dump(content, text)
    return text.getvalue()


def _comments_stay_above(before: str, after: str) -> str:
    """Keep comments above their key. The parser counts them to the entry before it, and adds new entries below them."""
    for comments, key in re.findall(r"^((?:[ ]*(?:#.*)?\n)+)([ ]*\w.*\n)", before, re.MULTILINE):
        if comments + key not in after and after.count(comments) == after.count("\n" + key) == 1:
            after = after.replace(comments, "").replace("\n" + key, "\n" + comments + key)
    return after
