"""``params.yaml`` changed by a command: comments and layout stay, and what is written is valid."""

import io
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
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096  # what is not changed is written as it was
    content = yaml.load(path)
    yield content
    text = io.StringIO()
    yaml.dump(content, text)
    replace(path, text.getvalue())


def replace(path: Path, text: str) -> None:
    """Write a parameter file if it is valid, whole or not at all.

    Raises
    ------
    ConfigError : it is not; the file is left as it was.
    """
    parse(text, origin=str(path))
    write_text(path, text)
