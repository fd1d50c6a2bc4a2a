"""Any JSON, read with errors that name the file."""

import json
from pathlib import Path
from typing import Any

from avadclip.errors import DatasetError
from avadclip.io import write_text


def read(path: Path) -> Any:
    """The content of a JSON file; :class:`DatasetError` if it is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not readable as JSON: {error}") from None


def write(path: Path, content: Any) -> None:
    """Write a JSON file; the same content gives the same bytes."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def expect(where: str, value: Any, kind: type) -> Any:
    """`value`, if it is of a kind."""
    if not isinstance(value, kind):
        raise DatasetError(f"{where}: expected {kind.__name__}, found {type(value).__name__}")
    return value
