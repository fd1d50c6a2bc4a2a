"""Whole files or none."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Put a text file in place, UTF-8, with its folders; what stood there is replaced at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.tmp")  # not named after the file, whose name may be as long as names go
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
