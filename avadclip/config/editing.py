"""``params.yaml`` changed by a command: comments and layout stay, and what is written is valid."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from avadclip.config.loading import load, parse
from avadclip.io import write_text


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """The content of a parameter file, to be changed in place; it is written at the end if it is valid then.

    Raises
    ------
    ConfigError : the file cannot be used before or after the change; it is left as it was.
    """
    load(path)
    before = path.read_bytes().decode("utf-8")
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096  # what is not changed is written as it was
    content = yaml.load(before)
    yield content
    text = io.StringIO()
    yaml.dump(content, text)
    replace(path, _comments_stay_above(before, text.getvalue()))


def replace(path: Path, text: str) -> None:
    """Write a parameter file if it is valid, whole or not at all.

    Raises
    ------
    ConfigError : it is not; the file is left as it was.
    """
    parse(text, origin=str(path))
    write_text(path, text)


def _comments_stay_above(before: str, after: str) -> str:
    """To the parser, what stands above a key belongs to the last entry before it, and stays there if more are added."""
    for comments, key in re.findall(r"^((?:[ ]*(?:#.*)?\n)+)([ ]*\w.*\n)", before, re.MULTILINE):
        if comments + key not in after and after.count(comments) == after.count("\n" + key) == 1:
            after = after.replace(comments, "").replace("\n" + key, "\n" + comments + key)
    return after
